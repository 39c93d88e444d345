"""What a server wants published, and the pass that makes ZooKeeper agree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.cluster import layout as nodes
from slacker.cluster.layout import Layout
from slacker.cluster.membership import Membership
from slacker.content.values import Keyword
from slacker.errors import ConfigurationError, ContentError
from slacker.zookeeper import (
    NodeExistsException,
    NoNodeException,
    ZookeeperClient,
    ZookeeperError,
    is_connection_exception,
)
from slacker.zookeeper.lease import Lease
from slacker.zookeeper.recipes import OwnedEphemeral, create_path
from slacker.zookeeper.reconciler import Reconciler

_log = Logger()

# Seconds that leaving may take; past them the end of the session removes what is left.
_STOP_LIMIT = 5.0
# Seconds (give or take a fifth) between two looks at everything without a reason.
_AUDIT = 30.0
# Seconds after a foreign deletion until everything is looked at once more: whoever deletes one node may be at
# work on the whole tree, and not all of it is watched.
_SECOND_LOOK = 2.0


def _nobody(namespace: str, leads: bool) -> None:
    """Stands for a call-back that was not given."""


class Publisher:
    """Keeps one server published in one cluster, whatever happens to ZooKeeper or is done to the nodes.

    It compares and corrects after each connect, after the deletion or change of one of its ephemeral nodes,
    and now and then without a reason. What cannot be put right in one namespace keeps no other from being
    published. Function nodes are created where missing and never changed or removed, as upstream does.

    :param zookeeper: connected and closed by the caller; publishing begins whenever it is connected.
    :param address: ``host:port`` under which clients reach the server.
    :param namespaces: namespace → function → metadata (``:name``, ``:doc``, ``:arglists``; ``{}`` if
        unknown).
    :param server_data: any value EDN can say; clients weigh servers by its ``:weight``.
    :param hidden: namespaces whose functions are described, but which no client is to find.
    :param offline: namespaces that no client is to find until :meth:`publish`.
    :param on_leadership: called with a namespace, and whether this server leads it from now on.
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
        hidden: Collection[str] = (),
        offline: Collection[str] = (),
        on_leadership: Callable[[str, bool], object] = _nobody,
    ) -> None:
        self.address = address
        self._zookeeper = zookeeper
        self._layout = layout
        self._clock = clock
        self._stopped = False
        self._second_look: IDelayedCall | None = None
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
        self._server = self._ephemeral(layout.server(address), data)
        lease = Lease(zookeeper, clock=clock)
        self._namespaces = {
            name: Membership(
                name,
                layout,
                self._ephemeral(layout.member(name, address), b""),
                lease,
                address=address,
                on_leadership=on_leadership,
                wanted=name not in offline,
            )
            for name in namespaces
            if name not in hidden
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
        """Whether everything stands as it is wanted, as far as is known."""
        return self._reconciler.settled and all(
            namespace.election.settled for namespace in self._namespaces.values()
        )

    def leads(self, namespace: str) -> bool:
        """Whether this server leads the namespace now. May be asked from any thread."""
        return self._namespaces[namespace].election.leads

    def start(self) -> None:
        """Begin to publish; returns at once, also while ZooKeeper is out of reach."""
        self._reconciler.start()

    def when_published(self) -> Deferred[None]:
        """Fires when everything stands as it is wanted: at once, or as soon as it does (again).

        Fails with ZookeeperError if :meth:`stop` comes first. It may be cancelled.
        """
        return Deferred.fromCoroutine(self._when_published())

    async def _when_published(self) -> None:
        while not self.published:
            if self._stopped:
                raise ZookeeperError(f"{self.address} is published in {self._layout.root} no more")
            await self._reconciler.when_settled()
            for namespace in self._namespaces.values():
                await namespace.election.when_settled()

    def publish(self, namespaces: Iterable[str]) -> None:
        """Let clients find these from now on."""
        self._want(namespaces, True)

    def unpublish(self, namespaces: Iterable[str]) -> None:
        """Let clients find these no more; calls that come nevertheless are answered. Lead none of them."""
        self._want(namespaces, False)

    def _want(self, namespaces: Iterable[str], wanted: bool) -> None:
        for name in namespaces:
            self._namespaces[name].want(wanted)
        self.request()

    def set_server_data(self, value: Any) -> None:
        """Publish this of the server from now on.

        :raises ConfigurationError: if EDN cannot say it.
        """
        try:
            self._server.data = nodes.server_data_bytes(value)
        except ContentError as error:
            raise ConfigurationError(f"{self.address} cannot publish this data: {error}") from error
        self.request()

    def stop(self) -> Deferred[None]:
        """Stop publishing and leading, and remove the ephemeral nodes, those that clients choose by first.

        :return: fires when they are gone, or after 5 s, or at once while there is no connection; never with
            an error. Closing the client removes whatever is left.
        """
        self._stopped = True
        self._cancel_second_look()
        self._reconciler.stop()
        leaving = [done for namespace in self._namespaces.values() for done in namespace.stop()]
        left = Deferred.fromCoroutine(self._leave(leaving))
        left.addTimeout(_STOP_LIMIT, self._clock)
        left.addErrback(self._not_left)
        return left

    async def _leave(self, leaving: Sequence[Deferred[Any]]) -> None:
        for succeeded, result in await DeferredList(leaving, consumeErrors=True):
            if not succeeded:
                result.raiseException()
        if self._zookeeper.connected:
            await self._server.remove()
            _log.info(
                "{address} is no longer published in {root}", address=self.address, root=self._layout.root
            )

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
            self._cancel_second_look()
            self._second_look = self._clock.callLater(_SECOND_LOOK, self._look_again)

        return OwnedEphemeral(self._zookeeper, path, data, disturbed)

    def request(self) -> None:
        """Have a pass soon: something is, or may be, otherwise than desired."""
        self._reconciler.request()

    def _look_again(self) -> None:
        self._second_look = None
        self.request()

    def _cancel_second_look(self) -> None:
        second_look, self._second_look = self._second_look, None
        if second_look is not None:
            second_look.cancel()

    async def _pass(self) -> None:
        """What is not to be found goes first. Then upstream's order: what is described before what is found,
        the server before its namespaces."""
        wanted = [namespace for namespace in self._namespaces.values() if namespace.wanted]
        steps = _Steps()
        await steps.take(n.leave() for n in self._namespaces.values() if not n.wanted)
        await steps.take(self._describe(name, functions) for name, functions in self._functions.items())
        prepared = await steps.take(namespace.prepare() for namespace in wanted)
        await steps.take([self._stand()])
        await steps.take(n.join() for n, ready in zip(wanted, prepared, strict=True) if ready)
        steps.finish()
        if not self._reconciler.settled:
            _log.info(
                "{address} is published in {root} with {count} {what}",
                address=self.address,
                root=self._layout.root,
                count=len(wanted),
                what="namespace" if len(wanted) == 1 else "namespaces",
            )

    async def _stand(self) -> None:
        """The server's own node."""
        if await self._zookeeper.exists(self._layout.servers) is None:
            await create_path(self._zookeeper, self._layout.servers, None)
        await self._server.ensure()

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
        creations = [
            self._create(path, data)
            for path, data in functions.items()
            if path.rpartition("/")[2] not in present
        ]
        steps = _Steps()
        await steps.take(creations)
        steps.finish()

    async def _create(self, path: str, data: bytes) -> None:
        try:
            await self._zookeeper.create(path, data)
        except NodeExistsException:
            return  # another server of this namespace was quicker


class _Steps:
    """Work that is done side by side, and goes on where ZooKeeper refuses some of it."""

    def __init__(self) -> None:
        self._refusal: ZookeeperError | None = None

    async def take(self, coroutines: Iterable[Coroutine[Deferred[Any], Any, None]]) -> list[bool]:
        """Run all of these; which of them succeeded.

        :raises Exception: if it is pointless to go on: the connection broke, or the pass was cancelled.
        """
        running: list[Deferred[Any]] = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
        results = await DeferredList(running, consumeErrors=True)
        for succeeded, result in results:
            if succeeded:
                continue
            if not isinstance(result.value, ZookeeperError) or is_connection_exception(result.value):
                result.raiseException()
            self._refusal = self._refusal or result.value
        return [succeeded for succeeded, _ in results]

    def finish(self) -> None:
        """Raise the first refusal there was, if any."""
        if self._refusal is not None:
            raise self._refusal
