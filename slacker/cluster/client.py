"""A client of a whole cluster: calls that go to one, several or all of its servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from attrs import define, evolve, frozen
from twisted.internet.defer import Deferred, DeferredList, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.client import Client, Namespace, RemoteFunction
from slacker.client.client import wire_name
from slacker.cluster.discovery import IDiscovery, ZookeeperDiscovery
from slacker.cluster.grouping import ONE_SERVER, check_grouping
from slacker.cluster.layout import Layout
from slacker.cluster.merging import Outcome, check_merging, merge
from slacker.cluster.routes import Route, Routes
from slacker.errors import ConfigurationError, NotSent, ServerBusy, Unavailable
from slacker.zookeeper import ZookeeperClient

_log = Logger()


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


#: Stands for an ``unavailable_value`` that was not given, since None is one that may be.
UNSET = _Unset()


@frozen
class _Options:
    """How a call is made; what a call does not say itself is as the client was made."""

    grouping: str
    results: str
    exceptions: str
    unavailable_value: Any
    timeout: float
    content_type: str | None


@define(eq=False)
class _Call:
    """One call of a cluster's function; ``tried`` are the servers that certainly did not run it."""

    route: Route
    namespace: str
    function: str
    args: Sequence[Any]
    options: _Options
    tried: tuple[Client, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.function}"

    def on(self, client: Client) -> Deferred[Any]:
        """Call one server."""
        options = self.options
        return client.call(
            self.namespace,
            self.function,
            self.args,
            timeout=options.timeout,
            content_type=options.content_type,
        )


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

    :param cluster: the cluster's name.
    :param zk: ZooKeeper's addresses, ``host:port[,host:port…][/chroot]``.
    :param zk_root: where clusters live in ZooKeeper.
    :param zk_session_timeout: seconds; upstream's default.
    :param zk_connect_timeout: seconds that an attempt to connect to ZooKeeper may take; upstream's default.
    :param grouping: which servers are called: ``random`` one, the ``first`` (the leader where one is known),
        ``all``.
    :param grouping_results: what is made of their answers: a ``single`` one, a ``vector`` (list) of all, a
        ``map`` from address to answer, or ``nil`` (None).
    :param grouping_exceptions: ``all``: a call fails if all servers failed; ``any``: if one of them did.
    :param unavailable_value: the result of a call when no server has the namespace; without one, the call
        fails with :class:`~slacker.errors.Unavailable`.
    :param timeout: seconds that a call may take, waiting for a server included.
    :param discovery: where the servers are learnt from, instead of ZooKeeper.
    :param connect: what makes the clients of single servers.
    :param client_options: for each server's :class:`~slacker.Client`: content_type, keepalive, backlog,
        max_frame, name, connect_timeout.
    :raises ConfigurationError: if one of these is wrong.
    """

    def __init__(
        self,
        cluster: str,
        zk: str = "127.0.0.1:2181",
        *,
        zk_root: str = "/slacker/cluster",
        zk_session_timeout: float = 15.0,
        zk_connect_timeout: float = 10.0,
        grouping: str = "random",
        grouping_results: str = "single",
        grouping_exceptions: str = "all",
        unavailable_value: Any = UNSET,
        timeout: float = 10.0,
        discovery: IDiscovery | None = None,
        connect: Callable[..., Client] = Client,
        reactor: object | None = None,
        **client_options: Any,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        check_grouping(grouping)
        check_merging(grouping_results, grouping_exceptions)
        self._clock = clock = cast(IReactorTime, reactor)
        self._zookeeper: ZookeeperClient | None = None
        if discovery is None:
            layout = Layout(zk_root, cluster)
            self._zookeeper = ZookeeperClient(
                zk, session_timeout=zk_session_timeout, connect_timeout=zk_connect_timeout, reactor=clock
            )
            discovery = ZookeeperDiscovery(self._zookeeper, layout, clock=clock)
        self._discovery = discovery
        self._defaults = _Options(
            grouping, grouping_results, grouping_exceptions, unavailable_value, timeout, None
        )

        def new_client(address: str, on_change: Callable[[Client], None]) -> Client:
            return connect(address, timeout=timeout, reactor=reactor, on_change=on_change, **client_options)

        new_client("127.0.0.1:1", lambda _: None)  # wrong options are refused here, not at the first call
        self._routes = Routes(discovery, new_client, clock)
        self._started = False
        self._closed = False

    # Calling

    def call(
        self,
        namespace: str,
        function: str,
        args: Sequence[Any] = (),
        *,
        grouping: str | None = None,
        grouping_results: str | None = None,
        grouping_exceptions: str | None = None,
        unavailable_value: Any = UNSET,
        timeout: float | None = None,
        content_type: str | None = None,
    ) -> Deferred[Any]:
        """Call ``namespace/function``, a name taken verbatim, on the servers that the grouping chooses.

        What is not given is as the client was made.

        :return: fires once, with the merged result, or with an error of :mod:`slacker.errors`: those of
            :meth:`slacker.Client.call` where one server was asked, :class:`~slacker.errors.ClusterError`
            where several were, :class:`~slacker.errors.Unavailable` where none was.
        """
        options = defaults = self._defaults
        if self._closed:
            return fail(NotSent(f"{namespace}/{function} was not sent: the cluster client is closed"))
        try:
            if (
                grouping
                or grouping_results
                or grouping_exceptions
                or timeout
                or content_type
                or unavailable_value is not UNSET
            ):
                options = _Options(
                    grouping or defaults.grouping,
                    grouping_results or defaults.results,
                    grouping_exceptions or defaults.exceptions,
                    defaults.unavailable_value if unavailable_value is UNSET else unavailable_value,
                    timeout or defaults.timeout,
                    content_type,
                )
                check_grouping(options.grouping)
                check_merging(options.results, options.exceptions)
            route = self._routes.routes.get(namespace) or self._follow(namespace, function)
        except ConfigurationError as error:
            return fail(error)
        if route.stale:
            route.refresh()
        call = _Call(route, namespace, function, args, options)
        if route.servers:
            return self._dispatch(call)
        return Deferred.fromCoroutine(self._when_available(call))

    def namespace(self, name: str) -> Namespace:
        """The functions of a namespace as attributes and items."""
        return Namespace(self.call, name)

    def function(self, name: str, **options: Any) -> RemoteFunction:
        """``namespace/function`` as a Python callable; the options are those of :meth:`call`."""
        return RemoteFunction.named(self.call, name, options)

    def servers(self, namespace: str) -> list[str]:
        """Addresses of the namespace's servers that are connected now; asking begins to follow it.

        :raises ConfigurationError: if this cannot be a namespace.
        """
        route = self._routes.routes.get(namespace) or self._follow(namespace, "servers")
        route.refresh()
        return [client.address for client in route.servers]

    def close(self) -> Deferred[None]:
        """Close all connections, to servers and to ZooKeeper; fail what is pending, and tell when done."""
        if self._closed:
            return succeed(None)
        self._closed = True
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        await self._routes.close()
        if self._started:
            await self._discovery.stop()
            if self._zookeeper is not None:
                await self._zookeeper.close()

    # The way of one call

    async def _when_available(self, call: _Call) -> Any:
        """Wait until the namespace has a connected server, within the call's timeout."""
        route, options = call.route, call.options
        deadline = self._clock.seconds() + options.timeout
        while not route.servers:
            if self._closed:
                raise NotSent(f"{call.name} was not sent: the cluster client is closed", function=call.name)
            view = route.view
            if view.confirmed and not view.servers:
                if options.unavailable_value is not UNSET:
                    return options.unavailable_value
                raise Unavailable(
                    f"no server of the cluster has the namespace {call.namespace}", function=call.name
                )
            remaining = deadline - self._clock.seconds()
            if remaining <= 0:
                why = "ZooKeeper has not said yet which servers have it"
                if view.servers:
                    known = ", ".join(view.servers[:3]) + (", …" if len(view.servers) > 3 else "")
                    why = f"none of its {len(view.servers)} servers ({known}) is connected"
                raise Unavailable(
                    f"{call.name} found no server within {options.timeout} s: {why}", function=call.name
                )
            await route.when_changed(self._clock, remaining)
            route.refresh()
        call.options = evolve(options, timeout=max(deadline - self._clock.seconds(), 0.001))
        return await self._dispatch(call)

    def _dispatch(self, call: _Call) -> Deferred[Any]:
        """Choose among the connected servers, of which there is at least one, and call."""
        route, options = call.route, call.options
        choose = ONE_SERVER.get(options.grouping)
        if choose is None:
            return self._call_several(call, route.servers)
        client = choose(route.servers, route.leader)
        if options.results != "single":
            return self._call_several(call, [client])
        return call.on(client).addErrback(self._elsewhere, call, client)

    def _elsewhere(self, failure: Failure, call: _Call, client: Client) -> Failure | Deferred[Any]:
        """A call that certainly did not run goes to another server, where the policy leaves a choice."""
        if failure.check(NotSent, ServerBusy) is None or self._closed:
            return failure
        route = call.route
        if route.stale:
            route.refresh()
        call.tried += (client,)
        others = [server for server in route.servers if server not in call.tried]
        if not others:
            return failure
        leader = route.leader if route.leader in others else None
        client = ONE_SERVER[call.options.grouping](others, leader)
        return call.on(client).addErrback(self._elsewhere, call, client)

    def _call_several(self, call: _Call, clients: Sequence[Client]) -> Deferred[Any]:
        """Call all of these, and merge what they answer."""
        began = self._clock.seconds()
        seconds = [0.0] * len(clients)

        def note(result: Any, index: int) -> Any:
            seconds[index] = self._clock.seconds() - began
            return result

        def gathered(results: list[tuple[bool, Any]]) -> Any:
            outcomes = [
                Outcome(client.address, value, None, took)
                if good
                else Outcome(client.address, None, value.value, took)
                for client, (good, value), took in zip(clients, results, seconds, strict=True)
            ]
            return merge(call.name, outcomes, call.options.results, call.options.exceptions)

        calls = [call.on(client).addBoth(note, index) for index, client in enumerate(clients)]
        return DeferredList(calls, consumeErrors=True).addCallback(gathered)

    # Following the cluster

    def _follow(self, namespace: str, function: str) -> Route:
        """Begin to follow a namespace."""
        wire_name(namespace, function)
        if not self._started:
            self._started = True
            self._discovery.start()
            if self._zookeeper is not None:
                self._zookeeper.connect().addErrback(self._not_connected)
        return self._routes.follow(namespace)

    def _not_connected(self, failure: Failure) -> None:
        """ZooKeeper is out of reach at the start; its client goes on trying."""
        if not self._closed:
            _log.warn("{reason}", reason=failure.getErrorMessage())
