"""Bytes that nobody meant to send: to every place that reads what a peer sends.

::

    python -m fuzz                              # a minute of each target
    python -m fuzz --seconds 3600 codec-nippy   # an hour of one
    python -m fuzz --grow                       # keep what behaved in a new way
    python -m fuzz --replay fuzz/findings/codec-nippy-0123abcd codec-nippy

Inputs are made by Hypothesis, from the bytes of ``tests/vectors`` and of ``fuzz/corpus``, by changing them in
a few places. Each has to end in a value or in one of slacker's own errors, within time and memory that its
length allows; what is written of a value has to be read as that value. A finding is shrunk, printed, and kept
in ``fuzz/findings``; once mended, its bytes belong into ``fuzz/corpus``.
"""
