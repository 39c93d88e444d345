"""What a client knows of a cluster:

which servers expose a namespace, who leads it, what servers say of themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from zope.interface import Interface, implementer

from slacker.address import parse_address
from slacker.errors import ConfigurationError, ZookeeperError

_log = Logger()

# Namespaces one client follows. Each is two watches and two reads after every reconnect; whoever asks for
# more is making names up.
_MAX_NAMESPACES = 1_000


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

    def confirm(self, seconds: float | None) -> None:
        self.confirmed, self.confirmed_at = True, seconds
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def stopped(self) -> None:
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

    def subscribe_data(callback: Callable[[str, Any], object]) -> None:
        """Call back on the reactor with address and new value when the data of a followed server changes."""

    def functions(prefix: str) -> Deferred[list[str]]:
        """``namespace/function`` of the published functions whose name begins so."""

    def meta(name: str) -> Deferred[dict[Any, Any]]:
        """What is published of ``namespace/function``; empty if nothing is."""


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
            check_room(self._views, namespace)
            known = self._views[namespace] = NamespaceView(namespace)
            known.servers = self._servers
            known.confirmed = True
        return known

    def server_data(self, address: str) -> Any:
        """Nobody says anything here: None."""

    def subscribe(self, callback: Callable[[NamespaceView], None]) -> None:
        """Nothing changes, so there will be no call."""

    def subscribe_data(self, callback: Callable[[str, Any], object]) -> None:
        """Nothing changes, so there will be no call."""

    def functions(self, prefix: str) -> Deferred[list[str]]:
        """Nobody publishes anything here; a ``Client`` can ask one of the servers."""
        return fail(ConfigurationError("a fixed list of servers describes no functions: ask one of them"))

    def meta(self, name: str) -> Deferred[dict[Any, Any]]:
        """Nobody publishes anything here; a ``Client`` can ask one of the servers."""
        return fail(ConfigurationError(f"a fixed list of servers does not describe {name}: ask one of them"))


def check_room(views: dict[str, Any], namespace: str) -> None:
    if len(views) >= _MAX_NAMESPACES:
        raise ConfigurationError(f"{namespace}: {_MAX_NAMESPACES:,} other namespaces are followed already")
