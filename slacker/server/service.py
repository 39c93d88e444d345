"""A server: what it exposes, where it listens, whom it serves, and how it stops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorFromThreads,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.task import deferLater
from twisted.logger import Logger

from slacker import content
from slacker._version import VERSION
from slacker.content import BY_ID, Codec
from slacker.errors import ConfigurationError, ContentError
from slacker.interceptors import Interceptor
from slacker.server.connection import ServerConnection
from slacker.server.execution import Execution
from slacker.server.functions import Exposable, Functions
from slacker.server.limits import Limits
from slacker.server.peer import PeerInfo
from slacker.server.workers import PoolStatus, WorkerPool, Workers
from slacker.tls import ServerTls

if TYPE_CHECKING:
    from slacker.server.auth import Authenticator

_DEFAULT_LIMITS = Limits()

# Before connections are closed, no call shall have come for so many seconds, since those on the way would be
# lost; but it waits no longer than the second.
_QUIET = 0.25
_QUIET_LIMIT = 2.0
# Seconds in which a peer takes the last bytes of its connection before it is cut.
_CLOSE_TIMEOUT = 1.0


class Connection(Protocol):
    """What a server knows of one connection: of the protocol's own, or of the HTTP gateway's."""

    peer: PeerInfo
    transport: Any

    def look(self) -> None:
        """Close it if the peer is late; called every half of ``frame_timeout``."""

    def close(self) -> None:
        """Close it after what has been written."""


class SlackerServer(Service):
    """Exposes functions to slacker clients.

    ::

        server = SlackerServer([myapp.api, {"myapp.tools": {"echo": echo}}])
        await server.listen("tcp:2104")

    A plain function may block, and runs in a pool of worker threads. An ``async def`` function and one marked
    :func:`~slacker.server.nonblocking` run on the reactor.

    :param exposed: modules, and maps of namespaces to functions or modules.
    :param threads: worker threads; upstream's default.
    :param queue_size: calls that wait for a thread; one more is answered "thread pool full". Upstream's
        default.
    :param limits: what it bears of a peer, and of all.
    :param drain_timeout: seconds that :meth:`stop` waits for running calls.
    :param executors: namespace → (threads, queue_size) of a worker pool of its own.
    :param content_types: the names of those that calls may use; all of :data:`slacker.content.CODECS`
        without.
    :param interceptors: look at calls on their way, and may change what comes of them.
    :param debug: tell callers the stack trace of an exception, too.
    :param tls: encrypts what is listened on, except ``ssl:`` endpoints (which do it themselves) and ``unix:``
        ones.
    :param auth: who may call what. Nobody else is served, on this machine neither.
    :raises ConfigurationError: if something cannot be exposed under the name it has.
    """

    log = Logger()
    #: What a hello says of this server.
    software = f"txslacker/{VERSION}"

    def __init__(
        self,
        exposed: Iterable[Exposable],
        *,
        threads: int = 10,
        queue_size: int = 3000,
        limits: Limits = _DEFAULT_LIMITS,
        drain_timeout: float = 30.0,
        executors: Mapping[str, tuple[int, int]] | None = None,
        content_types: Sequence[str] | None = None,
        interceptors: Sequence[Interceptor] = (),
        debug: bool = False,
        tls: ServerTls | None = None,
        auth: Authenticator | None = None,
        reactor: object | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._clock = cast(IReactorTime, reactor)
        self.called = False  # set by every call; whoever watches unsets it
        self.functions = Functions(exposed)
        self.workers: Workers = WorkerPool(
            cast(IReactorFromThreads, reactor), threads, queue_size, after_batch=self.flush
        )
        self._pools: dict[str, Workers] = {
            namespace: WorkerPool(
                cast(IReactorFromThreads, reactor), *sizes, name=namespace, after_batch=self.flush
            )
            for namespace, sizes in (executors or {}).items()
        }
        for namespace in self._pools.keys() - self.functions.namespaces.keys():
            raise ConfigurationError(f"executors: no namespace {namespace!r} is exposed")
        self.codecs = BY_ID if content_types is None else _pinned(content_types)
        self.interceptors = tuple(interceptors)
        self.debug = debug
        self.tls = tls
        self.auth = auth
        self.seconds = self._clock.seconds
        self.call_later = self._clock.callLater
        self.limits = limits
        self.drain_timeout = drain_timeout
        self.draining = False
        self.started_on = datetime.now(timezone.utc)
        self.connections: set[Connection] = set()
        self.to_flush: set[ServerConnection] = set()
        self._running = 0
        self._full = False  # one line in the log for each time that it gets full
        self._looking: IDelayedCall | None = None
        self._idle: list[Deferred[None]] = []
        self._closed: list[Deferred[None]] = []
        self.execution = Execution(self)
        self.factory = _ServerFactory(self)
        self._ports: list[IListeningPort] = []

    def listen(self, endpoint: str) -> Deferred[IListeningPort]:
        """Listen on a Twisted endpoint string, like ``tcp:2104`` or ``tcp:0:interface=127.0.0.1``.

        :raises ConfigurationError: if the string is no endpoint. A port that cannot be had fails the Deferred
            with Twisted's :class:`~twisted.internet.error.CannotListenError`.
        """
        return self._listen(endpoint, self.factory)

    def listen_http(self, endpoint: str) -> Deferred[IListeningPort]:
        """Answer HTTP on a Twisted endpoint string, with the same functions, interceptors, pools and limits.

        Errors are those of :meth:`listen`. See :mod:`slacker.server.http`.
        """
        from slacker.server.http import site  # twisted.web takes its time to load, and few servers need it

        return self._listen(endpoint, site(self))

    def _listen(self, endpoint: str, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        try:
            if self.tls is not None:
                factory = self.tls.factory_for(endpoint, factory)
            if isinstance(factory, Factory):
                factory.noisy = False  # each port has its line in the log
            listening: Deferred[IListeningPort] = serverFromString(self._reactor, endpoint).listen(factory)
        except (ImportError, NameError):  # of ssl: and tls:, where pyOpenSSL is missing
            raise ConfigurationError(
                f"endpoint {endpoint!r} needs the extra tls: pip install 'txslacker[tls]'"
            ) from None
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ConfigurationError(
                f"endpoint {endpoint!r} should be like tcp:2104 or tcp:2104:interface=127.0.0.1 ({error})"
            ) from None
        return listening.addCallback(self._listening)

    def when_quiet(self, seconds: float, at_most: float) -> Deferred[None]:
        """Fires when no call has come for so many seconds, or after ``at_most`` seconds."""
        return Deferred.fromCoroutine(self._quiet(seconds, self._clock.seconds() + at_most))

    async def _quiet(self, seconds: float, deadline: float) -> None:
        self.called = True
        while self.called and self._clock.seconds() < deadline:
            self.called = False
            await deferLater(self._clock, min(seconds, deadline - self._clock.seconds()))

    def stop(self) -> Deferred[None]:
        """Stop gracefully: take no new connection and no new call, finish those running, close.

        While calls still come, they are answered "thread pool full", which says that they did not run; then
        connections are closed.

        The Deferred fires when all is closed, some two seconds after ``drain_timeout`` at the latest.
        """
        self.draining = True
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        await DeferredList([Deferred.fromCoroutine(_stop_listening(port)) for port in ports])
        await self._drained()
        if self.connections and self.called:
            await self.when_quiet(_QUIET, _QUIET_LIMIT)
        await self._close()

    def stopService(self) -> Deferred[None]:
        """Twisted's name for :meth:`stop`."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's Service has no annotations
        return self.stop()

    def pools(self) -> dict[str, PoolStatus]:
        """How busy each worker pool is, by namespace; ``*`` is the one of all that have none of their own."""
        return {name: pool.status() for name, pool in [("*", self.workers), *self._pools.items()]}

    def pool_of(self, namespace: str) -> Workers:
        """The worker pool in which a namespace's functions run."""
        return self._pools.get(namespace, self.workers)

    # What connections report

    def refusal(self) -> StreamProtocol | None:
        """What closes a new connection at once; None while there is room for one more."""
        full = len(self.connections) >= self.limits.max_connections
        if full and not self._full:
            self.log.warn("refusing connections beyond {most}", most=self.limits.max_connections)
        self._full = full
        return _Refusal() if full else None

    def connected(self, connection: Connection) -> None:
        """A peer has connected."""
        self.connections.add(connection)
        if self._looking is None:
            self._look_later()

    def disconnected(self, connection: Connection) -> None:
        """A peer has gone; calls of its that run are finished, and their answers dropped."""
        self.connections.discard(connection)
        if not self.connections:
            if self._looking is not None:
                self._looking.cancel()
                self._looking = None
            _fire(self._closed)

    def call_began(self) -> None:
        """One more call runs or waits."""
        self._running += 1

    def call_ended(self) -> None:
        """One less does."""
        self._running -= 1
        if not self._running and self._idle:
            _fire(self._idle)

    @property
    def calls_running(self) -> int:
        """Calls that run or wait, of all connections; those that end in the turn they come in never count."""
        return self._running

    def _look_later(self) -> None:
        self._looking = self._clock.callLater(self.limits.frame_timeout / 2, self._look)

    def _look(self) -> None:
        """Find peers that trickle or say nothing: one timer for all, and nothing to do for each read."""
        self._look_later()
        for connection in list(self.connections):
            connection.look()

    def _listening(self, port: IListeningPort) -> IListeningPort:
        self._ports.append(port)
        return port

    def flush(self) -> None:
        """Write what worker threads have answered."""
        for connection in self.to_flush:
            connection.flush()
        self.to_flush.clear()

    def _drained(self) -> Deferred[None]:
        if not self._running:
            return succeed(None)
        drained: Deferred[None] = Deferred()
        self._idle.append(drained)
        timer = self._clock.callLater(self.drain_timeout, self._give_up)
        return drained.addBoth(_cancel, timer)

    def _give_up(self) -> None:
        self.log.warn("stopping with {count} calls still running", count=self._running)
        _fire(self._idle)

    def _close(self) -> Deferred[None]:
        self.flush()
        for pool in (self.workers, *self._pools.values()):
            pool.stop()
        if not self.connections:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closed.append(closed)
        for connection in self.connections:
            connection.close()
        # A peer that takes no more bytes would keep a graceful close waiting for ever.
        timer = self._clock.callLater(_CLOSE_TIMEOUT, self._abort)
        return closed.addBoth(_cancel, timer)

    def _abort(self) -> None:
        for connection in list(self.connections):
            connection.transport.abortConnection()


def _pinned(names: Sequence[str]) -> Mapping[int, Codec]:
    try:
        codecs = [content.get(name) for name in names]
    except ContentError as error:
        raise ConfigurationError(f"content_types: {error}") from None
    return {codec.wire_id: codec for codec in codecs}


async def _stop_listening(port: IListeningPort) -> None:
    stopped = port.stopListening()
    if stopped is not None:
        await stopped


def _fire(waiting: list[Deferred[None]]) -> None:
    firing = waiting[:]
    waiting.clear()
    for deferred in firing:
        deferred.callback(None)


def _cancel(result: None, timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()


class _Refusal(StreamProtocol):
    """Closes. A factory could return None instead, but Twisted's TLS does not bear that."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.abortConnection()


class _ServerFactory(Factory):
    noisy = False

    def __init__(self, server: SlackerServer) -> None:
        self._server = server

    def logPrefix(self) -> str:
        """Who starts on a port, in Twisted's line about it."""
        return "slacker server"

    def buildProtocol(self, addr: IAddress | None) -> Any:
        return self._server.refusal() or ServerConnection(self._server, addr)
