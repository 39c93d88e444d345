"""What a client knows of a cluster, as ZooKeeper tells it: watched nodes, reduced to views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from slacker import content
from slacker.address import parse_address
from slacker.cluster.discovery import IDiscovery, NamespaceView, check_room
from slacker.cluster.layout import Layout, is_server, leader_address, server_data_value
from slacker.errors import ConfigurationError, ContentError
from slacker.zookeeper import NoNodeException, Stat, ZookeeperClient
from slacker.zookeeper.recipes import ChildrenWatch, DataWatch, Slots

_log = Logger()

# Servers whose data one client follows: a watch and a read each.
_MAX_SERVERS = 5_000
# Seconds in which the last known servers stay, after ZooKeeper said that there is none any more: servers that
# restart together, or whose sessions expired together, are back by then.
_GRACE = 2.0


@implementer(IDiscovery)
class ZookeeperDiscovery:
    """Follows a cluster in ZooKeeper, with one watch on each namespace, and one on who leads it.

    While ZooKeeper is out of reach the last known servers stay. The client is connected and closed by the
    caller.
    """

    def __init__(self, zookeeper: ZookeeperClient, layout: Layout, *, clock: IReactorTime) -> None:
        self._zookeeper = zookeeper
        self._layout = layout
        self._clock = clock
        self._namespaces: dict[str, _Namespace] = {}
        self._data: dict[str, _ServerData] = {}
        self._absent: set[str] = set()  # those of _data without a node
        # After a reconnect namespaces are read first, and quickly.
        self._slots = Slots(clock)
        self._data_slots = Slots(clock)
        self._subscribers: list[Callable[[NamespaceView], None]] = []
        self._data_subscribers: list[Callable[[str, Any], object]] = []
        self._running = False

    def start(self) -> None:
        self._running = True
        for namespace in self._namespaces.values():
            namespace.start()
        for data in self._data.values():
            data.start()

    def stop(self) -> Deferred[None]:
        self._running = False
        for namespace in self._namespaces.values():
            namespace.stop()
        for data in self._data.values():
            data.stop()
        return succeed(None)

    def view(self, namespace: str) -> NamespaceView:
        known = self._namespaces.get(namespace)
        if known is None:
            check_room(self._namespaces, namespace)
            known = _Namespace(
                namespace,
                self._zookeeper,
                self._layout,
                self._clock,
                slots=self._slots,
                changed=self._changed,
            )
            self._namespaces[namespace] = known
            if self._running:
                known.start()
        return known.view

    def server_data(self, address: str) -> Any:
        known = self._data.get(address)
        if known is None:
            if len(self._data) >= _MAX_SERVERS:
                return None
            known = _ServerData(
                address,
                self._zookeeper,
                self._layout,
                self._clock,
                slots=self._data_slots,
                answered=self._data_answered,
                changed=self._data_changed,
            )
            self._data[address] = known
            if self._running:
                known.start()
        return known.value

    def subscribe(self, callback: Callable[[NamespaceView], None]) -> None:
        self._subscribers.append(callback)

    def subscribe_data(self, callback: Callable[[str, Any], object]) -> None:
        self._data_subscribers.append(callback)

    def functions(self, prefix: str) -> Deferred[list[str]]:
        return Deferred.fromCoroutine(self._functions(prefix))

    async def _functions(self, prefix: str) -> list[str]:
        wanted, slash, _ = prefix.partition("/")
        found: list[str] = []
        for namespace in sorted(await self._children(f"{self._layout.root}/functions")):
            if namespace == wanted if slash else namespace.startswith(wanted):
                try:
                    path = self._layout.functions(namespace)
                except ConfigurationError:  # no server of ours or of Clojure made this node
                    continue
                names = await self._children(path)
                found += [f"{namespace}/{name}" for name in sorted(names)]
        return [name for name in found if name.startswith(prefix)]

    async def _children(self, path: str) -> list[str]:
        try:
            return await self._zookeeper.get_children(path)
        except NoNodeException:
            return []

    def meta(self, name: str) -> Deferred[dict[Any, Any]]:
        namespace, _, function = name.partition("/")
        return Deferred.fromCoroutine(self._meta(self._layout.function(namespace, function)))

    async def _meta(self, path: str) -> dict[Any, Any]:
        try:
            data, _ = await self._zookeeper.get(path)
        except NoNodeException:
            return {}
        value = content.loads("clj", data) if data else None
        return value if isinstance(value, dict) else {}

    def _changed(self, view: NamespaceView) -> None:
        for subscriber in self._subscribers:
            _call(subscriber, view)
        if self._absent:
            alive = {address for known in self._namespaces.values() for address in known.view.servers}
            for address in self._absent - alive:
                self._forget(address)

    def _data_changed(self, address: str, value: Any) -> None:
        for subscriber in self._data_subscribers:
            try:
                subscriber(address, value)
            except Exception:
                _log.failure("a call-back about the data of {address} raised", address=address)

    def _data_answered(self, address: str, *, there: bool) -> None:
        """Forget a server that has neither a node nor a namespace; whoever asks again begins anew."""
        if there:
            self._absent.discard(address)
        elif any(address in namespace.view.servers for namespace in self._namespaces.values()):
            self._absent.add(address)
        else:
            self._forget(address)

    def _forget(self, address: str) -> None:
        self._absent.discard(address)
        self._data.pop(address).stop()


def _call(subscriber: Callable[[NamespaceView], None], view: NamespaceView) -> None:
    try:
        subscriber(view)
    except Exception:
        _log.failure("a call-back about the servers of {namespace} raised", namespace=view.namespace)


class _Namespace:
    """Two watched nodes, reduced to one view."""

    def __init__(
        self,
        namespace: str,
        zookeeper: ZookeeperClient,
        layout: Layout,
        clock: IReactorTime,
        *,
        slots: Slots,
        changed: Callable[[NamespaceView], None],
    ) -> None:
        self.view = NamespaceView(namespace)
        self._clock = clock
        self._changed = changed
        self._leader = ""  # as named, alive or not
        self._bad: set[str] = set()  # children that are no servers, as of the last answer
        self._grace: IDelayedCall | None = None
        self._watches: list[ChildrenWatch | DataWatch] = [
            DataWatch(zookeeper, layout.leader(namespace), self._leader_answered, clock=clock, slots=slots),
            ChildrenWatch(
                zookeeper, layout.namespace(namespace), self._children_answered, clock=clock, slots=slots
            ),
        ]

    def start(self) -> None:
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        for watch in self._watches:
            watch.stop()
        self._end_grace()
        self.view.stopped()

    def _children_answered(self, answer: tuple[list[str], Stat] | None) -> None:
        servers = self._servers_among(answer[0]) if answer is not None else ()
        if servers or not self.view.servers:
            self._end_grace()
            self._update(servers)
        elif self._grace is None:
            self._grace = self._clock.callLater(_GRACE, self._grace_over)
        self.view.confirm(self._clock.seconds())

    def _servers_among(self, children: Sequence[str]) -> tuple[str, ...]:
        servers = []
        bad = set()
        for child in children:
            if not is_server(child):
                continue
            try:
                parse_address(child)
            except ConfigurationError as error:
                bad.add(child)
                if child not in self._bad:
                    _log.warn(
                        "namespace {namespace}: ignoring {child!r}: {reason}",
                        namespace=self.view.namespace,
                        child=child,
                        reason=str(error),
                    )
            else:
                servers.append(child)
        self._bad = bad
        return tuple(sorted(servers))

    def _leader_answered(self, answer: tuple[bytes | None, Stat] | None) -> None:
        self._leader = leader_address(answer[0]) if answer is not None else ""
        self._update(self.view.servers)

    def _update(self, servers: tuple[str, ...]) -> None:
        leader = self._leader if self._leader in servers else None
        if servers == self.view.servers and leader == self.view.leader:
            return
        self.view.servers, self.view.leader = servers, leader
        self._changed(self.view)

    def _grace_over(self) -> None:
        self._grace = None
        self._update(())

    def _end_grace(self) -> None:
        grace, self._grace = self._grace, None
        if grace is not None:
            grace.cancel()


class _ServerData:
    """The data of one server, followed."""

    def __init__(
        self,
        address: str,
        zookeeper: ZookeeperClient,
        layout: Layout,
        clock: IReactorTime,
        *,
        slots: Slots,
        answered: Callable[..., None],
        changed: Callable[[str, Any], None],
    ) -> None:
        self.value: Any = None
        self._changed = changed
        self._address = address
        self._tell = answered
        self._watch = DataWatch(zookeeper, layout.server(address), self._answered, clock=clock, slots=slots)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()

    def _answered(self, answer: tuple[bytes | None, Stat] | None) -> None:
        before, self.value = self.value, None
        if answer is not None:
            try:
                self.value = server_data_value(answer[0])
            except ContentError as error:
                _log.warn(
                    "ignoring the data of server {address}: {error}", address=self._address, error=error
                )
        self._tell(self._address, there=answer is not None)
        if self.value != before:
            self._changed(self._address, self.value)
