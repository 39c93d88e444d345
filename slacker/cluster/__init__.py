"""Clusters: servers that ZooKeeper knows of, and clients that follow them."""

from slacker.cluster.client import ClusterClient
from slacker.cluster.server import ClusterServer

__all__ = ["ClusterClient", "ClusterServer"]
