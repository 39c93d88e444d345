"""The numbers of ZooKeeper's protocol: operations, error codes, events, permissions, kinds of nodes."""

from __future__ import annotations

from enum import IntEnum

from slacker.errors import ZookeeperError


class Op(IntEnum):
    """What a client asks for (``ZooDefs.OpCode``)."""

    CREATE = 1
    DELETE = 2
    EXISTS = 3
    GET_DATA = 4
    SET_DATA = 5
    GET_ACL = 6
    SET_ACL = 7
    GET_CHILDREN = 8
    SYNC = 9
    PING = 11
    GET_CHILDREN2 = 12
    CHECK = 13
    MULTI = 14
    CREATE2 = 15
    CHECK_WATCHES = 17
    REMOVE_WATCHES = 18
    CREATE_CONTAINER = 19
    CREATE_TTL = 21
    AUTH = 100
    SET_WATCHES = 101
    SET_WATCHES2 = 105
    ADD_WATCH = 106
    CLOSE = -11
    ERROR = -1  # marks a failed operation, and the end, in the answer to a multi


class Code(IntEnum):
    """How an operation ended (``KeeperException.Code``)."""

    OK = 0
    RUNTIME_INCONSISTENCY = -2
    MARSHALLING_ERROR = -5
    UNIMPLEMENTED = -6
    BAD_ARGUMENTS = -8
    NO_NODE = -101
    NO_AUTH = -102
    BAD_VERSION = -103
    NO_CHILDREN_FOR_EPHEMERALS = -108
    NODE_EXISTS = -110
    NOT_EMPTY = -111
    SESSION_EXPIRED = -112
    INVALID_ACL = -114
    AUTH_FAILED = -115
    NO_WATCHER = -121
    QUOTA_EXCEEDED = -125
    THROTTLED = -127


class Event(IntEnum):
    """What a watch reports (``Watcher.Event.EventType``)."""

    CREATED = 1
    DELETED = 2
    CHANGED = 3
    CHILD = 4


class Perm(IntEnum):
    """The bits of an access rule (``ZooDefs.Perms``)."""

    READ = 1
    WRITE = 2
    CREATE = 4
    DELETE = 8
    ADMIN = 16
    ALL = 31


class Mode(IntEnum):
    """The flags of a create (``CreateMode``)."""

    PERSISTENT = 0
    EPHEMERAL = 1
    PERSISTENT_SEQUENTIAL = 2
    EPHEMERAL_SEQUENTIAL = 3
    CONTAINER = 4
    TTL = 5
    TTL_SEQUENTIAL = 6

    @property
    def sequential(self) -> bool:
        """The name gets ten digits that count its parent's child creations."""
        return self in _SEQUENTIAL

    @property
    def ephemeral(self) -> bool:
        """The node goes with its session."""
        return self in (Mode.EPHEMERAL, Mode.EPHEMERAL_SEQUENTIAL)

    @property
    def has_ttl(self) -> bool:
        """The node goes when it was neither written nor had a child for its time to live."""
        return self in (Mode.TTL, Mode.TTL_SEQUENTIAL)


_SEQUENTIAL = frozenset({Mode.PERSISTENT_SEQUENTIAL, Mode.EPHEMERAL_SEQUENTIAL, Mode.TTL_SEQUENTIAL})


class OperationRefused(ZookeeperError):
    """An operation that ends in an error code; the client gets the code, the text is for the log.

    :ivar code: the :class:`Code` the client is answered with.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
