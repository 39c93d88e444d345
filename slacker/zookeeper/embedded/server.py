"""The service: ports, connections, sessions, and the clock that ends them."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.errors import ZookeeperError
from slacker.zookeeper.embedded.connection import Connection
from slacker.zookeeper.embedded.processor import Processor
from slacker.zookeeper.embedded.records import Connect
from slacker.zookeeper.embedded.sessions import Session, SessionTable

# A test has tens of clients; a process can have about a thousand sockets.
MAX_CONNECTIONS = 1_000

# Seconds a connection may be open without a session: before its handshake, or closed but not yet read up.
HANDSHAKE_TIMEOUT = 10.0

# Milliseconds between 1970 and 2024, from where the transaction ids of a new server are counted.
_EPOCH = 1_704_067_200_000


class EmbeddedZooKeeper(Service):
    """A ZooKeeper server of one node, in memory, on Twisted's reactor: for development and tests.

    It speaks ZooKeeper's own protocol, so every client works with it. Nothing is written to disk; what it
    holds stays through :meth:`stop` and a new :meth:`listen`, as a real server's data does, and goes with the
    object.

    It is an ``IService``: ``startService`` starts its clock, which :meth:`listen` does as well, and
    ``stopService`` is :meth:`stop`.

    :param reactor: the reactor to run on; by default the one that is installed.
    :param tick_time: seconds between two looks for expired sessions, emptied containers and nodes past their
        time to live.
    :param min_session_timeout: seconds; a client that asks for less gets this.
    :param max_session_timeout: seconds; a client that asks for more gets this.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any = None,
        tick_time: float = 0.5,
        min_session_timeout: float = 1.0,
        max_session_timeout: float = 40.0,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._tick_time = tick_time
        now_ms = int(self.seconds() * 1000)
        # A million transactions a millisecond: the ids of a server started later are always higher, so a
        # client of the one before finds its session gone, but does not see time run backwards, which it would
        # refuse for ever.
        self.processor = Processor(self.seconds, first_zxid=max(now_ms - _EPOCH, 0) << 20)
        self.sessions = SessionTable(
            min_session_timeout, max_session_timeout, first_id=max(now_ms - _EPOCH, 0) << 20 | 1
        )
        #: Makes the protocol of each connection; for transports and endpoints of your own.
        self.factory = ZooKeeperFactory(self)
        self._ports: list[IListeningPort] = []
        self._connections: dict[Connection, None] = {}
        self._attached: dict[int, Connection] = {}
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = reactor
        self._last_tick = self.seconds()
        self._when_gone: list[Deferred[None]] = []

    # -- for its users -----------------------------------------------------------------------------

    def listen(self, endpoint: str) -> Deferred[IListeningPort]:
        """Take clients on an endpoint, like ``tcp:2181:interface=127.0.0.1``; port 0 is any free one.

        May be called for several endpoints. The Deferred fires with the port, or with what was wrong with the
        endpoint.
        """
        d: Deferred[IListeningPort] = maybeDeferred(
            lambda: serverFromString(self._reactor, endpoint).listen(self.factory)
        )

        def listening(port: IListeningPort) -> IListeningPort:
            self._ports.append(port)
            self._start_ticking()
            return port

        return d.addCallback(listening)

    @property
    def address(self) -> str:
        """``host:port`` of the first port: what a client is given.

        :raises ZookeeperError: while there is none.
        """
        if not self._ports:
            raise ZookeeperError("the embedded ZooKeeper has no address yet: wait for listen() first")
        host = self._ports[0].getHost()
        if not isinstance(host, (IPv4Address, IPv6Address)):
            raise ZookeeperError(f"the embedded ZooKeeper's first port is {host}, which has no host and port")
        return f"[{host.host}]:{host.port}" if ":" in host.host else f"{host.host}:{host.port}"

    def startService(self) -> None:
        """Start the clock."""
        self.running = True  # all that Service.startService does, which has no types
        self._start_ticking()

    def stopService(self) -> Deferred[None]:
        """As :meth:`stop`."""
        return self.stop()

    def stop(self) -> Deferred[None]:
        """Close ports and connections; fires when they are closed.

        Sessions and nodes stay, and wait for another :meth:`listen`.
        """
        self.running = False
        if self._ticking.running:
            self._ticking.stop()
        ports, self._ports = self._ports, []
        waiting: list[Deferred[Any]] = [maybeDeferred(port.stopListening) for port in ports]
        waiting.append(self.drop_connections())
        return DeferredList(waiting, fireOnOneErrback=True).addCallback(lambda _: None)

    def drop_connections(self) -> Deferred[None]:
        """Cut every connection, as a network would; sessions live on. Fires when all are gone."""
        if not self._connections:
            return succeed(None)
        gone: Deferred[None] = Deferred()
        self._when_gone.append(gone)
        for connection in list(self._connections):
            self._cut(connection)
        return gone

    def expire_session(self, session_id: int) -> bool:
        """End a session as its timeout would: its ephemeral nodes go, its connection is cut.

        Whether there was such a session.
        """
        session = self.sessions.find(session_id)
        if session is None:
            return False
        self.end_session(session)
        connection = self._attached.pop(session_id, None)
        if connection is not None:
            self._cut(connection)
        return True

    def clients(self) -> list[str]:
        """One line for each connection."""
        return [str(connection) for connection in self._connections]

    # -- for connections ---------------------------------------------------------------------------

    def seconds(self) -> float:
        """The time."""
        return float(self._reactor.seconds())

    def connected(self, connection: Connection) -> None:
        """A connection was made."""
        self._connections[connection] = None
        if len(self._connections) > MAX_CONNECTIONS:
            self.log.warn(
                "refused {client}: {count} connections are open",
                client=str(connection),
                count=MAX_CONNECTIONS,
            )
            connection.abort()

    def disconnected(self, connection: Connection) -> None:
        """A connection is gone."""
        self._detach(connection)
        self._connections.pop(connection, None)
        if not self._connections:
            waiting, self._when_gone = self._when_gone, []
            for gone in waiting:
                gone.callback(None)

    def open_session(self, connection: Connection, connect: Connect) -> Session | None:
        """A new session or the client's old one; None if that is gone, or the password is not its own.

        :raises ZookeeperError: if the client cannot have any here.
        """
        if connect.last_zxid > self.processor.zxid:
            raise ZookeeperError(
                f"the client has seen transaction {connect.last_zxid:#x}, and this server is at"
                f" {self.processor.zxid:#x}: it talked to another server before"
            )
        timeout = connect.timeout / 1000
        if connect.session_id:
            session = self.sessions.reopen(connect.session_id, connect.password, timeout, self.seconds())
            if session is None:
                return None
            old = self._attached.get(session.id)
            if old is not None:
                self._cut(old)
        else:
            session = self.sessions.open(timeout, self.seconds())
            if session is None:
                raise ZookeeperError(f"{len(self.sessions)} sessions are open: this server takes no more")
            self.processor.open_session()
        self._attached[session.id] = connection
        return session

    def heard_of(self, session: Session) -> None:
        """A session's client sent something."""
        self.sessions.touch(session, self.seconds())

    def end_session(self, session: Session) -> None:
        """Delete a session and what it owns."""
        self.sessions.close(session.id)
        self.processor.close_session(session.id)

    # -- inside ------------------------------------------------------------------------------------

    def _cut(self, connection: Connection) -> None:
        self._detach(connection)
        connection.abort()

    def _detach(self, connection: Connection) -> None:
        """Forget the connection's watches, and that it is its session's."""
        self.processor.watches.forget(connection)
        if self._attached.get(connection.session_id) is connection:
            del self._attached[connection.session_id]

    def _start_ticking(self) -> None:
        if not self._ticking.running:
            # Nobody could be heard while the server was stopped.
            self.sessions.postpone(self.seconds() - self._last_tick)
            self._last_tick = self.seconds()
            self._ticking.start(self._tick_time, now=False).addErrback(self._tick_failed)

    def _tick(self) -> None:
        now = self.seconds()
        late = now - self._last_tick - self._tick_time
        self._last_tick = now
        if late > self._tick_time:
            # The process was held up (a debugger, a slow test, a suspended machine), and the clients' pings
            # with it.
            self.sessions.postpone(late)
        for session in self.sessions.expired(now):
            self.log.info("session {id:#x} expired", id=session.id)
            self.expire_session(session.id)
        self.processor.reap()
        for connection in list(self._connections):
            if connection.overdue(now - HANDSHAKE_TIMEOUT):
                connection.abort()

    def _tick_failed(self, failure: Failure) -> None:
        self.log.failure("the embedded ZooKeeper's clock stopped: sessions expire no more", failure)


class ZooKeeperFactory(Factory):
    """Makes the connections of a server."""

    noisy = False

    def __init__(self, server: EmbeddedZooKeeper) -> None:
        self._server = server

    def buildProtocol(self, addr: IAddress | None) -> Connection:
        """One for each client."""
        return Connection(self._server)
