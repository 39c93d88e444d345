"""The namespace ``slacker.cluster.manager``: a member of a cluster, managed by calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.errors import ConfigurationError, ZookeeperError
from slacker.server.peer import PeerInfo

_log = Logger()

NAMESPACE = "slacker.cluster.manager"

# Seconds that a caller waits for ZooKeeper; its own timeout is 10 s as a rule.
_PATIENCE = 5.0


class Managed(Protocol):
    """What is managed: a :class:`~slacker.ClusterServer`."""

    @property
    def namespaces(self) -> tuple[str, ...]: ...
    @property
    def server_data(self) -> Any: ...
    def publish(self, namespace: str | None = None) -> Deferred[None]: ...
    def unpublish(self, namespace: str | None = None) -> Deferred[None]: ...
    def set_server_data(self, value: Any) -> Deferred[None]: ...


def may_manage(peer: PeerInfo) -> bool:
    """Who is answered: peers on this machine, and on a server with ``auth`` those to whom it opens this
    namespace, wherever they are. (That one refuses all others before.) The rest is refused with acl-reject.
    """
    return peer.loopback or (peer.identity is not None and peer.identity.may_call(NAMESPACE))


class Manager:
    """Upstream's seven functions, under its names. All but ``server-data`` answer nil.

    What is asked for is wanted from then on, whether ZooKeeper can be reached or not; a caller who cannot be
    told within 5 s that it is done gets an error that says so.

    :param shutdown: called a moment after ``shutdown`` was answered.
    """

    def __init__(self, member: Managed, shutdown: Callable[[], object], *, clock: IReactorTime) -> None:
        self._member = member
        self._shutdown = shutdown
        self._clock = clock
        self.functions: dict[str, Callable[..., Any]] = {
            "offline": self.offline,
            "offline-ns": self.offline_ns,
            "online": self.online,
            "online-ns": self.online_ns,
            "set-server-data!": self.set_server_data,
            "server-data": self.server_data,
            "shutdown": self.shutdown,
        }

    def offline(self) -> Deferred[None]:
        """Let clients find no namespace of this server any more. It goes on answering."""
        return self._confirmed(self._member.unpublish())

    def offline_ns(self, ns: str) -> Deferred[None] | None:
        """Let clients find this namespace here no more. One that is not here is not found anyway."""
        if ns not in self._member.namespaces:
            _log.warn("offline-ns: this server has no namespace {ns!r}; nothing changes", ns=ns)
            return None
        return self._confirmed(self._member.unpublish(ns))

    def online(self) -> Deferred[None]:
        """Let clients find all namespaces of this server."""
        return self._confirmed(self._member.publish())

    def online_ns(self, ns: str) -> Deferred[None]:
        """Let clients find this namespace here. It is an error if this server has none of this name."""
        if ns not in self._member.namespaces:  # nil, too, is no name: it does not mean all of them
            raise ConfigurationError(f"this server has no namespace {ns!r}, so it cannot be online here")
        return self._confirmed(self._member.publish(ns))

    def set_server_data(self, data: Any) -> Deferred[None]:
        """Tell clients this of the server: any value, of which they use the :weight."""
        return self._confirmed(self._member.set_server_data(data))

    def server_data(self) -> Any:
        """What clients are told of this server."""
        return self._member.server_data

    def shutdown(self) -> None:
        """Leave the cluster, finish the calls that run, and end."""
        _log.info("shutting down, as asked by a call")
        self._clock.callLater(0, self._shutdown)

    def _confirmed(self, done: Deferred[None]) -> Deferred[None]:
        return done.addTimeout(_PATIENCE, self._clock, _unconfirmed)


def _unconfirmed(result: object, seconds: float) -> Failure:
    return Failure(
        ZookeeperError(
            f"ZooKeeper has not confirmed it within {seconds:g} s: it is done as soon as ZooKeeper lets us"
        )
    )
