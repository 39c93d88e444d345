"""The cluster client for code without a reactor; see :mod:`slacker.client.blocking`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import succeed

from slacker.client.blocking import Caller
from slacker.cluster import client as deferred
from slacker.cluster.client import NamespaceStatus


class ClusterClient(Caller[deferred.ClusterClient]):
    """:class:`slacker.ClusterClient` for code that waits.

    :param cluster: the cluster's name.
    :param zk: ZooKeeper's addresses, ``host:port[,host:port…][/chroot]``.
    :param timeout: seconds that a call may take, unless it says otherwise.
    :param options: those of :class:`slacker.ClusterClient`.
    :raises ConfigurationError: if one of these is wrong, or in a process that was forked from one with a
        reactor.
    """

    def __init__(
        self, cluster: str, zk: str = "127.0.0.1:2181", *, timeout: float = 10.0, **options: Any
    ) -> None:
        super().__init__(deferred.ClusterClient, cluster, zk, timeout=timeout, **options)

    def servers(self, namespace: str) -> list[str]:
        """Addresses of the namespace's servers that are connected now; asking begins to follow it."""
        return self._ask(
            f"the question for servers of {namespace}", lambda: succeed(self._client.servers(namespace))
        )

    def server_data(self, address: str) -> Any:
        """What the server says of itself, any EDN value; None while that is not known."""
        return self._ask(f"the question for {address}", lambda: succeed(self._client.server_data(address)))

    def status(self) -> dict[str, NamespaceStatus]:
        """What is known of each namespace that was called so far."""
        return self._ask("the question for the status", lambda: succeed(self._client.status()))
