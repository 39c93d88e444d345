"""What a call carries along without being asked: extensions, and the call inside which it is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from slacker.content import Codec
from slacker.errors import ContentError

#: Remaining milliseconds; of the time of one hop, so that it is never passed on as it came.
REMAINING = -2


class Incoming(Protocol):
    """The call that a server runs now."""

    @property
    def extensions(self) -> Mapping[int, Any]: ...

    @property
    def deadline(self) -> float | None: ...


_outgoing: ContextVar[Mapping[int, Any] | None] = ContextVar("slacker_extensions", default=None)

#: The call that a server runs in this context, if it does. It is in force in the function itself, in its
#: coroutines and inlineCallbacks, and in its worker thread; not in plain callbacks of Deferreds, which run in
#: the context of whoever fires them.
incoming: ContextVar[Incoming | None] = ContextVar("slacker_incoming", default=None)


@contextmanager
def with_extensions(extensions: Mapping[int, Any]) -> Iterator[None]:
    """Send these extensions with every call made inside: ids from -32,768 to 32,767, any value.

    Inside each other they add up, and the inner one wins. They are sent to peers that speak version 6,
    encoded as the call's arguments are. A server sends the extensions of a call that it runs with every call
    made inside it.

    ::

        with with_extensions({16: "request-7"}):
            await api.rand_ints(5)
    """
    token = _outgoing.set({**(_outgoing.get() or {}), **extensions})
    try:
        yield
    finally:
        _outgoing.reset(token)


def decode_extensions(encoded: Iterable[tuple[int, bytes]], codec: Codec) -> dict[int, Any]:
    """By id, of a duplicate the last; one that cannot be read is left out."""
    extensions = {}
    for identifier, data in encoded:
        try:
            extensions[identifier] = codec.loads(data) if data else None
        except ContentError:
            extensions.pop(identifier, None)
    return extensions


def outgoing_extensions() -> dict[int, Any] | None:
    """What a call made now carries; None if nothing."""
    own = _outgoing.get()
    inside = incoming.get()
    if own is None and inside is None:
        return None
    inherited = {} if inside is None else inside.extensions
    merged = {**inherited, **(own or {})}
    if REMAINING in inherited and REMAINING not in (own or {}):
        del merged[REMAINING]
    return merged or None
