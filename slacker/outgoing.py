"""What a connection writes: in order, no faster than the peer takes it, and early where that helps.

What is written leaves in the reactor's next turn, after all that one read brought has been dealt with. So the
calls in flight would go to and fro in one batch, and each end wait while the other works. A part of the batch
that is sent early lets the other end begin.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IPushProducer, ITCPTransport, IUNIXTransport, IWriteDescriptor
from zope.interface import implementer

from slacker.tls import encrypted

# To send early costs as much time as one or two calls, so it pays for some calls together.
_LEAST = 8
_PARTS = 8

# Above so many bytes pieces are handed over as they are; below, to join them costs less.
_JOINED = 64 * 1024


@implementer(IPushProducer)
class Outgoing:
    """The way out of one connection.

    :param changed: called when the peer stops to read what is written, and when it has taken all of it.
    :ivar paused: whether the peer has not yet taken what was handed to the transport.
    :ivar unsent: bytes that wait here meanwhile. Whoever writes sees that they do not become too many.
    :ivar taken: how many times the peer has taken all that was handed over, which may be one large frame.
    """

    def __init__(self, transport: Any, changed: Callable[[], None]) -> None:
        self.paused = False
        self.unsent = 0
        self.taken = 0
        self._transport = transport
        self._changed = changed
        self._waiting: deque[bytes] = deque()
        # Only a plain socket can send early. TLS can not, but has the interface of the socket under it.
        self._can_push = IWriteDescriptor.providedBy(transport) and not encrypted(transport)
        transport.registerProducer(self, True)
        self._may_delay = ITCPTransport.providedBy(transport) and not IUNIXTransport.providedBy(transport)

    def write(self, pieces: list[bytes]) -> None:
        """Send these, or keep them until the peer has taken what came before."""
        size = sum(map(len, pieces))
        if size > _JOINED and self._may_delay:
            self._delay_no_more()
        if self.paused:
            self._waiting += pieces
            self.unsent += size
        elif size > _JOINED:
            self._transport.writeSequence(pieces)
        else:
            self._transport.write(b"".join(pieces))

    def _delay_no_more(self) -> None:
        """End Nagle's delay, once a large frame goes out.

        The end of one would wait for the peer's system to acknowledge what came before, which that puts off
        for 40 ms. Small frames are better off with it: it gathers the results of worker threads, for one.
        """
        self._may_delay = False
        with suppress(OSError):  # some systems refuse it where the connection has just broken
            self._transport.setTcpNoDelay(True)

    def enough(self, frames: int) -> int:
        """How many frames to write before a :meth:`push`, where a read has brought so many."""
        return max(_LEAST, frames // _PARTS) if self._can_push else sys.maxsize

    def push(self) -> None:
        """Send what was written, as far as the peer takes it; where that can be done before the next turn."""
        transport = self._transport
        if self._can_push and transport.connected and not transport.disconnecting:
            transport.doWrite()  # an error will come again in the reactor's turn, which deals with it

    def close(self) -> None:
        """Let the transport close, after all that was written."""
        self._transport.unregisterProducer()
        self._transport.writeSequence(self._waiting)
        self._waiting.clear()
        self.unsent = 0
        self.paused = False  # nobody tells any more when the peer reads, so nothing waits here
        self._transport.loseConnection()

    # What the transport calls

    def pauseProducing(self) -> None:
        self.paused = True
        self._changed()

    def resumeProducing(self) -> None:
        self.taken += 1
        self.paused = False
        while self._waiting and not self.paused:
            piece = self._waiting.popleft()
            self.unsent -= len(piece)
            self._transport.write(piece)
        if not self.paused:
            self._changed()

    def stopProducing(self) -> None:
        pass  # connectionLost follows
