"""The call that a function is running for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from slacker.content import Codec
from slacker.interceptors.context import decode_extensions, incoming
from slacker.server.peer import PeerInfo
from slacker.wire import Request


class CurrentCall:
    """What :func:`current_call` tells.

    :ivar peer: who calls.
    :ivar deadline: when nobody waits any more, by the clock's seconds since the epoch; None if that is not
        known (only a :class:`~slacker.interceptors.Deadline` among the server's interceptors reads it).
    :ivar interrupted: whether the caller has given up. A function that runs for long should look now and
        then.
    """

    deadline: float | None = None
    interrupted = False

    def __init__(self, request: Request, codec: Codec, peer: PeerInfo) -> None:
        self._request = request
        self._codec = codec
        self.peer = peer

    @property
    def function(self) -> str:
        """``namespace/function``, as it was asked for."""
        return self._request.function

    @cached_property
    def extensions(self) -> dict[int, Any]:
        """Extensions by id. They go back with the answer, and with every call made inside this one."""
        return decode_extensions(self._request.extensions, self._codec)


def current_call() -> CurrentCall:
    """The call that this code runs for: in a function, its coroutines and inlineCallbacks, its worker thread.

    A plain callback of a Deferred runs in the context of whoever fires it. It knows the call if it is added
    as ``partial(contextvars.copy_context().run, callback)``.

    :raises LookupError: outside of any.
    """
    call = incoming.get()
    if not isinstance(call, CurrentCall):
        raise LookupError("current_call() knows a call only inside a function that a server runs")
    return call
