"""One peer of a server: its frames, its running calls, and the answers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker.content import BY_ID
from slacker.errors import ProtocolError
from slacker.outgoing import Outgoing
from slacker.server.admission import STRANGERS_FRAME, Admission
from slacker.server.inspection import inspect
from slacker.server.peer import PeerInfo
from slacker.server.pipeline import AROUND_RESULT, EXCEPTION, SUCCESS, UNREADABLE, Outcome, shortened
from slacker.server.running import RunningCall
from slacker.tls import handshake_failed, looks_like_tls, reason_of
from slacker.wire import (
    DEFAULT_MAX_FRAME,
    ClientHello,
    Decoder,
    Error,
    Frame,
    InspectRequest,
    Interrupt,
    Malformed,
    Ping,
    Pong,
    Request,
    Response,
    ResultCode,
    ServerHello,
    encode,
    encode_response,
)

if TYPE_CHECKING:
    from slacker.server.auth import Identity
    from slacker.server.service import SlackerServer

_WITH_DATA = {SUCCESS, EXCEPTION}

# Bytes of results that are collected before they are handed over, as many as a transport takes before it says
# that the peer has to read first. A result counts for more where fewer are enough to be sent early.
_ENOUGH = 64 * 1024

#: A peer for which so many times ``max_unsent`` waits is closed at once, whether it reads or not.
UNSENT_FACTOR = 4


@implementer(IHandshakeListener)
class ServerConnection(Protocol):
    """The server's end of one connection. Calls run side by side, and are answered in the order they end."""

    log = Logger()
    transport: Any  # whatever an endpoint made: TCP, TLS, UNIX or in memory

    def __init__(self, server: SlackerServer, address: IAddress | None) -> None:
        self._server = server
        self._begin = server.execution.begin
        self._limits = server.limits
        self._decoder = Decoder(max_frame=server.limits.max_frame)
        self._frames = 0  # that came so far
        self._awaited: tuple[str, int] | None = None  # at the last look
        self._looks = 0  # at which that was so
        self._unanswered = 0  # bytes of requests
        self._paused = False
        self._out: list[bytes] = []
        self._collected = 0  # what that counts for: bytes of results, and a share of a read for each
        self._share = 0
        self._kept: list[Frame] = []  # of the last read, to be dealt with when the peer has taken its answers
        self._going_on: IDelayedCall | None = None
        self._last_words: list[bytes] = []
        self._reading = False
        self.calls: dict[object, RunningCall] = {}
        self.peer = PeerInfo.at(address)
        self._admission = None
        if server.auth is not None:
            self._admission = Admission(self, server, server.auth)
            self._decoder.limit(
                min(STRANGERS_FRAME, server.limits.max_frame),
                "larger ones are read from those only who have shown who they are",
                ResultCode.ACL_REJECT,
            )
        self._held = False
        self._closing = False

    # What Twisted calls

    def connectionMade(self) -> None:
        self._outgoing = Outgoing(self.transport, self._pause_or_resume)
        self._server.connected(self)

    def handshakeCompleted(self) -> None:
        if self._admission is not None:
            self._admission.handshake_completed()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if handshake_failed(reason):
            self.log.info("{peer} is not served: {reason}", peer=self.peer.address, reason=reason_of(reason))
        self.connected = 0  # Twisted leaves it; a TLS transport that has gone cannot be aborted, for one
        self._kept.clear()
        if self._going_on is not None:
            self._going_on.cancel()
            self._going_on = None
        if self._admission is not None:
            self._admission.stop()
        self._server.disconnected(self)

    def dataReceived(self, data: bytes) -> None:
        if self._closing or not self.connected:
            return
        try:
            frames = self._decoder.feed(data)
        except ProtocolError as error:
            frames = error.frames
            tls = not frames and not self._frames and looks_like_tls(data)
            reason = "it speaks TLS, and this port does not" if tls else str(error)
            self.log.warn("closing {peer}: {reason}", peer=self.peer.address, reason=reason)
            self._last_words.append(encode(Error(error.tid, error.code, error.version)))
            self._closing = True
        self._frames += len(frames)
        if self._kept or (frames and self._outgoing.paused):
            self._kept += frames  # TLS brings what it has read in pieces, whether they are wanted or not
            self._pause_or_resume()
        else:
            self._take(frames)

    def _take(self, frames: list[Frame]) -> None:
        """Deal with frames; with those that are left when the peer takes no more answers, later."""
        self._reading = True  # the answers of one read leave in one write, or in a few
        out, begin, limit = self._out, self._begin, self._limits.max_frame
        share = self._share = _ENOUGH // self._outgoing.enough(len(frames))
        left = iter(frames)
        for frame in left:
            if frame.__class__ is Request:
                outcome = begin(self, frame)
                if outcome is None:
                    self._begun(frame)
                else:
                    out += answer(frame, outcome, limit)
                    self._collected += len(outcome[1]) + share
            else:
                self._other(frame)
                if frame.__class__ is InspectRequest:
                    break  # it may take milliseconds: one in a turn, whatever a read brings
            if self._collected >= _ENOUGH:
                self.flush()
                self._outgoing.push()
                if self._outgoing.paused or not self.connected:
                    break
        self._server.execution.wake()
        self._reading = False
        self._kept = list(left)
        if not self._kept:
            out += self._last_words
        self.flush()
        if not self.connected:
            self._kept.clear()
        elif self._kept:
            self._pause_or_resume()
        elif self._closing:
            self._close()
        elif self._paused:
            self._pause_or_resume()

    # A peer that sends and never reads is not read any more, until it has taken its answers.

    def _pause_or_resume(self) -> None:
        pause = self._outgoing.paused or self._held or self._unanswered > self._limits.max_unanswered
        if self._kept:
            if not pause and self._going_on is None and not self._reading:
                self._going_on = self._server.call_later(0, self._go_on)
            pause = True
        if pause != self._paused:
            self._paused = pause
            if pause:
                self.transport.pauseProducing()
            elif self.connected:
                self.transport.resumeProducing()

    def _go_on(self) -> None:
        """With the frames that were kept."""
        self._going_on = None
        if self._outgoing.paused or not self.connected:
            return  # since then; it will be called again when the peer has read
        frames, self._kept = self._kept, []
        try:
            self._take(frames)
        except Exception:  # after which the transport closes, where it has called itself
            self.log.failure("dealing with frames of {peer}", peer=self.peer.address)
            self._give_up("its frames could not be dealt with")

    def look(self) -> None:
        """Close a peer that has not done what it should for as long as ``frame_timeout``.

        Between the first of three looks at which it should and the last there is that much; since it should,
        at most one and a half times as much.
        """
        awaited = self._what_is_awaited()
        self._looks = self._looks + 1 if awaited == self._awaited else 1
        self._awaited = awaited
        if awaited is not None and self._looks > 2:
            self._give_up(f"{awaited[0]} within {self._limits.frame_timeout} s")

    def _what_is_awaited(self) -> tuple[str, int] | None:
        """What the peer has not done, and a number that changes whenever it does; None if it owes nothing."""
        if self._closing:  # a TLS connection waits for the peer's last word
            return "it has not let its connection close", self._outgoing.taken
        if self._admission is not None and self.peer.identity is None:
            return "it has not shown who it is", 0
        if self._outgoing.unsent > self._limits.max_unsent:
            return "it has taken none of its answers, of which too many wait,", self._outgoing.taken
        if self._paused:
            return None
        if not self._frames:
            return "it connected and sent no frame", 0
        return ("a frame was begun and not ended", self._frames) if self._decoder.unfinished else None

    def _give_up(self, reason: str) -> None:
        self.log.warn("closing {peer}: {reason}", peer=self.peer.address, reason=reason)
        self.connected = 0  # from now on, and not from the next turn, nothing of it is dealt with
        self.transport.abortConnection()

    # What comes in

    def _begun(self, request: Request) -> None:
        """The request will be answered later."""
        self._unanswered += _size(request)
        if self._unanswered > self._limits.max_unanswered:
            self._pause_or_resume()

    def _other(self, frame: Frame) -> None:
        if isinstance(frame, Ping):
            self._out.append(encode(Pong(frame.tid, frame.version)))
        elif isinstance(frame, ClientHello):
            self.peer.name = frame.name
            self.peer.software = frame.software
            self._out.append(encode(ServerHello(self._server.software, frame.tid, frame.version)))
        elif self._admission is not None and self._admission.handles(frame):
            pass
        elif isinstance(frame, InspectRequest):
            self._out.append(inspect(self._server, frame, self.peer.identity))
        elif isinstance(frame, Interrupt):
            self._interrupt(frame)
        else:
            if isinstance(frame, Malformed):
                self.log.warn("{peer} sent {reason}", peer=self.peer.address, reason=frame.reason)
            self._error(frame, ResultCode.INVALID_PACKET)

    def _interrupt(self, frame: Interrupt) -> None:
        """End the call as canceled: at once for the caller, and as soon as it can be for the function."""
        call = self.calls.get(frame.target)
        if call is None or call.answered:
            return  # it has ended meanwhile
        call.answered = True
        self._error(call.request, ResultCode.CANCELED)
        call.cancel()

    # What goes out

    def _error(self, frame: Frame, code: int) -> None:
        self._out.append(encode(Error(frame.tid, code, frame.version)))

    def call_finished(self, call: RunningCall, *, in_batch: bool = False) -> None:
        """Answer the call, once; ``in_batch`` promises that the server flushes soon."""
        del self.calls[call.key]
        self._unanswered -= _size(call.request)
        if self._paused:
            self._pause_or_resume()
        if not call.answered:
            call.answered = True
            self._out += answer(call.request, call.outcome, self._limits.max_frame)
            self._collected += len(call.outcome[1]) + self._share
        if in_batch:
            self._server.to_flush.add(self)
        elif not self._reading:
            self.flush()
        self._server.call_ended()

    def flush(self) -> None:
        """Write what has been collected."""
        out = self._out
        if not out:
            return
        if self.connected:
            self._outgoing.write(out)
            if self._outgoing.unsent > UNSENT_FACTOR * self._limits.max_unsent:
                self._give_up(f"it does not read its answers, of which {self._outgoing.unsent} bytes wait")
        out.clear()
        self._collected = 0

    def let_in(self, identity: Identity) -> None:
        """Serve this one: its calls, and frames of the size that calls may have."""
        self.peer.identity = identity
        self._decoder.limit(self._limits.max_frame)

    def say(self, data: bytes) -> None:
        """Write this, with the other answers of one read."""
        self._out.append(data)
        if not self._reading:
            self.flush()

    def hold(self, held: bool) -> None:
        """Read nothing, or go on."""
        self._held = held
        self._pause_or_resume()

    def close(self) -> None:
        """Close when all that came has been answered, and that has been written."""
        self._closing = True
        if not self._kept and not self._reading:
            self._close()

    def _close(self) -> None:
        self._outgoing.close()
        self._pause_or_resume()  # over TLS the peer's last word is to be read


def _size(request: Request) -> int:
    """The bytes that a request holds; of a name the characters, which are as many as a rule."""
    size = len(request.data) + len(request.function)
    return size + sum(len(value) for _, value in request.extensions) if request.extensions else size


def answer(request: Request, outcome: Outcome, limit: int = DEFAULT_MAX_FRAME) -> list[bytes]:
    """The frame that tells a request's outcome, in pieces and in the request's version.

    :param limit: the largest frame that a peer is known to take.
    """
    code, data = outcome
    if code == SUCCESS and not request.extensions and request.version == 6:
        return encode_response(request.tid, request.content_type, code, data)
    return [_rarer_answer(request, outcome, limit)]


def _rarer_answer(request: Request, outcome: Outcome, limit: int) -> bytes:
    """Codes that say it all travel in an error packet. A result brings the request's extensions back."""
    code, data = outcome
    if code == UNREADABLE:
        code = EXCEPTION
    if code not in _WITH_DATA:
        return encode(Error(request.tid, code, request.version))
    extensions = tuple(dict(request.extensions).items())  # of a duplicate id the last
    room = limit - AROUND_RESULT - sum(4 + len(value) for _, value in extensions)
    if len(data) > room:
        code, data = shortened(BY_ID[request.content_type], request, outcome, room)
    return encode(Response(request.tid, request.content_type, code, data, extensions, request.version))
