"""A client of one server: one connection for all calls, that comes back when it breaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from slacker.address import parse_address
from slacker.client.authentication import checked_token
from slacker.client.channel import Channel
from slacker.client.inspection import inspect
from slacker.client.names import codec_named, seconds, whole, wire_name
from slacker.client.pace import Pace
from slacker.client.pending import PendingCall
from slacker.client.remote import Namespace, RemoteFunction
from slacker.client.staged import StagedCall
from slacker.content import Codec
from slacker.content.refusal import refused_arguments
from slacker.errors import ConfigurationError, ContentError, SlackerError
from slacker.interceptors.call import Call, Interceptor
from slacker.interceptors.context import outgoing_extensions
from slacker.interceptors.stages import Stages
from slacker.tls import ClientTls
from slacker.wire import DEFAULT_MAX_FRAME, InspectCommand, Request, encode, encode_request

#: Calls that may wait for one server at the same time, as many as upstream's clients let wait.
DEFAULT_BACKLOG = 5000


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
    :param version: of the protocol: 6, or 5 for old peers, which has neither hello nor extensions.
    :param interceptors: look at calls on their way, and may change what comes of them.
    :param interrupt_on_timeout: tell the server when a call times out, so that it need not go on; a server
        that is not of this project is told only with ``interrupt_any_peer``.
    :param interrupt_any_peer: interrupt calls on every server. Clojure's slacker 0.18 closes the connection
        then, and all calls on it are lost.
    :param tls: encrypt the connection, and trust only servers with a certificate for the host of ``address``:
        True for those that an authority of the system has signed, or a :class:`~slacker.tls.ClientTls`.
    :param auth: ``name:token``, shown to the server before any call. It is sent over TLS, or to a server on
        this machine; to every other, calls fail with :class:`~slacker.errors.NotSent`.
    :param endpoint: connect through this instead of TCP to ``address``, which then only names the server.
    :param pace: where clients of many servers share one, they do not all connect in the same moment.
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
        backlog: int = DEFAULT_BACKLOG,
        max_frame: int = DEFAULT_MAX_FRAME,
        name: str = "",
        version: int = 6,
        interceptors: Sequence[Interceptor] = (),
        interrupt_on_timeout: bool = False,
        interrupt_any_peer: bool = False,
        tls: ClientTls | bool = False,
        auth: str | None = None,
        endpoint: IStreamClientEndpoint | None = None,
        pace: Pace | None = None,
        on_change: Callable[[Client], None] | None = None,
        reactor: object | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        clock = cast(IReactorTime, reactor)
        host, port = parse_address(address)
        seconds("timeout", timeout)
        seconds("connect_timeout", connect_timeout)
        seconds("keepalive", keepalive)
        whole("backlog", backlog, 1)
        whole("max_frame", max_frame, 64)
        if version not in (5, 6):
            raise ConfigurationError(f"version should be 5 or 6, not {version!r}")
        endpoint = endpoint or _endpoint(reactor, host, port, connect_timeout)
        if tls:
            endpoint = (ClientTls() if tls is True else tls).secure(endpoint, host)
        self.address = address
        self._on_change = on_change
        self._stages = Stages(interceptors)
        self._staged = bool(self._stages)
        self._interrupt_on_timeout = interrupt_on_timeout
        self._encode_request = encode_request if version == 6 else _encode_request_v5
        self._channel = Channel(
            address,
            endpoint,
            clock,
            codec=None if content_type == "auto" else codec_named(content_type),
            timeout=timeout,
            backlog=backlog,
            interrupt_any_peer=interrupt_any_peer,
            name=name,
            keepalive=keepalive,
            max_frame=max_frame,
            version=version,
            auth=None if auth is None else checked_token(auth),
            pace=pace,
            changed=self._changed,
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
        extensions: Mapping[int, Any] | None = None,
        interrupt_on_timeout: bool | None = None,
        fire_and_forget: bool = False,
    ) -> Deferred[Any]:
        """Call ``namespace/function``, a name taken verbatim, with positional arguments.

        :param timeout: seconds; the client's own if None.
        :param content_type: as the client's.
        :param extensions: sent along, beside those of :func:`~slacker.interceptors.with_extensions`.
        :param interrupt_on_timeout: as the client's.
        :param fire_and_forget: do not wait for an answer: the Deferred fires with None when the call is sent,
            and nobody learns what came of it.
        :return: fires once, with the result, or with an error of :mod:`slacker.errors`: among them
            :class:`~slacker.errors.NotSent` (it did not run), :class:`~slacker.errors.ConnectionLost` and
            :class:`~slacker.errors.CallTimeout` (it may have run), :class:`~slacker.errors.RemoteError` (it
            raised). Cancelling it forgets the answer, and interrupts the call on a server of this project.
        """
        carried = outgoing_extensions()
        interrupt = self._interrupt_on_timeout if interrupt_on_timeout is None else interrupt_on_timeout
        if self._staged or carried or extensions or fire_and_forget:
            carried = {**(carried or {}), **(extensions or {})}
            call = Call(namespace, function, args, None, content_type or "", carried, self.address, timeout)
            return self._call_staged(call, interrupt, fire_and_forget)
        channel = self._channel
        connection = channel.link.connection
        try:
            if timeout is None:
                timeout = channel.timeout
            else:
                seconds("timeout", timeout)
            pending = channel.new_call(wire_name(namespace, function))
            if interrupt:
                pending.interrupt = True
            codec = None if content_type is None else codec_named(content_type)
            if connection is None:
                return channel.wait(pending, timeout, partial(self._send, args, codec))
            codec = channel.codec_for(connection, codec)
            try:
                data = codec.dumps(args)
            except ContentError as error:
                raise refused_arguments(codec.name, pending.function, error) from None
            if connection.outgoing.paused or len(pending.name) + len(data) > channel.max_arguments:
                channel.check_room(connection, pending, len(data))
        except SlackerError as error:
            return fail(error)
        tid = channel.pending.add(pending, timeout)
        connection.send(self._encode_request(tid, codec.wire_id, pending.name, data))
        return pending

    def namespace(self, name: str) -> Namespace[Deferred[Any]]:
        """The functions of a namespace as attributes and items."""
        return Namespace(self.call, name)

    def function(self, name: str, **options: Any) -> RemoteFunction[Deferred[Any]]:
        """``namespace/function`` as a Python callable; the options are those of :meth:`call`."""
        return RemoteFunction.named(self.call, name, options)

    # Asking the server about itself

    def functions(self, prefix: str | None = None) -> Deferred[list[str]]:
        """``namespace/function`` of all functions of the server whose name begins so."""
        return inspect(self._channel, InspectCommand.FUNCTIONS, prefix)

    def meta(self, name: str) -> Deferred[dict[Any, Any]]:
        """What is known of ``namespace/function``: ``:name``, ``:doc``, ``:arglists``, if anything."""
        return inspect(self._channel, InspectCommand.META, name).addCallback(lambda meta: meta or {})

    def clients(self) -> Deferred[dict[Any, Any]]:
        """The server's clients, its version, and since when it runs."""
        return inspect(self._channel, InspectCommand.CLIENTS)

    # The connection

    @property
    def connected(self) -> bool:
        """Whether a call made now would leave now."""
        return self._channel.link.connection is not None

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer, or for a connection."""
        return len(self._channel.pending.calls)

    def connect(self) -> None:
        """Connect, if that has not begun."""
        self._channel.link.start()

    def close(self) -> Deferred[None]:
        """Close the connection, and fail what is pending. Fires when that is done."""
        return self._channel.close()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)

    # How it goes on

    def _send(self, args: Sequence[Any], codec: Codec | None, call: PendingCall) -> None:
        """Send a call that has waited for the connection."""
        connection = self._channel.link.connection
        assert connection is not None
        try:
            codec = self._channel.codec_for(connection, codec)
            try:
                data = codec.dumps(args)
            except ContentError as error:
                raise refused_arguments(codec.name, call.function, error) from None
            self._channel.check_room(connection, call, len(data))
        except SlackerError as error:
            self._channel.pending.remove(call)
            call.errback(error)
        else:
            connection.send(self._encode_request(call.tid, codec.wire_id, call.name, data))

    def _call_staged(self, call: Call, interrupt: bool, forget: bool) -> Deferred[Any]:
        channel = self._channel
        try:
            call.timeout = channel.timeout if call.timeout is None else seconds("timeout", call.timeout)
        except ConfigurationError as error:
            return fail(error)
        staged = StagedCall(channel, self._stages, call, interrupt=interrupt, forget=forget)
        staged.start()
        return staged


def _endpoint(reactor: object, host: str, port: int, timeout: float) -> IStreamClientEndpoint:
    """The way to a host, without the resolver where nothing is to be resolved: it costs ten times as much."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port, timeout)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port, timeout)
    return HostnameEndpoint(reactor, host, port, timeout=timeout)


def _encode_request_v5(tid: int, content_type: int, function: bytes, data: bytes) -> list[bytes]:
    return [encode(Request(tid, content_type, function.decode(), data, version=5))]
