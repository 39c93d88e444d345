"""The servers that calls may go to: one connection to each, opened and closed as the cluster changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Factory, define
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from slacker.client import Client
from slacker.cluster.discovery import IDiscovery, NamespaceView

#: Seconds between two looks at whether a server that left the cluster has answered its last call.
_RETIRE_PAUSE = 0.5


@define(eq=False)
class Route:
    """The servers of one namespace; ``servers`` and ``leader`` are true after a refresh, while not stale."""

    view: NamespaceView
    _clients: dict[str, Client]  # of all namespaces
    known: frozenset[str] = frozenset()
    servers: list[Client] = Factory(list)
    leader: Client | None = None
    stale: bool = True
    _waiting: list[Deferred[None]] = Factory(list)

    def refresh(self) -> None:
        """Bring up to date which servers are connected, in the order of their addresses."""
        found = [self._clients.get(address) for address in self.view.servers]
        self.servers = [client for client in found if client is not None and client.connected]
        self.leader = next((client for client in self.servers if client.address == self.view.leader), None)
        self.stale = False

    def changed(self) -> None:
        """The view changed, or a connection: look again when next used."""
        self.stale = True
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

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
    """

    def __init__(
        self,
        discovery: IDiscovery,
        connect: Callable[[str, Callable[[Client], None]], Client],
        clock: IReactorTime,
    ) -> None:
        self._discovery = discovery
        self._connect = connect
        self._clock = clock
        self._clients: dict[str, Client] = {}
        self._users: dict[str, int] = {}  # address → followed namespaces that have it
        self._retiring: dict[str, IDelayedCall] = {}
        self._closed = False
        #: The followed namespaces.
        self.routes: dict[str, Route] = {}
        discovery.subscribe(self._view_changed)

    def follow(self, namespace: str) -> Route:
        """The route of a namespace, which is followed from its first use on."""
        route = self.routes.get(namespace)
        if route is None:
            route = self.routes[namespace] = Route(self._discovery.view(namespace), self._clients)
            self._view_changed(route.view)
        return route

    def close(self) -> Deferred[None]:
        """Close all connections, and let who waits for a server hear that there will be none."""
        self._closed = True
        for timer in self._retiring.values():
            timer.cancel()
        closing = [client.close() for client in self._clients.values()]
        for route in self.routes.values():
            route.changed()
        return DeferredList(closing).addCallback(lambda _: None)

    def _view_changed(self, view: NamespaceView) -> None:
        """Open connections to new servers, and let go those that no followed namespace has any more."""
        route = self.routes.get(view.namespace)
        if route is None or self._closed:
            return
        servers = frozenset(view.servers)
        gone, new, route.known = route.known - servers, servers - route.known, servers
        for address in new:
            self._users[address] = self._users.get(address, 0) + 1
            if address not in self._clients:
                client = self._clients[address] = self._connect(address, self._client_changed)
                client.connect()
        for address in gone:
            self._users[address] -= 1
            self._retire(address)
        route.changed()

    def _client_changed(self, client: Client) -> None:
        """A connection was made or broke: its server is chosen, or not, from this moment on."""
        for route in self.routes.values():
            if client.address in route.known:
                route.changed()

    def _retire(self, address: str) -> None:
        """Close the connection to a server that left, once it has answered its last call."""
        if self._users[address] or self._closed or address in self._retiring:
            return
        client = self._clients[address]
        if client.in_flight:
            self._retiring[address] = self._clock.callLater(_RETIRE_PAUSE, self._retire_again, address)
        else:
            del self._clients[address], self._users[address]
            client.close()

    def _retire_again(self, address: str) -> None:
        del self._retiring[address]
        self._retire(address)


def _cancel(result: Any, timer: IDelayedCall) -> Any:
    if timer.active():
        timer.cancel()
    return result
