"""The servers that calls may go to: one connection to each, opened and closed as the cluster changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from slacker.client import Client
from slacker.cluster.discovery import IDiscovery, NamespaceView
from slacker.cluster.grouping import Loads, Sampler, weight_of
from slacker.content.values import Keyword

#: Seconds between two looks at whether a server that left the cluster has answered its last call.
_RETIRE_PAUSE = 0.5

# Connections are opened so many at a time, so that a thousand servers that join within seconds neither block
# the reactor nor use up the process's sockets in connecting state: 10 every 20 ms are 500 in a second.
_OPEN_AT_ONCE = 10
_OPEN_PAUSE = 0.02

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
    _waiting: list[Deferred[None]] = Factory(list)

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
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

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

    def when_changed(self, clock: IReactorTime, seconds: float) -> Deferred[None]:
        """Fires at the next change, or after so many seconds."""
        changed: Deferred[None] = Deferred(self._forget)
        self._waiting.append(changed)
        timer = clock.callLater(seconds, self._give_up, changed)
        return changed.addBoth(_cancel, timer)

    def _give_up(self, changed: Deferred[None]) -> None:
        self._forget(changed)
        changed.callback(None)

    def _forget(self, changed: Deferred[None]) -> None:
        if changed in self._waiting:
            self._waiting.remove(changed)


class Routes:
    """Follows namespaces, and keeps one client for each server of any of them.

    :param connect: makes the client of an address; the second argument is told when its connection changes.
    :ivar routes: the followed namespaces.
    :ivar clients: by address.
    """

    def __init__(
        self,
        discovery: IDiscovery,
        connect: Callable[[str, Callable[[Client], None]], Client],
        clock: IReactorTime,
    ) -> None:
        self.routes: dict[str, Route] = {}
        self.clients: dict[str, Client] = {}
        self._discovery = discovery
        self._connect = connect
        self._clock = clock
        self._users: dict[str, int] = {}  # address → followed namespaces that have it
        self._retiring: dict[str, IDelayedCall] = {}
        self._to_open: deque[Client] = deque()
        self._opening: IDelayedCall | None = None
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
            self._view_changed(route.view)
        return route

    def server_data(self, address: str) -> Any:
        """What a server says of itself."""
        return self._discovery.server_data(address)

    def close(self) -> Deferred[None]:
        """Close all connections, and let who waits for a server hear that there will be none."""
        self._closed = True
        for timer in self._retiring.values():
            timer.cancel()
        if self._opening is not None:
            self._opening.cancel()
        closing = [client.close() for client in self.clients.values()]
        for route in self.routes.values():
            route.changed()
        return DeferredList(closing).addCallback(lambda _: None)

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
        """Open connections to new servers, and let go those that no followed namespace has any more."""
        route = self.routes.get(view.namespace)
        if route is None or self._closed:
            return
        servers = frozenset(view.servers)
        gone, new, route.known = route.known - servers, servers - route.known, servers
        route.had_servers = route.had_servers or bool(servers)
        for address in new:
            self._users[address] = self._users.get(address, 0) + 1
            if address not in self.clients:
                client = self.clients[address] = self._connect(address, self._client_changed)
                self._to_open.append(client)
        for address in gone:
            self._users[address] -= 1
            self._retire(address)
        if self._to_open and self._opening is None:
            self._open_some()
        route.changed()

    def _open_some(self) -> None:
        self._opening = None
        for _ in range(min(_OPEN_AT_ONCE, len(self._to_open))):
            self._to_open.popleft().connect()
        if self._to_open:
            self._opening = self._clock.callLater(_OPEN_PAUSE, self._open_some)

    def _client_changed(self, client: Client) -> None:
        """A connection was made or broke: its server is chosen, or not, from this moment on."""
        for route in self.routes.values():
            if client.address in route.known:
                route.changed()

    def _data_changed(self, address: str, data: Any) -> None:
        for route in self.routes.values():
            route.weights_changed()

    def _retire(self, address: str) -> None:
        """Close the connection to a server that left, once it has answered its last call."""
        if self._users[address] or self._closed or address in self._retiring:
            return
        client = self.clients[address]
        if client.in_flight:
            self._retiring[address] = self._clock.callLater(_RETIRE_PAUSE, self._retire_again, address)
        else:
            del self.clients[address], self._users[address]
            client.close()

    def _retire_again(self, address: str) -> None:
        del self._retiring[address]
        self._retire(address)


def _cancel(result: Any, timer: IDelayedCall) -> Any:
    if timer.active():
        timer.cancel()
    return result
