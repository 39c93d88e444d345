"""What a server wants published, and the pass that makes ZooKeeper agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.cluster import layout as nodes
from slacker.cluster.layout import Layout
from slacker.content.values import Keyword
from slacker.errors import ConfigurationError, ContentError
from slacker.zookeeper import (
    BadVersionException,
    ClientEvent,
    EventType,
    NodeExistsException,
    NoNodeException,
    ZookeeperClient,
)
from slacker.zookeeper.recipes import OwnedEphemeral, create_path
from slacker.zookeeper.reconciler import Reconciler

_log = Logger()

# Seconds that leaving may take; past them the end of the session removes what is left.
_STOP_LIMIT = 5.0
# Seconds (give or take a fifth) between two looks at everything without a reason.
_AUDIT = 30.0


class Publisher:
    """Keeps one server published in one cluster, whatever happens to ZooKeeper or is done to the nodes.

    It compares and corrects after each connect, after the deletion or change of one of its ephemeral nodes,
    and now and then without a reason. Function nodes are created where missing and never changed or
    removed, as upstream does.

    :param zookeeper: connected and closed by the caller; publishing begins whenever it is connected.
    :param address: ``host:port`` under which clients reach the server.
    :param namespaces: namespace → function → metadata (``:name``, ``:doc``, ``:arglists``; ``{}`` if
        unknown).
    :param server_data: any value EDN can say; clients weigh servers by its ``:weight``.
    :param hidden: namespaces whose functions are described, but which no client is to find.
    :raises ConfigurationError: if a name cannot stand in ZooKeeper, or a value not in EDN.
    """

    def __init__(
        self,
        zookeeper: ZookeeperClient,
        layout: Layout,
        address: str,
        namespaces: Mapping[str, Mapping[str, Mapping[Keyword, Any]]],
        server_data: Any = None,
        *,
        clock: IReactorTime,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self.address = address
        self._zookeeper = zookeeper
        self._layout = layout
        self._clock = clock
        try:
            self._functions = {
                namespace: {
                    layout.function(namespace, name): nodes.function_bytes(metadata)
                    for name, metadata in functions.items()
                }
                for namespace, functions in namespaces.items()
            }
            data = nodes.server_data_bytes(server_data)
        except ContentError as error:
            raise ConfigurationError(f"{address} cannot be published: {error}") from error
        self._visible = [namespace for namespace in namespaces if namespace not in hidden]
        self._leaders = {
            namespace: _Leader(zookeeper, layout, namespace, address, self.request)
            for namespace in self._visible
        }
        self._server = self._ephemeral(layout.server(address), data)
        self._members = {
            namespace: self._ephemeral(layout.member(namespace, address), b"") for namespace in self._visible
        }
        self._reconciler = Reconciler(
            zookeeper,
            self._pass,
            clock=clock,
            what=f"publish {address} in {layout.root}",
            audit=_AUDIT,
        )

    @property
    def published(self) -> bool:
        """Whether everything stands, as far as is known."""
        return self._reconciler.settled

    def start(self) -> None:
        """Begin to publish; returns at once, also while ZooKeeper is out of reach."""
        self._reconciler.start()

    def when_published(self) -> Deferred[None]:
        """Fires when everything stands: at once, or as soon as it does (again).

        Fails with ZookeeperError if :meth:`stop` comes first.
        """
        return self._reconciler.when_settled()

    def stop(self) -> Deferred[None]:
        """Stop publishing and remove the ephemeral nodes, those that clients choose by first.

        :return: fires when they are gone, or after 5 s, or at once while there is no connection; never with
            an error. Closing the client removes whatever is left.
        """
        self._reconciler.stop()
        for leader in self._leaders.values():
            leader.forget()
        if not self._zookeeper.connected:
            return succeed(None)
        leaving = Deferred.fromCoroutine(self._leave())
        leaving.addTimeout(_STOP_LIMIT, self._clock)
        leaving.addErrback(self._not_left)
        return leaving

    async def _leave(self) -> None:
        await _all([Deferred.fromCoroutine(member.remove()) for member in self._members.values()])
        await self._server.remove()
        _log.info("{address} is no longer published in {root}", address=self.address, root=self._layout.root)

    def _not_left(self, failure: Failure) -> None:
        _log.warn(
            "{address} left nodes in {root} ({reason}); they go with the session",
            address=self.address,
            root=self._layout.root,
            reason=failure.getErrorMessage(),
        )

    def _ephemeral(self, path: str, data: bytes) -> OwnedEphemeral:
        def disturbed() -> None:
            _log.warn("{path} was deleted or changed by somebody; publishing again", path=path)
            self.request()

        return OwnedEphemeral(self._zookeeper, path, data, disturbed)

    def request(self) -> None:
        """Have a pass soon: something is, or may be, otherwise than desired."""
        self._reconciler.request()

    async def _pass(self) -> None:
        """Upstream's order: what is described before what is found, the server before its namespaces."""
        for namespace, functions in self._functions.items():
            await self._describe(namespace, functions)
        for leader in self._leaders.values():
            await leader.prepare()
        if await self._zookeeper.exists(self._layout.servers) is None:
            await create_path(self._zookeeper, self._layout.servers, None)
        await self._server.ensure()
        for namespace, member in self._members.items():
            await member.ensure()
            await self._leaders[namespace].claim()
        if not self.published:
            _log.info(
                "{address} is published in {root}: {count} namespaces",
                address=self.address,
                root=self._layout.root,
                count=len(self._visible),
            )

    async def _describe(self, namespace: str, functions: Mapping[str, bytes]) -> None:
        """Create the function nodes that are missing.

        A look is cheap for ZooKeeper, a vain creation is not.
        """
        parent = self._layout.functions(namespace)
        try:
            present = set(await self._zookeeper.get_children(parent))
        except NoNodeException:
            await create_path(self._zookeeper, parent)
            present = set()
        missing = [path for path in functions if path.rpartition("/")[2] not in present]
        creations = [self._zookeeper.create(path, functions[path]) for path in missing]
        for creation in creations:
            creation.addErrback(lambda failure: failure.trap(NodeExistsException))
        await _all(creations)


async def _all(deferreds: Sequence[Deferred[Any]]) -> None:
    """Wait for every one of them; then raise the first error, if there is any."""
    for succeeded, result in await DeferredList(deferreds, consumeErrors=True):
        if not succeeded:
            result.raiseException()


class _Leader:
    """Who leads one namespace, without an election: a server writes itself where no live server is named."""

    def __init__(
        self,
        zookeeper: ZookeeperClient,
        layout: Layout,
        namespace: str,
        address: str,
        request: Callable[[], object],
    ) -> None:
        self._zookeeper = zookeeper
        self._layout = layout
        self._namespace = namespace
        self._address = address
        self._request = request
        self._path = layout.leader(namespace)
        self._watched = ""
        self._event: Deferred[ClientEvent] | None = None

    async def prepare(self) -> None:
        """The persistent nodes of the namespace; upstream's clients need ``_leader`` with data in it."""
        if await self._zookeeper.exists(self._layout.mutex(self._namespace)) is None:
            await create_path(self._zookeeper, self._layout.namespace(self._namespace), None)
            await create_path(self._zookeeper, self._path, nodes.leader_bytes(self._address))
            await create_path(self._zookeeper, self._layout.mutex(self._namespace), None)

    async def claim(self) -> None:
        """Name this server, unless a live one is named; and look again when that one goes."""
        data, stat = await self._zookeeper.get(self._path)
        leader = nodes.leader_address(data)
        if leader == self._address:
            self.forget()
            return
        if await self._lives(leader):
            return
        try:
            await self._zookeeper.set(self._path, nodes.leader_bytes(self._address), stat.version)
        except BadVersionException:
            self._request()  # another was quicker: see whom it named
            return
        _log.info("leads {namespace}: {leader!r} is gone", namespace=self._namespace, leader=leader)

    async def _lives(self, leader: str) -> bool:
        """Whether a server of this name exposes the namespace; watched until it goes."""
        if self._event is not None and self._watched == leader:
            return True
        self.forget()
        try:
            path = self._layout.member(self._namespace, leader)
        except ConfigurationError:
            return False  # no address at all
        result, event = self._zookeeper.exists_and_watch(path)
        if await result is None:
            event.cancel()
            return False
        self._watched, self._event = leader, event
        event.addCallback(self._gone)
        return True

    def _gone(self, event: ClientEvent) -> None:
        self._event = None
        if event.type not in (EventType.SESSION, EventType.NOTWATCHING):
            self._request()

    def forget(self) -> None:
        """Do not watch the leader any more."""
        event, self._event = self._event, None
        if event is not None:
            event.cancel()
