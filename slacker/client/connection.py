"""One connection of a client: what is written, what comes back, and whether the peer still lives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker._version import VERSION
from slacker.client.answers import error_of, value_of
from slacker.client.authentication import rejection
from slacker.content import get
from slacker.errors import ConnectionLost, ContentError, NotSent, PeerProtocolError, ProtocolError
from slacker.outgoing import Outgoing
from slacker.tls import encrypted, handshake_failed, is_local, looks_like_tls, reason_of
from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    Decoder,
    Error,
    Frame,
    InspectAck,
    Malformed,
    Ping,
    Pong,
    Response,
    ServerHello,
    encode,
)

if TYPE_CHECKING:
    from slacker.client.link import Link

#: What a hello says of this client.
SOFTWARE = f"txslacker/{VERSION}"

#: Seconds that a peer gets to answer a hello. Old peers (0.16) never do: they cannot parse it, and stall.
HELLO_TIMEOUT = 1.5

#: Seconds that a peer gets for a TLS handshake.
HANDSHAKE_TIMEOUT = 5.0

#: Seconds that a peer gets to say what it thinks of a token. Servers wait a little before they reject one.
AUTH_TIMEOUT = 5.0

#: Seconds that a closing connection waits for the peer to take what was written.
CLOSE_TIMEOUT = 1.0

#: Bytes that may wait for a peer that does not read; a call beyond them is refused. Generous enough for some
#: frames of the default limit, and small enough that a stalled peer does not cost a client its memory.
MAX_UNSENT = 64 * 1024 * 1024


@implementer(IHandshakeListener)
class ClientConnection(Protocol):
    """The client's end of a connection.

    Over TLS it waits for the end of the handshake. Then it greets: with a hello, or with a ping where the
    peer is known not to understand one. Only a peer that has answered is used for calls, so that a process
    that was stopped and merely accepts connections is not taken for a server. Before calls comes the token,
    if there is one.

    :ivar peer_software: what the peer's hello says it is; empty for a peer without one.
    """

    log = Logger()
    transport: Any

    def __init__(self, link: Link, *, say_hello: bool) -> None:
        self._link = link
        self._calls = link.calls
        self._say_hello = say_hello
        self._decoder = Decoder(max_frame=link.max_frame)
        self._out: list[bytes] = []
        self._reading = False
        self._ready = False
        self._token_sent = False
        self._lost_because = ""
        self._heard = True
        self._pinged = False
        self._timer: IDelayedCall | None = None
        self.peer_software = ""
        self.codec = get("clj")  # what content type "auto" means here; known after the greeting

    # What Twisted calls

    def connectionMade(self) -> None:
        self.outgoing = Outgoing(self.transport, self._peer_reads_or_not)
        self._link.made(self)
        if encrypted(self.transport):
            self._set_timer(HANDSHAKE_TIMEOUT, self._handshake_timed_out)
        else:
            self._greet()

    def handshakeCompleted(self) -> None:
        if not self._link.closed:
            self._greet()

    def _greet(self) -> None:
        if self._say_hello:
            self.send([encode(ClientHello(SOFTWARE, self._link.name))])
        else:
            self.send([encode(Ping(version=self._link.version))])
        self._set_timer(HELLO_TIMEOUT, self._greeting_timed_out)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timer()
        because = self._lost_because or reason_of(reason)
        if not (self._lost_because or self._ready or handshake_failed(reason)):
            because += f" This was before the server answered: does it {self._other_kind()}?"
        self._link.lost(self, because)

    def _other_kind(self) -> str:
        return "speak TLS at all" if encrypted(self.transport) else "want TLS (tls=)"

    def dataReceived(self, data: bytes) -> None:
        self._heard = True
        try:
            frames = self._decoder.feed(data)
            broken = None
        except ProtocolError as error:
            frames = error.frames
            broken = error
        self._reading = True  # calls made while answers are delivered leave in one write, or in a few
        out, calls, codec = self._out, self._calls, self.codec
        many = self.outgoing.enough(len(frames))
        for frame in frames:
            if len(out) >= many:
                self._flush()
                self.outgoing.push()
            if frame.__class__ is Response:
                call = calls.pop(frame.tid, None)
                if call is None:
                    continue  # it timed out or was cancelled
                if call.receive is not None:
                    call.receive(frame)
                elif frame.code == 0:
                    try:
                        if frame.content_type == codec.wire_id and frame.data:
                            value = codec.loads(frame.data)
                        else:
                            value = value_of(frame)
                    except ContentError as error:
                        call.errback(error)
                    else:
                        call.callback(value)
                else:
                    call.errback(error_of(frame, self._link.address, call.function))
            else:
                self._other(frame)
        self._reading = False
        self._flush()
        if broken is not None:
            tls = not self._ready and looks_like_tls(data)
            what = "TLS, which tls= is for" if tls else f"something that is no slacker frame: {broken}"
            self.abort(f"the server sent {what}")

    # What goes out

    def send(self, frame: list[bytes]) -> None:
        """Write one frame, in pieces; frames written while answers are being delivered leave together."""
        if self._reading:
            self._out += frame
        else:
            self.outgoing.write(frame)

    def _peer_reads_or_not(self) -> None:
        if not self.outgoing.paused:
            self._heard = True  # it has taken what was written, so it lives

    def check_room(self, size: int) -> None:
        """Refuse to take ``size`` more bytes for a peer that does not read.

        :raises NotSent: if too much waits for it already.
        """
        unsent = self.outgoing.unsent
        if unsent + size > MAX_UNSENT:
            raise NotSent(
                f"{self._link.address} does not read: {unsent} bytes wait for it already",
                server=self._link.address,
            )

    def abort(self, reason: str) -> None:
        """Give the connection up; what is pending on it fails with this reason."""
        self._lost_because = reason
        self.transport.abortConnection()

    def close(self) -> None:
        """Close after what has been written; at once if the peer does not take it soon."""
        self.outgoing.close()
        self._set_timer(CLOSE_TIMEOUT, self.transport.abortConnection)

    def _flush(self) -> None:
        out = self._out
        if out:
            self.outgoing.write(out)
            out.clear()

    # What comes in beside results

    def _other(self, frame: Frame) -> None:
        if isinstance(frame, (Error, InspectAck)):
            call = self._calls.pop(frame.tid, None)
            if call is None:
                if isinstance(frame, Error):
                    self._token_answered(frame)
                return
            if call.receive is not None:
                call.receive(frame)
            elif isinstance(frame, Error):
                call.errback(error_of(frame, self._link.address, call.function))
            else:
                text = f"{self._link.address} answered {call.function} with an inspection"
                call.errback(PeerProtocolError(text, server=self._link.address, function=call.function))
        elif isinstance(frame, Ping):
            if not self.outgoing.paused:  # who asks and does not read would fill this process's memory
                self.send([encode(Pong(frame.tid, frame.version))])
        elif isinstance(frame, ServerHello):
            self.peer_software = frame.software
            self._greeted()
        elif isinstance(frame, Pong):
            if not self._say_hello:
                self._greeted()
        elif isinstance(frame, AuthAck):
            self._token_answered(frame)
        elif isinstance(frame, Malformed):
            self.log.warn("{server} sent {reason}", server=self._link.address, reason=frame.reason)
        # What else there is makes no sense from a server, and an answer to it would make none to the server.

    # Whether the peer lives

    def _greeted(self) -> None:
        if self._ready or self._token_sent or self._link.closed:
            return
        token = self._link.auth
        if token is None:
            self._begin()
        elif encrypted(self.transport) or is_local(self.transport.getPeer()):
            self._token_sent = True
            self.send([encode(AuthRequest(0, token, self._link.version))])
            self._set_timer(AUTH_TIMEOUT, self._token_timed_out)
        else:
            self._refuse(
                "the connection is not encrypted, so this client's token was not sent; give tls=, too"
            )

    def _token_answered(self, answer: AuthAck | Error) -> None:
        if self._ready or not self._token_sent or self._link.closed:
            return
        reason = rejection(answer)
        if reason is None:
            self._begin()
        else:
            self._refuse(reason)

    def _refuse(self, reason: str) -> None:
        """Calls on this server make no sense, and will not soon."""
        self._link.refused()
        self.abort(reason)

    def _begin(self) -> None:
        """Calls may come."""
        self._ready = True
        self._keep_alive()
        self._link.ready(self)

    def _handshake_timed_out(self) -> None:
        self.abort(f"no end of the TLS handshake within {HANDSHAKE_TIMEOUT} s; does the server speak TLS?")

    def _token_timed_out(self) -> None:
        self._refuse(f"no answer to this client's token within {AUTH_TIMEOUT} s")

    def _greeting_timed_out(self) -> None:
        self._link.greeting_failed()
        self.abort(f"no answer to {'a hello' if self._say_hello else 'a ping'} within {HELLO_TIMEOUT} s")

    def _keep_alive(self) -> None:
        """Twice per keepalive period: a peer that said nothing in a half is asked, then given up."""
        if self._heard:
            self._pinged = False
        elif not self._pinged:
            self._pinged = True
            self.send([encode(Ping(version=self._link.version))])
        else:
            self.abort(f"nothing came within {self._link.keepalive} s, nor an answer to a ping")
            return
        self._heard = False
        self._set_timer(self._link.keepalive / 2, self._keep_alive)

    def _set_timer(self, seconds: float, call: Callable[[], None]) -> None:
        """The one timer of a connection: for the greeting, then for keepalive, then for closing.

        A process that was held up itself finds the timer due before it reads what came meanwhile, since a
        reactor makes due calls first: so one turn more is left for what it waits for.
        """
        self._stop_timer()
        self._timer = self._link.clock.callLater(seconds, self._after_reading, call)

    def _after_reading(self, call: Callable[[], None]) -> None:
        self._timer = self._link.clock.callLater(0, call)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


def lost(reason: str, server: str, function: str) -> Failure:
    """What a call that was sent gets when its connection breaks."""
    return Failure(
        ConnectionLost(
            f"the connection to {server} broke before {function} was answered: {reason}",
            server=server,
            function=function,
        )
    )
