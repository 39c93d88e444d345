"""One peer of a server: its frames, its running calls, and the answers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker.errors import ProtocolError
from slacker.outgoing import Outgoing
from slacker.server.admission import Admission
from slacker.server.inspection import inspect
from slacker.server.peer import PeerInfo
from slacker.server.pipeline import EXCEPTION, SUCCESS, Outcome
from slacker.server.running import RunningCall
from slacker.tls import handshake_failed, looks_like_tls, reason_of
from slacker.wire import (
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
    from slacker.server.service import SlackerServer

_WITH_DATA = {SUCCESS, EXCEPTION}


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
        self._frames_at_look = 0
        self._late = False
        self._unanswered = 0  # bytes of arguments
        self._paused = False
        self._out: list[bytes] = []
        self._reading = False
        self.calls: dict[object, RunningCall] = {}
        self.peer = PeerInfo.at(address)
        self._admission = None if server.auth is None else Admission(self, server, server.auth)
        self._looks_as_stranger = 0
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
        if self._admission is not None:
            self._admission.stop()
        self._server.disconnected(self)

    def dataReceived(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
            broken = None
        except ProtocolError as error:
            frames = error.frames
            broken = error
        self._frames += len(frames)
        self._reading = True  # the answers of one read leave in one write, or in a few
        out, begin = self._out, self._begin
        many = self._outgoing.enough(len(frames))
        for frame in frames:
            if frame.__class__ is Request:
                outcome = begin(self, frame)
                if outcome is None:
                    self._begun(frame)
                else:
                    out += answer(frame, outcome)
                    if len(out) >= many:
                        self.flush()
                        self._outgoing.push()
            else:
                self._other(frame)
        self._server.execution.wake()
        self._reading = False
        if broken is not None:
            self._out.append(encode(Error(broken.tid, broken.code, broken.version)))
        self.flush()
        if broken is not None:
            tls = not self._frames and looks_like_tls(data)
            reason = "it speaks TLS, and this port does not" if tls else str(broken)
            self.log.warn("closing {peer}: {reason}", peer=self.peer.address, reason=reason)
            self.close()

    # A peer that sends and never reads is not read any more, until it has taken its answers.

    def _pause_or_resume(self) -> None:
        pause = self._outgoing.paused or self._held or self._unanswered > self._limits.max_unanswered
        if pause != self._paused:
            self._paused = pause
            if pause:
                self.transport.pauseProducing()
            elif self.connected:
                self.transport.resumeProducing()

    def look(self) -> None:
        """Close a peer that stood in the middle of a frame, or before its first, at the last look, too.

        And one that has not said who it is, where that is asked, or that does not let its connection close
        (a TLS connection waits for the peer's last word).
        """
        if self._closing:
            self.transport.abortConnection()
            return
        if self._admission is not None and self.peer.identity is None:
            self._looks_as_stranger += 1
            if self._looks_as_stranger > 2:
                self._give_up(f"it has not shown who it is within {self._limits.frame_timeout} s")
                return
        late = not self._paused and (self._decoder.unfinished or not self._frames)
        if late and self._late and self._frames == self._frames_at_look:
            what = "a frame was begun and not ended" if self._frames else "it connected and sent no frame"
            self._give_up(f"{what} within {self._limits.frame_timeout} s")
        self._frames_at_look = self._frames
        self._late = late

    def _give_up(self, reason: str) -> None:
        self.log.warn("closing {peer}: {reason}", peer=self.peer.address, reason=reason)
        self.transport.abortConnection()

    # What comes in

    def _begun(self, request: Request) -> None:
        """The request will be answered later."""
        self._unanswered += len(request.data)
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
        self._unanswered -= len(call.request.data)
        if self._paused:
            self._pause_or_resume()
        if not call.answered:
            call.answered = True
            self._out += answer(call.request, call.outcome)
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
            if self._outgoing.unsent > self._limits.max_unsent:
                self._give_up(f"it does not read its answers, of which {self._outgoing.unsent} bytes wait")
        out.clear()

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
        """Close after what has been written."""
        self._closing = True
        self._outgoing.close()


def answer(request: Request, outcome: Outcome) -> list[bytes]:
    """The frame that tells a request's outcome, in pieces and in the request's version.

    Codes that say it all travel in an error packet. A result brings the request's extensions back.
    """
    code, data = outcome
    if code not in _WITH_DATA:
        return [encode(Error(request.tid, code, request.version))]
    if request.extensions or request.version != 6:
        extensions = tuple(dict(request.extensions).items())  # of a duplicate id the last
        frame = Response(request.tid, request.content_type, code, data, extensions, request.version)
        return [encode(frame)]
    return encode_response(request.tid, request.content_type, code, data)
