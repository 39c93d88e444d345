"""What a client says about its session and its watches: states, event types, events."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple, TypedDict

EPHEMERAL = 1
"""Flag of ``create``: the node goes when the session ends."""
SEQUENCE = 2
"""Flag of ``create``: the server appends a number of ten digits to the name."""
PERM_ALL = 31
"""Every permission of an ACL: read 1, write 2, create 4, delete 8, admin 16."""


class State(IntEnum):
    """Where a client stands; the numbers are those of ZooKeeper's C library, which txzookeeper shows."""

    CLOSED = 0
    """Not connected, and not trying: ``connect`` was not called, or ``close`` was."""
    CONNECTING = 1
    """No connection now, but the session may live on: ZooKeeper has been looked for or was lost."""
    CONNECTED = 3
    """Requests are possible."""
    EXPIRED = -112
    """The session is gone, and its ephemeral nodes with it; a new session is being opened."""
    AUTH_FAILED = -113
    """ZooKeeper refused the credentials. They are tried again every 30 s, in case it changes its mind."""


class EventType(IntEnum):
    """Why a watch fired."""

    CREATED = 1
    DELETED = 2
    CHANGED = 3
    CHILD = 4
    SESSION = -1
    """The connection was lost or closed, and the watch with it; changes may have been missed: read again."""
    NOTWATCHING = -2
    """The read that should have set the watch failed, so there is none."""


class ClientEvent(NamedTuple):
    """What a watch's Deferred fires with, and what a session call-back gets."""

    type: EventType
    connection_state: State
    path: str
    """Path of the watched node; empty in a session event."""

    @property
    def type_name(self) -> str:
        return self.type.name.lower()

    @property
    def state_name(self) -> str:
        return self.connection_state.name.lower().replace("_", "-")


class Stat(NamedTuple):
    """ZooKeeper's record about a node.

    Times are milliseconds since the epoch, ids ``zxid`` are transaction ids.
    """

    czxid: int
    """The transaction that created the node."""
    mzxid: int
    """The transaction that wrote its data last."""
    ctime: int
    mtime: int
    version: int
    """How often its data was written."""
    cversion: int
    aversion: int
    ephemeralOwner: int
    """Id of the session it belongs to; 0 for a persistent node."""
    dataLength: int
    numChildren: int
    pzxid: int
    """The transaction that added or removed a child last."""


class Acl(TypedDict):
    """One entry of an access control list, in txzookeeper's shape."""

    perms: int
    scheme: str
    id: str


ZOO_OPEN_ACL_UNSAFE: Acl = {"perms": PERM_ALL, "scheme": "world", "id": "anyone"}
