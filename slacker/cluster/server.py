"""A server that is a member of a cluster: it serves, and ZooKeeper knows of it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.address import format_address, parse_address
from slacker.cluster.layout import Layout
from slacker.cluster.publisher import Publisher
from slacker.errors import ConfigurationError
from slacker.server import SlackerServer
from slacker.zookeeper import State, ZookeeperClient

_EVERYWHERE = {"0.0.0.0", "::"}


class ClusterServer(Service):
    """Publishes what a :class:`~slacker.SlackerServer` exposes in ZooKeeper, where clients find it.

    ::

        member = ClusterServer(server, cluster="example-cluster", zk="127.0.0.1:2181")
        await member.listen("tcp:2104")

    It serves whether ZooKeeper can be reached or not, and is published as soon as it can, and again whenever
    ZooKeeper has lost it.

    :param cluster: the cluster's name.
    :param zk: ZooKeeper's addresses, ``host:port[,host:port…][/chroot]``.
    :param node: under which ``host`` or ``host:port`` clients reach this server; IPv6 in brackets. Without a
        port it is that of the first TCP listener. Without anything, the host is the listener's interface if
        it has one, else the local address of the connection to ZooKeeper.
    :param server_data: what clients may know of this server: any value that EDN can carry, like
        ``{Keyword("weight"): 3}``.
    :param zk_root: where clusters live in ZooKeeper.
    :param zk_session_timeout: seconds without a word from this server after which ZooKeeper drops it;
        upstream's default.
    :param zk_connect_timeout: seconds that one attempt to connect to ZooKeeper may take; upstream's default.
    :raises ConfigurationError: if one of these is wrong.
    """

    log = Logger()

    def __init__(
        self,
        server: SlackerServer,
        cluster: str,
        zk: str = "127.0.0.1:2181",
        *,
        node: str | None = None,
        server_data: Any = None,
        zk_root: str = "/slacker/cluster",
        zk_session_timeout: float = 15.0,
        zk_connect_timeout: float = 10.0,
        reactor: object | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._clock = cast(IReactorTime, reactor)
        self.server = server
        self._node = (None, None) if node is None else _parse_node(node)
        self._layout = Layout(zk_root, cluster)
        self._server_data = server_data
        self.zookeeper = ZookeeperClient(
            zk,
            session_timeout=zk_session_timeout,
            connect_timeout=zk_connect_timeout,
            reactor=self._clock,
        )
        self.zookeeper.add_listener(self._zookeeper_changed)
        self._listeners: list[object] = []  # where the server listens
        self._publisher: Publisher | None = None
        self._published: list[Deferred[None]] = []
        self._joining = False
        self._stopped: Deferred[None] | None = None
        # What cannot be published is refused here, not when ZooKeeper is reached.
        self._new_publisher("127.0.0.1:1")

    def listen(self, endpoint: str) -> Deferred[IListeningPort]:
        """Listen on a Twisted endpoint string, like ``tcp:2104``; the first TCP one is published.

        Errors are those of :meth:`slacker.SlackerServer.listen`.
        """
        return self.server.listen(endpoint).addCallback(self._listening)

    @property
    def address(self) -> str | None:
        """``host:port`` under which this server is published; None until that is known."""
        return self._publisher.address if self._publisher else None

    def when_published(self) -> Deferred[None]:
        """Fires when ZooKeeper holds everything that this server wants published.

        It fails with :class:`~slacker.errors.ConfigurationError` if the server has no address that others can
        reach.
        """
        if self._publisher is not None:
            return self._publisher.when_published()
        published: Deferred[None] = Deferred()
        self._published.append(published)
        return published

    def stop(self) -> Deferred[None]:
        """Leave the cluster, finish the calls that run, and close. Fires when that is done."""
        if self._stopped is None:
            self._stopped = Deferred.fromCoroutine(self._stop())
        stopped: Deferred[None] = Deferred()
        self._stopped.addBoth(_pass_on, stopped)
        return stopped

    def stopService(self) -> Deferred[None]:
        """Twisted's name for :meth:`stop`."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's Service has no annotations
        return self.stop()

    async def _stop(self) -> None:
        if self._publisher is not None:
            await self._publisher.stop()
        await self.server.stop()
        await self.zookeeper.close()

    def _listening(self, port: IListeningPort) -> IListeningPort:
        self._listeners.append(port.getHost())
        if not self._joining and self._stopped is None:
            self._joining = True
            self.zookeeper.connect().addErrback(self._not_connected)
        return port

    def _not_connected(self, failure: Failure) -> None:
        """ZooKeeper is out of reach at the start: its client goes on trying, and the server serves."""
        if self._stopped is None:
            self.log.warn("serving, but not published yet: {reason}", reason=failure.getErrorMessage())

    def _zookeeper_changed(self, state: State) -> None:
        if state is not State.CONNECTED or self._publisher is not None or self._stopped is not None:
            return
        waiting, self._published = self._published, []
        try:
            self._publisher = self._new_publisher(self._find_address())
        except ConfigurationError as error:
            self.log.critical("serving, but not published: {reason}", reason=str(error))
            for published in waiting:
                published.errback(error)
            return
        self._publisher.start()
        for published in waiting:
            self._publisher.when_published().addBoth(_pass_on, published)

    def _new_publisher(self, address: str) -> Publisher:
        namespaces = {
            namespace: {name: function.metadata for name, function in functions.items()}
            for namespace, functions in self.server.functions.namespaces.items()
        }
        return Publisher(
            self.zookeeper, self._layout, address, namespaces, self._server_data, clock=self._clock
        )

    def _find_address(self) -> str:
        host, port = self._node
        listener = next((at for at in self._listeners if isinstance(at, (IPv4Address, IPv6Address))), None)
        if port is None:
            if listener is None:
                raise ConfigurationError(
                    "the server listens on no TCP port that could be published: say node=host:port"
                )
            port = listener.port
        if host is None:
            bound = listener.host if listener is not None and listener.host not in _EVERYWHERE else None
            host = bound or self.zookeeper.local_host or "127.0.0.1"
        zookeeper = self.zookeeper.peer_host
        if _is_loopback(host) and zookeeper is not None and not _is_loopback(zookeeper):
            raise ConfigurationError(
                f"the address {host} means another machine to each machine that reads it, and ZooKeeper "
                f"({zookeeper}) is not on this one: listen where others reach it, or say node=host"
            )
        return format_address(host, port)


def _parse_node(node: str) -> tuple[str, int | None]:
    if node.endswith("]") or ":" not in node:
        return parse_address(f"{node}:1")[0], None
    return parse_address(node)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost" or host.endswith(".localhost")


def _pass_on(result: Any, to: Deferred[Any]) -> Any:
    to.callback(result) if not isinstance(result, Failure) else to.errback(result)
