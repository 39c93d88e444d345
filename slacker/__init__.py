"""slacker for Python: clusters of small services that call each other's functions.

Nothing here imports ``twisted.internet.reactor``: which reactor runs is the application's choice.
"""

from slacker._version import VERSION as __version__
from slacker.client import Client
from slacker.cluster import ClusterClient, ClusterServer
from slacker.errors import (
    AccessDenied,
    BacklogOverflow,
    CallError,
    CallTimeout,
    Canceled,
    ClusterError,
    ConfigurationError,
    ConnectionLost,
    ContentError,
    FunctionNotFound,
    NotSent,
    PeerProtocolError,
    ProtocolError,
    RemoteError,
    ServerBusy,
    SlackerError,
    Unavailable,
    ZookeeperError,
)
from slacker.server import SlackerServer

__all__ = [
    "AccessDenied",
    "BacklogOverflow",
    "CallError",
    "CallTimeout",
    "Canceled",
    "Client",
    "ClusterClient",
    "ClusterError",
    "ClusterServer",
    "ConfigurationError",
    "ConnectionLost",
    "ContentError",
    "FunctionNotFound",
    "NotSent",
    "PeerProtocolError",
    "ProtocolError",
    "RemoteError",
    "ServerBusy",
    "SlackerError",
    "SlackerServer",
    "Unavailable",
    "ZookeeperError",
    "__version__",
]
