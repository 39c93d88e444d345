"""The cluster client for asyncio; see :mod:`slacker.client.aio`."""

from __future__ import annotations

from typing import Any

from slacker.client.aio import Caller, running_reactor
from slacker.cluster import client as deferred
from slacker.cluster.client import NamespaceStatus


class ClusterClient(Caller[deferred.ClusterClient]):
    """:class:`slacker.ClusterClient` for asyncio; has to be made while the event loop runs.

    :param cluster: the cluster's name.
    :param zk: ZooKeeper's addresses, ``host:port[,host:port…][/chroot]``.
    :param options: those of :class:`slacker.ClusterClient`.
    :raises ConfigurationError: if one of these is wrong, or the reactor is not this event loop's.
    """

    def __init__(self, cluster: str, zk: str = "127.0.0.1:2181", **options: Any) -> None:
        super().__init__(deferred.ClusterClient(cluster, zk, reactor=running_reactor(), **options))

    def servers(self, namespace: str) -> list[str]:
        """Addresses of the namespace's servers that are connected now; asking begins to follow it."""
        return self._client.servers(namespace)

    def server_data(self, address: str) -> Any:
        """What the server says of itself, any EDN value; None while that is not known."""
        return self._client.server_data(address)

    def status(self) -> dict[str, NamespaceStatus]:
        """What is known of each namespace that was called so far."""
        return self._client.status()
