"""Programs of callers of every kind, run as processes of their own by test_callers.

Each is given the address of the server that :mod:`tests.integration.test_callers` starts, checks what it
sees, and prints ``done``.
"""
