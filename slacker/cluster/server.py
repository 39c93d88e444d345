"""A server that is a member of a cluster: it serves, and ZooKeeper knows of it."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.address import format_address, parse_address
from slacker.cluster.layout import Layout
from slacker.cluster.manager import NAMESPACE, Manager, may_manage
from slacker.cluster.publisher import Publisher
from slacker.errors import ConfigurationError, ZookeeperError
from slacker.server import SlackerServer
from slacker.zookeeper import State, ZookeeperClient, ZookeeperTls

_EVERYWHERE = {"0.0.0.0", "::"}

# When a server has left ZooKeeper it goes on serving until clients have heard: until no call came for so many
# seconds, of which a client that calls at all makes several, and no longer than the second.
_QUIET = 0.25
_QUIET_LIMIT = 2.0
# Seconds without ZooKeeper, at the start, after which the log says that this server is not published yet.
_SAY_SO_AFTER = 0.8


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
    :param manager: expose the namespace ``slacker.cluster.manager``, by whose functions peers on this machine
        publish and unpublish namespaces, change the server data and shut the server down; on a server with
        ``auth``, those to whom it opens that namespace. Clients do not find it in ZooKeeper.
    :param on_leadership: called on the reactor with a namespace and True when this server begins to lead it,
        and with False when it does no more.
    :param on_shutdown: called when the manager's ``shutdown`` was; :meth:`stop` without it.
    :param zk_root: where clusters live in ZooKeeper.
    :param zk_session_timeout: seconds without a word from this server after which ZooKeeper drops it;
        upstream's default.
    :param zk_connect_timeout: seconds that one attempt to connect to ZooKeeper may take; upstream's default.
    :param zk_auth: who this server is to ZooKeeper: ``digest:USER:PASSWORD`` or ``sasl:USER:PASSWORD``.
    :param zk_acl: who may do what with the nodes it creates: ``creator``, or entries like
        ``world:anyone:r``; everybody may do everything without it.
    :param zk_tls: encrypts the connection to ZooKeeper, a :class:`~slacker.zookeeper.ZookeeperTls`.
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
        manager: bool = False,
        on_leadership: Callable[[str, bool], object] | None = None,
        on_shutdown: Callable[[], object] | None = None,
        zk_root: str = "/slacker/cluster",
        zk_session_timeout: float = 15.0,
        zk_connect_timeout: float = 10.0,
        zk_auth: str | None = None,
        zk_acl: str | None = None,
        zk_tls: ZookeeperTls | None = None,
        reactor: object | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._clock = cast(IReactorTime, reactor)
        self.server = server
        self._node = (None, None) if node is None else _parse_node(node)
        self._layout = Layout(zk_root, cluster)
        self._server_data = server_data
        self._offline: set[str] = set()
        self._on_leadership = on_leadership
        if manager:
            managed = Manager(self, on_shutdown or self.stop, clock=self._clock)
            server.functions.add({NAMESPACE: managed.functions}, on_reactor=True, allow=may_manage)
        self.zookeeper = ZookeeperClient(
            zk,
            session_timeout=zk_session_timeout,
            connect_timeout=zk_connect_timeout,
            auth=zk_auth,
            acl=zk_acl,
            tls=zk_tls,
            reactor=self._clock,
        )
        self.zookeeper.add_listener(self._zookeeper_changed)
        self._listeners: list[object] = []  # where the server listens
        self._publisher: Publisher | None = None
        self._refused = ""  # why there is no publisher, although ZooKeeper was reached
        self._waiting: list[Deferred[None]] = []  # for the publisher, or for the reason why there is none
        self._joining = False
        self._stopped: Deferred[None] | None = None
        self._exposed = {
            namespace: {name: function.metadata for name, function in functions.items()}
            for namespace, functions in server.functions.namespaces.items()
        }
        # What cannot be published is refused here, not when ZooKeeper is reached.
        self._new_publisher("127.0.0.1:1", server_data)

    def listen(self, endpoint: str) -> Deferred[IListeningPort]:
        """Listen on a Twisted endpoint string, like ``tcp:2104``; the first TCP one is published.

        Errors are those of :meth:`slacker.SlackerServer.listen`.
        """
        return self.server.listen(endpoint).addCallback(self._listening)

    @property
    def address(self) -> str | None:
        """``host:port`` under which this server is published; None until that is known."""
        return self._publisher.address if self._publisher else None

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that clients may find, if they are published."""
        return tuple(name for name in self._exposed if name != NAMESPACE)

    def when_published(self) -> Deferred[None]:
        """Fires when ZooKeeper holds everything that this server wants published, and nothing that it does
        not.

        It fails with :class:`~slacker.errors.ConfigurationError` if the server has no address that others can
        reach, and with :class:`~slacker.errors.ZookeeperError` if it is stopped before.
        """
        return Deferred.fromCoroutine(self._when_published())

    async def _when_published(self) -> None:
        while self._publisher is None:
            if self._stopped is not None:
                raise ZookeeperError("the server was stopped before it was published")
            if self._refused:
                raise ConfigurationError(self._refused)
            waiting: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(waiting)
            await waiting
        await self._publisher.when_published()

    # Publish control. What is said here holds from then on, and through reconnects and expired sessions; the
    # Deferreds are those of when_published().

    def publish(self, namespace: str | None = None) -> Deferred[None]:
        """Let clients find a namespace, or all of them, which is how a server begins.

        :return: fires when ZooKeeper agrees, and fails as :meth:`when_published` does; or with
            :class:`~slacker.errors.ConfigurationError` if the server has no such namespace.
        """
        return self._want(namespace, True)

    def unpublish(self, namespace: str | None = None) -> Deferred[None]:
        """Let clients find a namespace no more, or none at all, and do not lead it. Calls are still answered.

        :return: as :meth:`publish`.
        """
        return self._want(namespace, False)

    def _want(self, namespace: str | None, wanted: bool) -> Deferred[None]:
        try:
            names = self.namespaces if namespace is None else (self._known(namespace),)
        except ConfigurationError as error:
            return fail(error)
        if wanted:
            self._offline.difference_update(names)
        else:
            self._offline.update(names)
        if self._publisher is not None:
            (self._publisher.publish if wanted else self._publisher.unpublish)(names)
        return self.when_published()

    def _known(self, namespace: str) -> str:
        if namespace not in self.namespaces:
            known = ", ".join(self.namespaces) or "none"
            raise ConfigurationError(f"this server has no namespace {namespace!r}; it has: {known}")
        return namespace

    @property
    def server_data(self) -> Any:
        """What clients may know of this server."""
        return self._server_data

    def set_server_data(self, value: Any) -> Deferred[None]:
        """Let clients know this of the server, from now on.

        :return: as :meth:`publish`; fails with :class:`~slacker.errors.ConfigurationError`, and changes
            nothing, if EDN cannot say the value.
        """
        try:
            if self._publisher is not None:
                self._publisher.set_server_data(value)
            else:
                self._new_publisher("127.0.0.1:1", value)
        except ConfigurationError as error:
            return fail(error)
        self._server_data = value
        return self.when_published()

    def is_leader(self, namespace: str) -> bool:
        """Whether this server leads the namespace now. May be asked from any thread.

        There is one leader at most: a server that has lost ZooKeeper stops leading after two thirds of its
        session's timeout, and the next leads when the session has ended.

        :raises ConfigurationError: if the server has no such namespace.
        """
        self._known(namespace)
        publisher = self._publisher
        return publisher is not None and publisher.leads(namespace)

    def stop(self) -> Deferred[None]:
        """Leave the cluster, serve until clients have heard of it, finish the calls that run, and close.

        New calls are answered "thread pool full" then, with which clients go elsewhere. Fires when all is
        done, whether ZooKeeper can be reached or not: within 14 s and the server's ``drain_timeout`` (5 s to
        leave ZooKeeper, 2 until clients have heard, 3 for the last calls and to close, 4 to end the session).
        """
        if self._stopped is None:
            self._stopped = Deferred()
            Deferred.fromCoroutine(self._stop()).chainDeferred(self._stopped)
            self._tell_waiting()
        stopped: Deferred[None] = Deferred()
        self._stopped.addBoth(_pass_on, stopped)
        return stopped

    def stopService(self) -> Deferred[None]:
        """Twisted's name for :meth:`stop`."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's Service has no annotations
        return self.stop()

    async def _stop(self) -> None:
        try:
            if self._publisher is not None:
                heard = self.zookeeper.connected
                await self._publisher.stop()
                if heard:
                    await self.server.when_quiet(_QUIET, at_most=_QUIET_LIMIT)
            await self.server.stop()
        finally:
            await self.zookeeper.close()

    def _listening(self, port: IListeningPort) -> IListeningPort:
        self._listeners.append(port.getHost())
        if not self._joining and self._stopped is None:
            self._joining = True
            self.zookeeper.connect(timeout=_SAY_SO_AFTER).addErrback(self._not_connected)
        else:
            self._join()
        return port

    def _not_connected(self, failure: Failure) -> None:
        """ZooKeeper is out of reach at the start: its client goes on trying, and the server serves."""
        if self._stopped is None:
            self.log.warn("serving, but not published yet: {reason}", reason=failure.getErrorMessage())

    def _zookeeper_changed(self, state: State) -> None:
        self._join()

    def _join(self) -> None:
        """Be published, as soon as there is an address to be published under."""
        if not self.zookeeper.connected or self._publisher is not None or self._stopped is not None:
            return
        try:
            self._publisher = self._new_publisher(self._find_address(), self._server_data)
        except ConfigurationError as error:
            if str(error) != self._refused:
                self.log.critical("serving, but not published: {reason}", reason=str(error))
            self._refused = str(error)
        else:
            self._publisher.start()
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def _new_publisher(self, address: str, server_data: Any) -> Publisher:
        return Publisher(
            self.zookeeper,
            self._layout,
            address,
            self._exposed,
            server_data,
            clock=self._clock,
            hidden={NAMESPACE},
            offline=self._offline,
            on_leadership=self._leadership,
        )

    def _leadership(self, namespace: str, leads: bool) -> None:
        if self._on_leadership is not None:
            self._on_leadership(namespace, leads)

    def _find_address(self) -> str:
        host, port = self._node
        listener = next((at for at in self._listeners if isinstance(at, (IPv4Address, IPv6Address))), None)
        if port is None:
            if listener is None:
                raise ConfigurationError(
                    "the server listens on no TCP port that could be published: say node=HOST:PORT "
                    "(twistd slacker: --node HOST:PORT)"
                )
            port = listener.port
        if host is None:
            bound = listener.host if listener is not None and listener.host not in _EVERYWHERE else None
            host = bound or self.zookeeper.local_host or "127.0.0.1"
        zookeeper = self.zookeeper.peer_host
        if _is_loopback(host) and zookeeper is not None and not _is_loopback(zookeeper):
            raise ConfigurationError(
                f"the address {host} means another machine to each machine that reads it, and ZooKeeper "
                f"({zookeeper}) is not on this one: listen where others reach it, or say "
                "node=HOST:PORT (twistd slacker: --node HOST:PORT)"
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
