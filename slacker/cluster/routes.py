"""The servers that calls may go to, by namespace, as the cluster and their connections change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from slacker.client import Client
from slacker.client.pace import Pace
from slacker.cluster.connections import Connections
from slacker.cluster.discovery import IDiscovery, NamespaceView
from slacker.cluster.grouping import Loads, Sampler, weight_of
from slacker.content.values import Keyword

# To look through its servers again costs a route some microseconds for each. One with so many connected ones
# waits so many seconds until it counts a further one in, so that while a thousand join, not every call pays
# for that. One whose connection breaks is counted out at once.
_MANY = 100
_RIPE_AFTER = 0.05

# Calls that look again in one turn of the reactor whether there is a server for them now, some 20 us each.
_WOKEN_AT_ONCE = 500

_WEIGHT = Keyword("weight")


@define(eq=False)
class Route:
    """The servers of one namespace; ``servers`` and ``leader`` are true after a refresh, while not stale."""

    view: NamespaceView
    _routes: Routes
    known: frozenset[str] = frozenset()
    servers: list[Client] = Factory(list)
    leader: Client | None = None
    stale: bool = True
    had_servers: bool = False  # servers that all restart, or lose ZooKeeper together, are waited for
    _sampler: Sampler[Client] | None = None
    _loads: Loads[Client] | None = None
    _waiting: dict[Deferred[None], None] = Factory(dict)
    _due: deque[Deferred[None]] = Factory(deque)  # those that waited before the last change
    _waking: IDelayedCall | None = None

    def refresh(self) -> None:
        """Bring up to date which servers are connected, in the order of their addresses."""
        clients = self._routes.clients
        found = [clients.get(address) for address in self.view.servers]
        self.servers = [client for client in found if client is not None and client.connected]
        self.leader = next((client for client in self.servers if client.address == self.view.leader), None)
        self.stale = False
        self._sampler = None
        if self._loads is not None:
            self._loads = Loads(self.servers, self._loads.of)

    def changed(self) -> None:
        """The view changed, or a connection: look again when next used."""
        self.stale = True
        self._due += self._waiting
        self._waiting.clear()
        if self._waking is None:
            self._wake()

    def closed(self) -> None:
        """There will be no change any more."""
        self.changed()
        while self._waking is not None:
            self._waking.cancel()
            self._wake()

    def _wake(self) -> None:
        self._waking = None
        for _ in range(_WOKEN_AT_ONCE):
            if not self._due:
                return
            waiting = self._due.popleft()
            if not waiting.called:
                waiting.callback(None)  # who may close the client, which wakes all that are left
        if self._due and self._waking is None:
            self._waking = self._routes.clock.callLater(0, self._wake)

    def weights_changed(self) -> None:
        """What a server says of itself changed."""
        self._sampler = None

    @property
    def sampler(self) -> Sampler[Client]:
        """The servers by ``:weight``, made when first asked for after a change."""
        if self._sampler is None:
            data = self._routes.server_data
            weights = [weight_of(data(client.address), _WEIGHT) for client in self.servers]
            self._sampler = Sampler(self.servers, weights)
        return self._sampler

    @property
    def loads(self) -> Loads[Client]:
        """The servers by calls in flight, kept from the first time on."""
        if self._loads is None:
            self._loads = Loads(self.servers, self._routes.count_calls(self))
        return self._loads

    @property
    def backlog(self) -> int:
        """How many calls may wait."""
        return self._routes.backlog

    @property
    def crowded(self) -> bool:
        """Whether so many do."""
        return len(self._waiting) + len(self._due) >= self.backlog

    def when_changed(self, seconds: float) -> Deferred[None]:
        """Fires at the next change, or after so many seconds."""
        changed: Deferred[None] = Deferred(self._forget)
        self._waiting[changed] = None
        timer = self._routes.clock.callLater(seconds, self._give_up, changed)
        return changed.addBoth(_cancel, timer)

    def _give_up(self, changed: Deferred[None]) -> None:
        self._forget(changed)
        changed.callback(None)

    def _forget(self, changed: Deferred[None]) -> None:
        self._waiting.pop(changed, None)


class Routes:
    """Follows namespaces, and keeps one client for each server of any of them.

    :param connect: makes the client of an address; the second argument is told when its connection changes,
        the third is the client's ``pace``.
    :param backlog: calls that may wait for a server, in each namespace.
    :param follow_data: follow what each server says of itself.
    :ivar routes: the followed namespaces.
    :ivar clients: by address.
    """

    def __init__(
        self,
        discovery: IDiscovery,
        connect: Callable[[str, Callable[[Client], None], Pace], Client],
        clock: IReactorTime,
        *,
        backlog: int,
        follow_data: bool,
    ) -> None:
        self.routes: dict[str, Route] = {}
        self.clock = clock
        self.backlog = backlog
        self._discovery = discovery
        self._follow_data = follow_data
        self._connections = Connections(
            lambda address, pace: connect(address, self._client_changed, pace), clock
        )
        self.clients = self._connections.clients
        self._ripening: dict[Route, None] = {}
        self._ripe: IDelayedCall | None = None
        self._in_flight: dict[Client, int] | None = None  # counted once somebody wants to know
        self._counting: list[Route] = []
        self._closed = False
        discovery.subscribe(self._view_changed)
        discovery.subscribe_data(self._data_changed)

    def follow(self, namespace: str) -> Route:
        """The route of a namespace, which is followed from its first use on."""
        route = self.routes.get(namespace)
        if route is None:
            route = self.routes[namespace] = Route(self._discovery.view(namespace), self)
            # Who waits hears also that nobody has the namespace; or that nobody will say so any more.
            route.view.when_confirmed().addBoth(_call, route.changed)
            self._view_changed(route.view)
        return route

    def server_data(self, address: str) -> Any:
        """What a server says of itself."""
        return self._discovery.server_data(address)

    def close(self) -> Deferred[None]:
        """Close all connections, and let who waits for a server hear that there will be none."""
        self._closed = True
        if self._ripe is not None:
            self._ripe.cancel()
        closing = self._connections.close()
        for route in self.routes.values():
            route.closed()
        return closing

    # Calls in flight

    def count_calls(self, route: Route) -> Callable[[Client], int]:
        """Begin to count, and keep the route's loads up to date."""
        counts = self._in_flight = self._in_flight or {}
        self._counting.append(route)
        return lambda client: counts.get(client, 0)

    def counted(self, client: Client, call: Deferred[Any]) -> Deferred[Any]:
        """Count this call on the server while it lasts, if anybody wants to know."""
        if self._in_flight is None:
            return call
        self._count(client, 1)
        return call.addBoth(self._ended, client)

    def _ended(self, result: Any, client: Client) -> Any:
        self._count(client, -1)
        return result

    def _count(self, client: Client, by: int) -> None:
        assert self._in_flight is not None
        count = self._in_flight.pop(client, 0) + by
        if count:
            self._in_flight[client] = count
        for route in self._counting:
            route.loads.change(client, by)

    # Connections

    def _view_changed(self, view: NamespaceView) -> None:
        """Want connections to new servers, and none to those that no followed namespace has any more."""
        route = self.routes.get(view.namespace)
        if route is None or self._closed:
            return
        servers = frozenset(view.servers)
        gone, new, route.known = route.known - servers, servers - route.known, servers
        route.had_servers = route.had_servers or bool(servers)
        self._connections.change(new, gone)
        if self._follow_data:
            for address in new:
                self._discovery.server_data(address)
        route.changed()

    def _client_changed(self, client: Client) -> None:
        """A connection was made or broke: its server is chosen, or not, from this moment on, or soon."""
        for route in self.routes.values():
            if client.address not in route.known:
                continue
            if client.connected and len(route.servers) >= _MANY and not self._closed:
                self._ripening[route] = None
            else:
                route.changed()
        if self._ripening and self._ripe is None:
            self._ripe = self.clock.callLater(_RIPE_AFTER, self._ripened)

    def _ripened(self) -> None:
        self._ripe = None
        ripe, self._ripening = self._ripening, {}
        for route in ripe:
            route.changed()

    def _data_changed(self, address: str, data: Any) -> None:
        for route in self.routes.values():
            route.weights_changed()


def _cancel(result: Any, timer: IDelayedCall) -> Any:
    if timer.active():
        timer.cancel()
    return result


def _call(result: object, function: Callable[[], None]) -> None:
    function()
