"""What a client knows of a cluster:

which servers expose a namespace, who leads it, what servers say of themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import Interface, implementer

from slacker.address import parse_address
from slacker.cluster.layout import Layout, is_server, leader_address, server_data_value
from slacker.errors import ConfigurationError, ContentError, ZookeeperError
from slacker.zookeeper import Stat, ZookeeperClient
from slacker.zookeeper.recipes import ChildrenWatch, DataWatch

_log = Logger()

# Namespaces one client follows. Each is two watches and two reads after every reconnect; whoever asks for
# more is making names up.
_MAX_NAMESPACES = 1_000
# Servers whose data one client follows: a watch and a read each.
_MAX_SERVERS = 5_000
# Seconds in which the last known servers stay, after ZooKeeper said that there is none any more: servers that
# restart together, or whose sessions expired together, are back by then.
_GRACE = 2.0


class NamespaceView:
    """What is known of one namespace. One object per namespace, kept up to date; read-only for others.

    :ivar namespace: its name.
    :ivar servers: the addresses of the servers that expose it, sorted.
    :ivar leader: the address of its leader, None if none of those servers is named as such.
    :ivar confirmed: whether there has been an authoritative answer, which may be that there is no such
        namespace.
    :ivar confirmed_at: when the last such answer came, by the clock's seconds; None if that has no meaning.
    """

    __slots__ = ("_waiting", "confirmed", "confirmed_at", "leader", "namespace", "servers")

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.servers: tuple[str, ...] = ()
        self.leader: str | None = None
        self.confirmed = False
        self.confirmed_at: float | None = None
        self._waiting: list[Deferred[None]] = []

    def when_confirmed(self) -> Deferred[None]:
        """Fires when :attr:`confirmed`, at once if it is. It may be cancelled.

        Fails with ZookeeperError if the discovery is stopped before that.
        """
        if self.confirmed:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._cancelled)
        self._waiting.append(waiting)
        return waiting

    def _cancelled(self, waiting: Deferred[None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _confirm(self, seconds: float | None) -> None:
        self.confirmed, self.confirmed_at = True, seconds
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def _stopped(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.errback(ZookeeperError(f"stopped before {self.namespace} was looked up"))


class IDiscovery(Interface):
    """A source of views."""

    def start() -> None:
        """Begin to look."""

    def stop() -> Deferred[None]:
        """Look no more; what is known stays readable."""

    def view(namespace: str) -> NamespaceView:
        """The view of a namespace, which is followed from the first time it is asked for. The same object
        each time.

        :raises ConfigurationError: if no namespace can have this name, or too many are followed.
        """

    def server_data(address: str) -> Any:
        """What the server says of itself; None while that is not known. Followed from the first time on.

        :raises ConfigurationError: if this is no address.
        """

    def subscribe(callback: Callable[[NamespaceView], None]) -> None:
        """Call back on the reactor after each change of a view's servers or leader."""


@implementer(IDiscovery)
class StaticDiscovery:
    """A list of addresses, all of which are taken to expose every namespace. Nothing ever changes.

    :raises ConfigurationError: if one of them is no ``host:port``.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        for address in servers:
            parse_address(address)
        self._servers = tuple(sorted(set(servers)))
        self._views: dict[str, NamespaceView] = {}

    def start(self) -> None:
        """There is nothing to begin."""

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def view(self, namespace: str) -> NamespaceView:
        known = self._views.get(namespace)
        if known is None:
            _check_room(self._views, namespace)
            known = self._views[namespace] = NamespaceView(namespace)
            known.servers = self._servers
            known.confirmed = True
        return known

    def server_data(self, address: str) -> Any:
        """Nobody says anything here: None."""

    def subscribe(self, callback: Callable[[NamespaceView], None]) -> None:
        """Nothing changes, so there will be no call."""


def _check_room(views: dict[str, Any], namespace: str) -> None:
    if len(views) >= _MAX_NAMESPACES:
        raise ConfigurationError(f"{namespace}: {_MAX_NAMESPACES:,} other namespaces are followed already")


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
        self._subscribers: list[Callable[[NamespaceView], None]] = []
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
            _check_room(self._namespaces, namespace)
            known = _Namespace(namespace, self._zookeeper, self._layout, self._clock, self._changed)
            self._namespaces[namespace] = known
            if self._running:
                known.start()
        return known.view

    def server_data(self, address: str) -> Any:
        known = self._data.get(address)
        if known is None:
            if len(self._data) >= _MAX_SERVERS:
                return None
            known = _ServerData(address, self._zookeeper, self._layout, self._clock, self._data_answered)
            self._data[address] = known
            if self._running:
                known.start()
        return known.value

    def subscribe(self, callback: Callable[[NamespaceView], None]) -> None:
        self._subscribers.append(callback)

    def _changed(self, view: NamespaceView) -> None:
        for subscriber in self._subscribers:
            _call(subscriber, view)
        for address in list(self._absent):
            self._data_answered(address, there=False)

    def _data_answered(self, address: str, *, there: bool) -> None:
        """Forget a server that has neither a node nor a namespace; whoever asks again begins anew."""
        if there:
            self._absent.discard(address)
        elif any(address in namespace.view.servers for namespace in self._namespaces.values()):
            self._absent.add(address)
        else:
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
        changed: Callable[[NamespaceView], None],
    ) -> None:
        self.view = NamespaceView(namespace)
        self._clock = clock
        self._changed = changed
        self._leader = ""  # as named, alive or not
        self._bad: set[str] = set()  # children that are no servers, as of the last answer
        self._grace: IDelayedCall | None = None
        self._watches: list[ChildrenWatch | DataWatch] = [
            DataWatch(zookeeper, layout.leader(namespace), self._leader_answered, clock=clock),
            ChildrenWatch(zookeeper, layout.namespace(namespace), self._children_answered, clock=clock),
        ]

    def start(self) -> None:
        for watch in self._watches:
            watch.start()

    def stop(self) -> None:
        for watch in self._watches:
            watch.stop()
        self._end_grace()
        self.view._stopped()

    def _children_answered(self, answer: tuple[list[str], Stat] | None) -> None:
        servers = self._servers_among(answer[0]) if answer is not None else ()
        if servers or not self.view.servers:
            self._end_grace()
            self._update(servers)
        elif self._grace is None:
            self._grace = self._clock.callLater(_GRACE, self._grace_over)
        self.view._confirm(self._clock.seconds())

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
        answered: Callable[..., None],
    ) -> None:
        self.value: Any = None
        self._address = address
        self._tell = answered
        self._watch = DataWatch(zookeeper, layout.server(address), self._answered, clock=clock)

    def start(self) -> None:
        self._watch.start()

    def stop(self) -> None:
        self._watch.stop()

    def _answered(self, answer: tuple[bytes | None, Stat] | None) -> None:
        self.value = None
        if answer is not None:
            try:
                self.value = server_data_value(answer[0])
            except ContentError as error:
                _log.warn(
                    "ignoring the data of server {address}: {error}", address=self._address, error=error
                )
        self._tell(self._address, there=answer is not None)
