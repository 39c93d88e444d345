"""A client of a whole cluster: calls that go to one, several or all of its servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.client import Client, Namespace, RemoteFunction
from slacker.client.client import DEFAULT_BACKLOG
from slacker.client.names import seconds, whole, wire_name
from slacker.client.pace import Pace
from slacker.cluster.discovery import IDiscovery, StaticDiscovery
from slacker.cluster.dispatch import UNSET, Dispatcher, Options
from slacker.cluster.grouping import check_grouping
from slacker.cluster.layout import Layout
from slacker.cluster.merging import check_merging
from slacker.cluster.routes import Route, Routes
from slacker.cluster.zookeeper_discovery import ZookeeperDiscovery
from slacker.errors import ConfigurationError, NotSent, Unavailable
from slacker.interceptors import Interceptor
from slacker.interceptors.context import outgoing_extensions
from slacker.zookeeper import State, ZookeeperClient, ZookeeperTls

_log = Logger()


@frozen
class NamespaceStatus:
    """What a cluster client knows of a namespace.

    :ivar servers: the addresses of its servers, as last known.
    :ivar connected: those of them that are connected.
    :ivar leader: the address of its leader, if one of its servers is.
    :ivar confirmed: seconds since ZooKeeper last said so; None if it never did.
    """

    servers: tuple[str, ...]
    connected: tuple[str, ...]
    leader: str | None
    confirmed: float | None


class ClusterClient:
    """Calls functions on the servers of a cluster.

    ::

        cluster = ClusterClient("example-cluster", "127.0.0.1:2181")
        timestamp = cluster.function("slacker.example.api/timestamp", grouping="all", grouping_results="map")
        stamps = await timestamp()
        await cluster.close()

    It connects to ZooKeeper when first used, follows the namespaces that are called, and keeps one connection
    to each of their servers. Only connected servers are chosen; one whose connection breaks is not chosen
    from that moment on. While ZooKeeper is away, the last known servers are used.

    Grouping, results, exceptions, unavailable value, timeout and retries can be given here, with a function
    (:meth:`function`) and with one call (:meth:`call`, ``with_options``); the narrowest wins.

    :param cluster: the cluster's name.
    :param zk: ZooKeeper's addresses, ``host:port[,host:port…][/chroot]``.
    :param servers: a fixed list of ``host:port`` instead of ZooKeeper: all of them are taken to have every
        namespace, and none of them leads.
    :param zk_root: where clusters live in ZooKeeper.
    :param zk_session_timeout: seconds; upstream's default.
    :param zk_connect_timeout: seconds that an attempt to connect to ZooKeeper may take; upstream's default.
    :param zk_auth: who this client is to ZooKeeper: ``digest:USER:PASSWORD`` or ``sasl:USER:PASSWORD``.
    :param zk_acl: as a :class:`~slacker.ClusterServer` takes it, so that one set of options does for both; a
        client creates no nodes.
    :param zk_tls: encrypts the connection to ZooKeeper, a :class:`~slacker.zookeeper.ZookeeperTls`.
    :param grouping: which servers are called: a ``random`` one; the ``first`` (the leader where one is
        known); the ``leader``, for which a call waits if need be; the one with the ``least-in-flight`` calls
        of this client; a ``weighted`` random one, by ``:weight`` of the servers' data (1 where they tell
        none); ``all``; or a function ``(ns, fn, params, client, servers)`` that returns one of these names,
        an address, several addresses, or a Deferred of these.
    :param grouping_results: what is made of their answers: a ``single`` one; a ``vector`` (list) of all; a
        ``map`` from address to answer; ``nil`` (None); or a function ``(ns, fn, params)`` that returns one of
        these names, or a function of the list of outcomes.
    :param grouping_exceptions: ``all``: a call fails if all servers failed; ``any``: if one of them did; or a
        function ``(valid, failed)`` of the outcomes, whose answer is true if the call has failed.
    :param unavailable_value: the result of a call for which there is no server to ask; without one, the call
        fails with :class:`~slacker.errors.Unavailable`.
    :param timeout: seconds that a call may take, waiting for a server included.
    :param retries: how often a call may be made again when the connection broke after it may have run. Only
        for functions that may run twice; not for ``all`` or for addresses chosen by a function.
    :param interceptors: look at calls on their way, to each server and as a whole.
    :param on_server_data: called with an address and what that server says of itself, whenever that changes,
        for the servers of namespaces that are followed.
    :param discovery: where the servers are learnt from, instead of ZooKeeper or a list.
    :param connect: what makes the clients of single servers.
    :param client_options: for each server's :class:`~slacker.Client`: content_type, keepalive, backlog (of
        the calls that wait for a server of a namespace, too), max_frame, name, connect_timeout, tls, auth
        (servers are addressed by IP: :class:`~slacker.tls.ClientTls` says what their certificates have to
        name).
    :raises ConfigurationError: if one of these is wrong.
    """

    def __init__(
        self,
        cluster: str,
        zk: str = "127.0.0.1:2181",
        *,
        servers: Sequence[str] | None = None,
        zk_root: str = "/slacker/cluster",
        zk_session_timeout: float = 15.0,
        zk_connect_timeout: float = 10.0,
        zk_auth: str | None = None,
        zk_acl: str | None = None,
        zk_tls: ZookeeperTls | None = None,
        grouping: str | Callable[..., Any] = "random",
        grouping_results: str | Callable[..., Any] = "single",
        grouping_exceptions: str | Callable[..., Any] = "all",
        unavailable_value: Any = UNSET,
        timeout: float = 10.0,
        retries: int = 0,
        interceptors: Sequence[Interceptor] = (),
        on_server_data: Callable[[str, Any], object] | None = None,
        discovery: IDiscovery | None = None,
        connect: Callable[..., Client] = Client,
        reactor: object | None = None,
        **client_options: Any,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._clock = clock = cast(IReactorTime, reactor)
        self._defaults = _checked(
            Options(grouping, grouping_results, grouping_exceptions, unavailable_value, timeout, retries, {})
        )
        self._zookeeper: ZookeeperClient | None = None
        if servers is not None:
            discovery = StaticDiscovery(servers)
        elif discovery is None:
            layout = Layout(zk_root, cluster)
            self._zookeeper = ZookeeperClient(
                zk,
                session_timeout=zk_session_timeout,
                connect_timeout=zk_connect_timeout,
                auth=zk_auth,
                acl=zk_acl,
                tls=zk_tls,
                reactor=clock,
            )
            discovery = ZookeeperDiscovery(self._zookeeper, layout, clock=clock)
        self._discovery = discovery
        if on_server_data is not None:
            discovery.subscribe_data(on_server_data)

        def new_client(
            address: str, on_change: Callable[[Client], None] | None = None, pace: Pace | None = None
        ) -> Client:
            return connect(
                address,
                timeout=timeout,
                interceptors=interceptors,
                reactor=reactor,
                on_change=on_change,
                pace=pace,
                **client_options,
            )

        new_client("127.0.0.1:1")  # wrong options are refused here, not at the first call
        self._routes = Routes(
            discovery,
            new_client,
            clock,
            backlog=client_options.get("backlog", DEFAULT_BACKLOG),
            follow_data=on_server_data is not None,
        )
        self._dispatcher = Dispatcher(self, self._routes, interceptors, clock)
        self._started = False

    # Calling

    def call(
        self,
        namespace: str,
        function: str,
        args: Sequence[Any] = (),
        *,
        grouping: str | Callable[..., Any] | None = None,
        grouping_results: str | Callable[..., Any] | None = None,
        grouping_exceptions: str | Callable[..., Any] | None = None,
        unavailable_value: Any = UNSET,
        timeout: float | None = None,
        retries: int | None = None,
        content_type: str | None = None,
        extensions: Mapping[int, Any] | None = None,
        interrupt_on_timeout: bool | None = None,
        fire_and_forget: bool = False,
    ) -> Deferred[Any]:
        """Call ``namespace/function``, a name taken verbatim, on the servers that the grouping chooses.

        What is not given is as the client was made; the last four options are those of
        :meth:`slacker.Client.call`.

        :return: fires once, with the merged result, or with an error of :mod:`slacker.errors`: those of
            :meth:`slacker.Client.call` where one server was asked, :class:`~slacker.errors.ClusterError`
            where several were, :class:`~slacker.errors.Unavailable` where none was.
        """
        options = self._defaults
        carried = outgoing_extensions()  # now: it may be sent later, in another context
        try:
            if (
                grouping
                or grouping_results
                or grouping_exceptions
                or timeout is not None
                or content_type
                or extensions
                or carried
                or fire_and_forget
                or interrupt_on_timeout is not None
                or retries is not None
                or unavailable_value is not UNSET
            ):
                of_client = {
                    "timeout": timeout,
                    "content_type": content_type,
                    "extensions": {**(carried or {}), **(extensions or {})},
                    "interrupt_on_timeout": interrupt_on_timeout,
                    "fire_and_forget": fire_and_forget,
                }
                options = _checked(
                    Options(
                        grouping or options.grouping,
                        grouping_results or options.results,
                        grouping_exceptions or options.exceptions,
                        options.unavailable_value if unavailable_value is UNSET else unavailable_value,
                        options.timeout if timeout is None else timeout,
                        options.retries if retries is None else retries,
                        {name: value for name, value in of_client.items() if value or value is False},
                    )
                )
            route = self._routes.routes.get(namespace) or self._follow(namespace, function)
        except (ConfigurationError, NotSent) as error:
            return fail(error)
        return self._dispatcher.call(namespace, function, args, options, route)

    def namespace(self, name: str) -> Namespace[Deferred[Any]]:
        """The functions of a namespace as attributes and items."""
        return Namespace(self.call, name)

    def function(self, name: str, **options: Any) -> RemoteFunction[Deferred[Any]]:
        """``namespace/function`` as a Python callable; the options are those of :meth:`call`."""
        return RemoteFunction.named(self.call, name, options)

    # What is known of the cluster

    def servers(self, namespace: str) -> list[str]:
        """Addresses of the namespace's servers that are connected now; asking begins to follow it.

        :raises ConfigurationError: if this cannot be a namespace.
        """
        route = self._routes.routes.get(namespace) or self._follow(namespace, "servers")
        route.refresh()
        return [client.address for client in route.servers]

    def server_data(self, address: str) -> Any:
        """What the server says of itself, any EDN value; None while that is not known.

        :raises ConfigurationError: if this is no address.
        """
        self._start()
        return self._discovery.server_data(address)

    def status(self) -> dict[str, NamespaceStatus]:
        """What is known of each namespace that was called so far."""
        now = self._clock.seconds()
        found = {}
        for namespace, route in self._routes.routes.items():
            route.refresh()
            view = route.view
            confirmed = None if view.confirmed_at is None else now - view.confirmed_at
            connected = tuple(client.address for client in route.servers)
            found[namespace] = NamespaceStatus(view.servers, connected, view.leader, confirmed)
        return found

    def functions(self, prefix: str | None = None) -> Deferred[list[str]]:
        """``namespace/function`` of all published functions whose name begins so, from ZooKeeper.

        A function that was published once is listed even if no server has it now, as upstream does.
        """
        return self._described(lambda: self._discovery.functions(prefix or ""))

    def meta(self, name: str) -> Deferred[dict[Any, Any]]:
        """What ZooKeeper holds of ``namespace/function``: ``:name``, ``:doc``, ``:arglists``, if anything."""
        return self._described(lambda: self._discovery.meta(name))

    def close(self) -> Deferred[None]:
        """Close all connections, to servers and to ZooKeeper; fail what is pending, and tell when done."""
        if self._dispatcher.closed:
            return succeed(None)
        self._dispatcher.closed = True
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        await self._routes.close()
        if self._started:
            await self._discovery.stop()
            if self._zookeeper is not None:
                await self._zookeeper.close()

    # Following the cluster

    def _follow(self, namespace: str, function: str) -> Route:
        """Begin to follow a namespace."""
        wire_name(namespace, function)
        self._start()
        return self._routes.follow(namespace)

    def _start(self) -> None:
        if self._dispatcher.closed:
            raise NotSent("the cluster client is closed; make a new one")
        if not self._started:
            self._started = True
            self._discovery.start()
            if self._zookeeper is not None:
                self._zookeeper.connect().addErrback(self._not_connected)

    def _not_connected(self, failure: Failure) -> None:
        """ZooKeeper is out of reach at the start; its client goes on trying."""
        if not self._dispatcher.closed:
            _log.warn("{reason}", reason=failure.getErrorMessage())

    def _described(self, ask: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        asked = Deferred.fromCoroutine(self._ask(ask))
        return asked.addTimeout(self._defaults.timeout, self._clock, self._not_described)

    async def _ask(self, ask: Callable[[], Deferred[Any]]) -> Any:
        """Ask ZooKeeper, as soon as it is connected."""
        self._start()
        zookeeper = self._zookeeper
        if zookeeper is not None and not zookeeper.connected:
            connected: Deferred[None] = Deferred()

            def listen(state: State) -> None:
                if state in (State.CONNECTED, State.CLOSED) and not connected.called:
                    connected.callback(None)

            zookeeper.add_listener(listen)
            try:
                await connected
            finally:
                zookeeper.remove_listener(listen)
            if self._dispatcher.closed:
                raise NotSent("ZooKeeper was not asked: the cluster client was closed")
        return await ask()

    def _not_described(self, result: object, seconds: float) -> Failure:
        return Failure(Unavailable(f"ZooKeeper could not be asked within {seconds} s"))


def _checked(options: Options) -> Options:
    check_grouping(options.grouping)
    check_merging(options.results, options.exceptions)
    seconds("timeout", options.timeout)
    whole("retries", options.retries, 0)
    return options
