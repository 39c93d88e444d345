"""A client of one server: one connection for all calls, that comes back when it breaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from slacker import content
from slacker.address import parse_address
from slacker.client.connection import ClientConnection, lost
from slacker.client.link import Link
from slacker.client.pending import PendingCall, PendingCalls
from slacker.client.remote import Namespace, RemoteFunction
from slacker.errors import (
    BacklogOverflow,
    CallTimeout,
    ConfigurationError,
    NotSent,
    SlackerError,
)
from slacker.wire import DEFAULT_MAX_FRAME, InspectCommand, InspectRequest, Interrupt, encode, encode_request

_OURS = "txslacker/"
_CLOSED = "the client was closed"
_MAX_NAME = 65_535  # bytes; a name's length is written in 16 bits


class Client:
    """Calls the functions of one server.

    ::

        client = Client("127.0.0.1:2104")
        numbers = await client.namespace("slacker.example.api").rand_ints(5)
        await client.close()

    It connects when first used, and again whenever the connection breaks. Calls made while it connects wait;
    when that fails, they fail with :class:`~slacker.errors.NotSent`, and so do calls until an attempt
    succeeds.

    :param address: ``host:port``.
    :param content_type: how arguments are written: a name of :data:`slacker.content.CODECS`, or ``auto``:
        MessagePack to servers of this project, EDN to every other.
    :param timeout: seconds that a call may take, unless it says otherwise.
    :param connect_timeout: seconds that one attempt to connect may take.
    :param keepalive: seconds; a connection on which nothing comes for so long, not even the answer to a ping,
        is given up (after one and a half times as long at the latest).
    :param backlog: calls that wait for answers at the same time; one more fails with
        :class:`~slacker.errors.BacklogOverflow`. Upstream's default.
    :param max_frame: the largest frame accepted, in bytes.
    :param name: what this client calls itself in its hello.
    :param endpoint: connect through this instead of TCP to ``address``, which then only names the server.
    :param on_change: called with this client whenever :attr:`connected` changes.
    :raises ConfigurationError: if one of these is wrong.
    """

    def __init__(
        self,
        address: str,
        *,
        content_type: str = "auto",
        timeout: float = 10.0,
        connect_timeout: float = 5.0,
        keepalive: float = 10.0,
        backlog: int = 5000,
        max_frame: int = DEFAULT_MAX_FRAME,
        name: str = "",
        endpoint: IStreamClientEndpoint | None = None,
        on_change: Callable[[Client], None] | None = None,
        reactor: object | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        clock = cast(IReactorTime, reactor)
        host, port = parse_address(address)
        for what, value in [
            ("timeout", timeout),
            ("connect_timeout", connect_timeout),
            ("keepalive", keepalive),
        ]:
            if value <= 0:
                raise ConfigurationError(f"{what} should be more than 0 seconds, not {value}")
        self.address = address
        self.timeout = timeout
        self.backlog = backlog
        self.pending = PendingCalls(clock, self._expired)
        self._codec = None if content_type == "auto" else _codec(content_type)
        self._on_change = on_change
        self._link = Link(
            self,
            self.pending.calls,
            address,
            endpoint or HostnameEndpoint(reactor, host, port, timeout=connect_timeout),
            clock,
            name=name,
            keepalive=keepalive,
            max_frame=max_frame,
        )

    # Calling

    def call(
        self,
        namespace: str,
        function: str,
        args: Sequence[Any] = (),
        *,
        timeout: float | None = None,
        content_type: str | None = None,
    ) -> Deferred[Any]:
        """Call ``namespace/function``, a name taken verbatim, with positional arguments.

        :return: fires once, with the result, or with an error of :mod:`slacker.errors`: among them
            :class:`~slacker.errors.NotSent` (it did not run), :class:`~slacker.errors.ConnectionLost` and
            :class:`~slacker.errors.CallTimeout` (it may have run), :class:`~slacker.errors.RemoteError` (it
            raised). Cancelling it forgets the answer, and interrupts the call on a server of this project.
        """
        pending = self.pending
        if len(pending.calls) >= self.backlog:
            return fail(self._overflow())
        call = PendingCall(self._cancelled)
        connection = self._link.connection
        try:
            call.name = wire_name(namespace, function)
            codec = self._codec if content_type is None else _codec(content_type)
            if connection is None:
                return self._wait(call, timeout, partial(self._send, args, codec))
            codec = self._codec_for(connection, codec)
            data = codec.dumps(args)
            if connection.paused:
                connection.check_room(len(data))
        except SlackerError as error:
            return fail(error)
        pending.add(call, timeout or self.timeout)
        connection.send(encode_request(call.tid, codec.wire_id, call.name, data))
        return call

    def namespace(self, name: str) -> Namespace[Deferred[Any]]:
        """The functions of a namespace as attributes and items."""
        return Namespace(self.call, name)

    def function(self, name: str, **options: Any) -> RemoteFunction[Deferred[Any]]:
        """``namespace/function`` as a Python callable; the options are those of :meth:`call`."""
        return RemoteFunction.named(self.call, name, options)

    # Asking the server about itself

    def functions(self, prefix: str | None = None) -> Deferred[list[str]]:
        """``namespace/function`` of all functions of the server whose name begins so."""
        return self._inspect(InspectCommand.FUNCTIONS, prefix)

    def meta(self, name: str) -> Deferred[dict[Any, Any]]:
        """What is known of ``namespace/function``: ``:name``, ``:doc``, ``:arglists``, if anything."""
        return self._inspect(InspectCommand.META, name).addCallback(lambda meta: meta or {})

    def clients(self) -> Deferred[dict[Any, Any]]:
        """The server's clients, its version, and since when it runs."""
        return self._inspect(InspectCommand.CLIENTS, None)

    # The connection

    @property
    def connected(self) -> bool:
        """Whether a call made now would leave now."""
        return self._link.connection is not None

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer, or for a connection."""
        return len(self.pending.calls)

    def connect(self) -> None:
        """Connect, if that has not begun."""
        self._link.start()

    def close(self) -> Deferred[None]:
        """Close the connection, and fail what is pending. Fires when that is done."""
        closed = self._link.close(_CLOSED)
        self._fail_all(_CLOSED)
        self.pending.stop()
        return closed

    # What the link reports

    def link_ready(self, connection: ClientConnection) -> None:
        """Send what has waited for a connection."""
        connection.codec = content.get("msgpack" if connection.peer_software.startswith(_OURS) else "clj")
        for call in list(self.pending.calls.values()):
            if call.send is not None and not call.called:
                send, call.send = call.send, None
                send(call)
        self._changed()

    def link_lost(self, reason: str) -> None:
        """What was sent may have run; what waits, waits for the next connection."""
        self._changed()
        sent = [call for call in self.pending.calls.values() if call.send is None]
        for call in self.pending.take(sent):
            call.errback(lost(reason, self.address, call.function))

    def link_failed(self, reason: str) -> None:
        """Who waits for a connection hears at once that none came, and may go elsewhere."""
        self._fail_all(reason)

    # How it goes on

    def _wait(
        self, call: PendingCall, timeout: float | None, send: Callable[[PendingCall], None]
    ) -> Deferred[Any]:
        """Keep a call until there is a connection."""
        if self._link.broken is not None:
            return fail(self._not_sent(call, self._link.broken))
        call.send = send
        self.pending.add(call, timeout or self.timeout)
        self.connect()
        return call

    def _send(self, args: Sequence[Any], codec: content.Codec | None, call: PendingCall) -> None:
        """Send a call that has waited for the connection."""
        connection = self._link.connection
        assert connection is not None
        try:
            codec = self._codec_for(connection, codec)
            data = codec.dumps(args)
            connection.check_room(len(data))
        except SlackerError as error:
            self.pending.remove(call)
            call.errback(error)
        else:
            connection.send(encode_request(call.tid, codec.wire_id, call.name, data))

    def _inspect(self, command: InspectCommand, argument: str | None) -> Deferred[Any]:
        if len(self.pending.calls) >= self.backlog:
            return fail(self._overflow())
        call = PendingCall(self._cancelled)
        call.name = f"inspect {command.name.lower()}".encode()
        call.read = partial(content.loads, "clj")
        try:
            send = partial(self._send_inspect, command, content.dumps("clj", argument))
        except SlackerError as error:
            return fail(error)
        if self._link.connection is None:
            return self._wait(call, None, send)
        self.pending.add(call, self.timeout)
        send(call)
        return call

    def _send_inspect(self, command: InspectCommand, data: bytes, call: PendingCall) -> None:
        connection = self._link.connection
        assert connection is not None
        if command == InspectCommand.CLIENTS and not connection.peer_software:
            self.pending.remove(call)
            call.errback(self._not_sent(call, "it is too old to answer this question"))
        else:
            connection.send(encode(InspectRequest(call.tid, command, data)))

    def _fail_all(self, reason: str) -> None:
        for call in self.pending.take(list(self.pending.calls.values())):
            call.errback(self._not_sent(call, reason))

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)

    def _expired(self, call: PendingCall) -> None:
        if call.send is not None:
            call.errback(self._not_sent(call, f"no connection within {call.timeout} s"))
            return
        text = f"{self.address} did not answer {call.function} within {call.timeout} s"
        call.errback(CallTimeout(text, server=self.address, function=call.function))

    def _cancelled(self, deferred: Deferred[Any]) -> None:
        """The caller has cancelled the call, which fails with CancelledError by itself."""
        call = cast(PendingCall, deferred)
        if not self.pending.remove(call):
            return
        connection = self._link.connection
        if call.send is None and connection is not None and connection.peer_software.startswith(_OURS):
            # Others would close the connection, and with it all other calls.
            connection.send(encode(Interrupt(call.tid)))

    def _codec_for(self, connection: ClientConnection, codec: content.Codec | None) -> content.Codec:
        """The codec of a call; None stands for what content type ``auto`` means here.

        :raises NotSent: if the peer would wait for ever for the end of it.
        """
        if codec is None or codec is connection.codec:
            return connection.codec
        if codec.name == "msgpack":  # the connection's own codec is not, so the peer is not of this project
            raise NotSent(
                f"{self.address} does not read msgpack, which only servers of this project do: "
                "leave the content type at auto, or choose clj or json",
                server=self.address,
            )
        return codec

    def _not_sent(self, call: PendingCall, reason: str) -> NotSent:
        text = f"{call.function} was not sent to {self.address}: {reason}"
        return NotSent(text, server=self.address, function=call.function)

    def _overflow(self) -> BacklogOverflow:
        return BacklogOverflow(
            f"{len(self.pending.calls)} calls wait for {self.address} already; slow down, or raise backlog",
            server=self.address,
        )


@lru_cache(maxsize=4096)  # names are few; a caller that makes them up costs no more than this
def wire_name(namespace: str, function: str) -> bytes:
    """``namespace/function`` as it stands in a request.

    :raises ConfigurationError: if it cannot be such a name.
    """
    if not namespace or "/" in namespace or not function:
        raise ConfigurationError(
            f"{namespace!r} and {function!r} should be a namespace without a slash and the name of a function"
        )
    try:
        name = f"{namespace}/{function}".encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{namespace!r}/{function!r} is no text that UTF-8 can carry") from None
    if len(name) > _MAX_NAME:
        raise ConfigurationError(f"a function's name of {len(name)} bytes is longer than {_MAX_NAME}")
    return name


def _codec(name: str) -> content.Codec:
    try:
        return content.get(name)
    except SlackerError as error:
        raise ConfigurationError(str(error)) from None
