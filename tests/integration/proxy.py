"""A TCP proxy that tests put between a client and ZooKeeper, to cut, stall and restore the line."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from slacker.address import parse_address
from tests.integration.processes import deferred, until


class Proxy:
    """Listens on a free loopback port and passes everything on to ``target``.

    ``cut()`` aborts all connections and closes new ones at once, as a kernel does whose process died;
    ``stall()`` keeps connections open but lets no byte through, as a firewall that drops packets does;
    ``restore()`` ends either, and what arrived while stalled is delivered then.
    """

    def __init__(self, target: str) -> None:
        self._host, self._port = parse_address(target)
        self._listening: IListeningPort | None = None
        self._pairs: set[_Front] = set()
        self.open = True
        self.stalled = False

    @property
    def address(self) -> str:
        """``host:port`` for the client; known once started."""
        assert self._listening is not None, "not started"
        host = self._listening.getHost()
        assert isinstance(host, IPv4Address)
        return f"127.0.0.1:{host.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._pairs)

    @deferred
    async def start(self) -> None:
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self._listening = await endpoint.listen(_Fronts(self))

    @deferred
    async def stop(self) -> None:
        self.cut()
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await maybeDeferred(listening.stopListening)
        await until(lambda: not self._pairs, "the proxy's connections closing")

    def cut(self) -> None:
        """Break every connection; new ones are closed as they come."""
        self.open = False
        for front in list(self._pairs):
            front.abort()

    def stall(self) -> None:
        """Let nothing through in either direction, and accept no new connection to the target."""
        self.stalled = True
        for front in self._pairs:
            front.stall()

    def restore(self) -> None:
        """As new: connections pass, stalled ones go on where they stopped."""
        self.open = True
        self.stalled = False
        for front in list(self._pairs):
            front.restore()

    def connect(self, back: _Back) -> Deferred[IProtocol]:
        from twisted.internet import reactor

        return TCP4ClientEndpoint(reactor, self._host, self._port).connect(_OneProtocol(back))

    def opened(self, front: _Front) -> None:
        self._pairs.add(front)

    def closed(self, front: _Front) -> None:
        self._pairs.discard(front)


class _Side(Protocol):
    """One end of a pair; bytes that come before the other end is there, or while stalled, are kept."""

    other: _Side | None = None
    stalled = False
    connected_now = False

    def __init__(self) -> None:
        self._kept: list[bytes] = []

    def connectionMade(self) -> None:
        self.connected_now = True
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        if self.other is not None:  # else this side is being closed, too
            self.other.send(data)

    def send(self, data: bytes) -> None:
        self._kept.append(data)
        self.flush()

    def flush(self) -> None:
        if self.connected_now and not self.stalled:
            assert self.transport is not None
            self.transport.writeSequence(self._kept)
            self._kept = []

    def abort(self) -> None:
        if self.connected_now:
            assert self.transport is not None
            self.transport.abortConnection()  # type: ignore[attr-defined]  # every TCP transport has it

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected_now = False
        other, self.other = self.other, None
        if other is not None:
            if other.connected_now and not other.stalled:
                assert other.transport is not None
                other.transport.loseConnection()
            else:
                other.abort()


class _Back(_Side):
    """The connection to ZooKeeper."""


class _Front(_Side):
    """A client's connection; it owns the pair."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._dialling: Deferred[IProtocol] | None = None

    def connectionMade(self) -> None:
        if not self._proxy.open:
            self.connected_now = True
            self.abort()
            return
        super().connectionMade()
        self._proxy.opened(self)
        self.other = _Back()
        self.other.other = self
        if self._proxy.stalled:
            self.stall()
        else:
            self._dial()

    def _dial(self) -> None:
        assert isinstance(self.other, _Back)
        self._dialling = self._proxy.connect(self.other)
        self._dialling.addErrback(lambda reason: self.abort())

    def stall(self) -> None:
        self.stalled = True
        if self.other is not None:
            self.other.stalled = True

    def restore(self) -> None:
        self.stalled = False
        if self.other is not None:
            self.other.stalled = False
            if self._dialling is None:
                self._dial()
            self.other.flush()
        self.flush()

    def abort(self) -> None:
        super().abort()
        if self.other is not None:
            self.other.abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if self._dialling is not None:
            self._dialling.cancel()
        self._proxy.closed(self)


class _Fronts(Factory):
    noisy = False

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def buildProtocol(self, addr: object) -> Protocol:
        return _Front(self._proxy)


class _OneProtocol(Factory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._one = protocol

    def buildProtocol(self, addr: object) -> Protocol:
        return self._one
