"""One peer of a server: its frames, its running calls, and the answers to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from ipaddress import ip_address
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from attrs import define, evolve
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker.address import format_address
from slacker.content import BY_ID, Codec
from slacker.errors import ProtocolError, SlackerError
from slacker.server.functions import Function
from slacker.server.inspection import inspect
from slacker.server.pipeline import fail, invoke, respond
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
    ResultCode,
    ServerHello,
    encode,
)

if TYPE_CHECKING:
    from slacker.server.service import SlackerServer

_LATER = (Deferred, CoroutineType)


@define(eq=False)
class Call:
    """A request that is not answered in the reactor turn in which it came."""

    connection: ServerConnection
    request: Request
    codec: Codec
    function: Function
    key: object  # in the connection's table
    answer: bytes = b""
    outcome: Deferred[Any] | None = None
    answered: bool = False

    def run(self) -> None:
        """In a worker thread: call the function, and write its answer."""
        try:
            result = invoke(self.function, self.codec, self.request)
            if isinstance(result, _LATER):
                if isinstance(result, CoroutineType):
                    result.close()
                raise TypeError(
                    f"{self.function.full_name} returned a {type(result).__name__} from a worker thread: "
                    "mark it @nonblocking, so that it runs on the reactor"
                )
            self.answer = respond(self.codec, self.request, result)
        except BaseException as error:  # whatever a function raises, SystemExit too, belongs to its caller
            self.answer = fail(self.codec, self.request, error)

    def finish(self) -> None:
        """On the reactor, after :meth:`run`."""
        self.connection.call_finished(self, in_batch=True)

    def await_outcome(self, outcome: Deferred[Any]) -> None:
        """On the reactor: write the answer when the function's Deferred fires."""
        self.outcome = outcome
        outcome.addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, result: Any) -> None:
        try:
            self.answer = respond(self.codec, self.request, result)
        except SlackerError as error:
            self.answer = fail(self.codec, self.request, error)
        self.connection.call_finished(self)

    def _failed(self, failure: Failure) -> None:
        self.answer = fail(self.codec, self.request, cast(BaseException, failure.value))
        self.connection.call_finished(self)


@define(eq=False)
class PeerInfo:
    """Who is at the other end; ``inspect clients`` shows it.

    :ivar loopback: whether it is on this machine.
    """

    address: str
    loopback: bool
    connected_on: datetime
    name: str = ""
    software: str = ""


@implementer(IPushProducer)
class ServerConnection(Protocol):
    """The server's end of one connection. Calls run side by side, and are answered in the order they end."""

    log = Logger()
    transport: Any  # whatever an endpoint made: TCP, TLS, UNIX or in memory

    def __init__(self, server: SlackerServer, address: IAddress | None) -> None:
        self._server = server
        self._find = server.functions.find
        self._decoder = Decoder(max_frame=server.max_frame)
        self._out: list[bytes] = []
        self._reading = False
        self.calls: dict[object, Call] = {}
        self.peer = PeerInfo(_peer_name(address), _is_local(address), datetime.now(timezone.utc))

    # What Twisted calls

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self._server.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._server.disconnected(self)

    def dataReceived(self, data: bytes) -> None:
        try:
            frames = self._decoder.feed(data)
            broken = None
        except ProtocolError as error:
            frames = error.frames
            broken = error
        self._reading = True  # all answers of one read leave in one write
        for frame in frames:
            if frame.__class__ is Request:
                self._request(frame)
            else:
                self._other(frame)
        self._server.workers.wake()
        self._reading = False
        if broken is not None:
            self._out.append(encode(Error(broken.tid, broken.code, broken.version)))
        self.flush()
        if broken is not None:
            self.log.warn("closing {peer}: {reason}", peer=self.peer.address, reason=str(broken))
            self.close()

    # A peer that sends and never reads is not read any more, until it has taken its answers.

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        pass  # connectionLost follows

    # What comes in

    def _request(self, request: Request) -> None:
        self._server.called = True
        codec = BY_ID.get(request.content_type)
        if codec is None:
            self._error(request, ResultCode.INVALID_PACKET)
            return
        function = self._find(request.function) or self._stand_in(request)
        if function is None:
            self._error(request, ResultCode.NOT_FOUND)
        elif function.allow is not None and not function.allow(self.peer):
            self._error(request, ResultCode.ACL_REJECT)
        elif len(self.calls) >= self._server.max_in_flight or self._server.draining:
            self._error(request, ResultCode.THREAD_POOL_FULL)
        elif function.on_reactor:
            try:
                result = invoke(function, codec, request)
                if isinstance(result, _LATER):
                    self._await(request, codec, function, result)
                    return
                answer = respond(codec, request, result)
            except (Exception, SystemExit) as error:
                answer = fail(codec, request, error)
            self._out.append(answer)
        else:
            call = Call(self, request, codec, function, self._key(request))
            if self._server.workers.submit(call):
                self._began(call)
            else:
                self._error(request, ResultCode.THREAD_POOL_FULL)

    def _stand_in(self, request: Request) -> Function | None:
        """The namespace's handler for missing functions, called with the name and the arguments."""
        handler = self._server.functions.not_found_handler(request.function)
        if handler is None:
            return None
        handle: Callable[..., Any] = handler.call
        name = request.function.partition("/")[2]
        return evolve(handler, call=lambda *arguments: handle(name, list(arguments)))

    def _await(
        self,
        request: Request,
        codec: Codec,
        function: Function,
        result: Deferred[Any] | CoroutineType[Any, Any, Any],
    ) -> None:
        outcome = Deferred.fromCoroutine(result) if isinstance(result, CoroutineType) else result
        call = Call(self, request, codec, function, self._key(request))
        self._began(call)
        call.await_outcome(outcome)

    def _other(self, frame: Frame) -> None:
        if isinstance(frame, Ping):
            self._out.append(encode(Pong(frame.tid, frame.version)))
        elif isinstance(frame, ClientHello):
            self.peer.name = frame.name
            self.peer.software = frame.software
            self._out.append(encode(ServerHello(self._server.software, frame.tid, frame.version)))
        elif isinstance(frame, InspectRequest):
            self._out.append(inspect(self._server, frame))
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
        if call.outcome is not None:
            call.outcome.cancel()
        elif self._server.workers.remove(call):
            self.call_finished(call)

    # What goes out

    def _error(self, frame: Frame, code: int) -> None:
        self._out.append(encode(Error(frame.tid, code, frame.version)))

    def _key(self, request: Request) -> object:
        """The transaction id, or where a peer uses one twice at a time, something else that is unique."""
        return object() if request.tid in self.calls else request.tid

    def _began(self, call: Call) -> None:
        self.calls[call.key] = call
        self._server.call_began()

    def call_finished(self, call: Call, *, in_batch: bool = False) -> None:
        """Answer the call, once; ``in_batch`` promises that the server flushes soon."""
        del self.calls[call.key]
        if not call.answered:
            call.answered = True
            self._out.append(call.answer)
        if in_batch:
            self._server.to_flush.add(self)
        elif not self._reading:
            self.flush()
        self._server.call_ended()

    def flush(self) -> None:
        """Write what has been collected."""
        out = self._out
        if out:
            if self.connected:
                self.transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def close(self) -> None:
        """Close after what has been written."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()


def _peer_name(address: object) -> str:
    if isinstance(address, (IPv4Address, IPv6Address)):
        return format_address(address.host, address.port)
    return str(getattr(address, "name", None) or "unnamed")  # a UNIX socket's, if it has one


def _is_local(address: object) -> bool:
    """Whether a connection comes from this machine: over loopback, or over a UNIX socket."""
    if isinstance(address, (IPv4Address, IPv6Address)):
        return ip_address(address.host.partition("%")[0]).is_loopback
    return isinstance(address, UNIXAddress)
