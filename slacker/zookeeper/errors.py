"""ZooKeeper's errors, named as txzookeeper names them; all are :class:`slacker.errors.ZookeeperError`.

Each message says which operation on which path met it.
"""

from __future__ import annotations

from slacker.errors import ZookeeperError

__all__ = [
    "AuthFailedException",
    "BadArgumentsException",
    "BadVersionException",
    "ClosingException",
    "ConnectionLossException",
    "ConnectionTimeoutException",
    "InvalidACLException",
    "InvalidStateException",
    "MarshallingErrorException",
    "NoAuthException",
    "NoChildrenForEphemeralsException",
    "NoNodeException",
    "NodeExistsException",
    "NotConnectedException",
    "NotEmptyException",
    "OperationTimeoutException",
    "SessionExpiredException",
    "SessionMovedException",
    "TooManyRequestsException",
    "UnimplementedException",
    "ZookeeperError",
    "from_code",
    "is_connection_exception",
]


class NoNodeException(ZookeeperError):
    """The node does not exist."""


class NodeExistsException(ZookeeperError):
    """The node exists already."""


class BadVersionException(ZookeeperError):
    """The node's version is another than the one asked for: somebody changed it."""


class NotEmptyException(ZookeeperError):
    """The node has children."""


class NoChildrenForEphemeralsException(ZookeeperError):
    """An ephemeral node may not have children."""


class NoAuthException(ZookeeperError):
    """The node's ACL does not allow this."""


class InvalidACLException(ZookeeperError):
    """The ACL is empty, or names a scheme or an id that the server does not know."""


class AuthFailedException(ZookeeperError):
    """ZooKeeper refused the credentials; the client offers them again every 30 s."""


class BadArgumentsException(ZookeeperError):
    """A path that ZooKeeper cannot hold, data past its limit, or arguments that it refused."""


class MarshallingErrorException(ZookeeperError):
    """The server could not read the request."""


class UnimplementedException(ZookeeperError):
    """The server does not know this operation."""


class OperationTimeoutException(ZookeeperError):
    """The server gave up on the operation."""


class InvalidStateException(ZookeeperError):
    """The client cannot do this now: it is connected, or connecting, already."""


class NotConnectedException(ZookeeperError):
    """There is no connection now; the request certainly did not leave."""


class TooManyRequestsException(ZookeeperError):
    """Too many requests (or watches) are waiting on this client; this one did not leave."""


class ConnectionTimeoutException(ZookeeperError):
    """No ZooKeeper server was reached in time; the client goes on trying until it is closed."""


class ConnectionLossException(ZookeeperError):
    """The connection broke after the request may have left: it may or may not have been carried out."""


class SessionExpiredException(ZookeeperError):
    """The session expired: its ephemeral nodes are gone. The client opens a new session by itself."""


class SessionMovedException(ZookeeperError):
    """The session moved to another server, which has to be asked."""


class ClosingException(ZookeeperError):
    """The client was closed; whether the request was carried out is not known."""


# The codes of ZooKeeper's KeeperException. Those that are absent become a plain ZookeeperError.
_BY_CODE: dict[int, tuple[type[ZookeeperError], str]] = {
    -4: (ConnectionLossException, "the connection broke; it may or may not have been carried out"),
    -5: (MarshallingErrorException, "the server could not read the request"),
    -6: (UnimplementedException, "the server does not know this operation"),
    -7: (OperationTimeoutException, "the server gave up on it"),
    -8: (BadArgumentsException, "the server refused the arguments"),
    -101: (NoNodeException, "no such node"),
    -102: (NoAuthException, "the node's ACL does not allow it to this client (see auth)"),
    -103: (BadVersionException, "the node has another version"),
    -108: (NoChildrenForEphemeralsException, "an ephemeral node may not have children"),
    -110: (NodeExistsException, "the node exists already"),
    -111: (NotEmptyException, "the node has children"),
    -112: (SessionExpiredException, "the session expired"),
    -114: (InvalidACLException, "the server does not accept this ACL"),
    -115: (AuthFailedException, "ZooKeeper refused the credentials"),
    -116: (ClosingException, "the client was closed"),
    -124: (AuthFailedException, "ZooKeeper lets in only clients with SASL (see auth)"),
    -118: (SessionMovedException, "the session moved to another server"),
}


def from_code(code: int, what: str) -> ZookeeperError:
    """The error for one of ZooKeeper's codes.

    :param what: the operation and its path, as in ``create /a/b``; the message begins with it.
    """
    error, text = _BY_CODE.get(code, (ZookeeperError, f"ZooKeeper answered with error {code}"))
    return error(f"{what}: {text}")


def is_connection_exception(error: BaseException | None) -> bool:
    """Whether the connection, and not the request, is the reason: after a reconnect it may well work."""
    return isinstance(
        error,
        (ConnectionLossException, SessionExpiredException, ClosingException, NotConnectedException),
    )
