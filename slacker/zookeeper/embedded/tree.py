"""The nodes, and the changes a transaction makes to them.

Pure: the time, the transaction id and the client's identities come with the transaction. Every change checks
everything before it touches anything, and leaves behind how to undo it, so that a multi can be rolled back.

As the real server does, a change that is refused uses up a transaction id too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import attrs

from slacker.zookeeper.embedded.acl import OPEN, READ_ONLY, Identity, check_allowed, resolve
from slacker.zookeeper.embedded.codes import Code, Event, Mode, OperationRefused, Perm
from slacker.zookeeper.embedded.jute import int32
from slacker.zookeeper.embedded.paths import check_path, parent_of
from slacker.zookeeper.embedded.records import Acl, Create, Stat

# A node costs about a kilobyte beside its data. A quarter of a million of them, and 256 MiB of data, is more
# than any test needs, and still leaves the machine of a runaway test alive.
MAX_NODES = 250_000
MAX_BYTES = 256 * 1024 * 1024

_MAX_TTL = 0xFF_FFFF_FFFF  # 34 years in milliseconds; the real server keeps five bytes of it

SPECIAL_PATHS = frozenset({"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"})


@attrs.define(eq=False)
class Node:
    """One node.

    :ivar owner: the session an ephemeral node goes with, else 0.
    :ivar ttl: the milliseconds a TTL node lives, else -1.
    :ivar created: how many children it ever had, which is the number of the next sequential one.
    """

    data: bytes | None
    acl: tuple[Acl, ...]
    czxid: int = 0
    ctime: int = 0
    mode: Mode = Mode.PERSISTENT
    owner: int = 0
    ttl: int = -1
    mzxid: int = 0
    mtime: int = 0
    pzxid: int = 0
    version: int = 0
    aversion: int = 0
    created: int = 0
    children: dict[str, None] = attrs.Factory(dict)

    def stat(self) -> Stat:
        """What a client is told of the node."""
        return Stat(
            czxid=self.czxid,
            mzxid=self.mzxid,
            ctime=self.ctime,
            mtime=self.mtime,
            version=int32(self.version),
            # Creations and deletions; all that was created and is not there was deleted.
            cversion=int32(2 * self.created - len(self.children)),
            aversion=int32(self.aversion),
            ephemeral_owner=self.owner,
            data_length=len(self.data or b""),
            num_children=len(self.children),
            pzxid=self.pzxid,
        )


class Change(NamedTuple):
    """What happened to a node, and the rules that say who may hear of it: the node's, and its parent's."""

    event: Event
    path: str
    acl: Sequence[Acl]
    parent_acl: Sequence[Acl]


@attrs.define(eq=False)
class Transaction:
    """One change or several that share a transaction id.

    :ivar now: milliseconds since 1970.
    :ivar changes: what happened, in order, for the watches, once the transaction stands.
    """

    zxid: int
    now: int
    session_id: int
    identities: Sequence[Identity]
    changes: list[Change] = attrs.Factory(list)
    undo: list[Callable[[], None]] = attrs.Factory(list)

    def roll_back(self) -> None:
        """Take back every change, newest first."""
        while self.undo:
            self.undo.pop()()
        self.changes.clear()


class DataTree:
    """The nodes of one server."""

    def __init__(self, max_nodes: int = MAX_NODES, max_bytes: int = MAX_BYTES) -> None:
        self._max_nodes = max_nodes
        self._max_bytes = max_bytes
        self._nodes = {
            "/": Node(b"", OPEN, children={"zookeeper": None}),
            "/zookeeper": Node(b"", OPEN, children={"config": None, "quota": None}),
            "/zookeeper/quota": Node(b"", OPEN),
            # Curator reads the ensemble's configuration here; there is no ensemble.
            "/zookeeper/config": Node(b"", READ_ONLY, aversion=-1),
        }
        self._ephemerals: dict[int, dict[str, None]] = {}
        self._reapable: dict[str, Node] = {}
        #: Bytes of all data and paths.
        self.size = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, path: str) -> Node:
        """The node; the empty path is the root's, too.

        :raises OperationRefused: NO_NODE.
        """
        node = self.find(path)
        if node is None:
            raise OperationRefused(Code.NO_NODE, f"there is no node {path!r}")
        return node

    def find(self, path: str) -> Node | None:
        """The node, if there is one."""
        return self._nodes.get(path or "/")

    def ephemerals(self, session_id: int) -> list[str]:
        """The paths a session owns, oldest first."""
        return list(self._ephemerals.get(session_id, ()))

    # -- changes -----------------------------------------------------------------------------------

    def create(self, txn: Transaction, request: Create) -> str:
        """Create a node; the path it got, which is longer than the one asked for if it is sequential.

        The order of the checks is the real server's: it decides which of several errors a client sees.
        """
        path, data, acl, flags, ttl = request
        mode = _mode(path, flags, ttl)
        parent_path, slash, _ = path.rpartition("/")
        if not slash or "\0" in path:
            raise OperationRefused(Code.BAD_ARGUMENTS, f"the path {path!r} does not begin with a slash")
        rules = resolve(acl, txn.identities, path)
        parent = self.get(parent_path)
        check_allowed(parent.acl, Perm.CREATE, txn.identities, parent_path)
        if mode.sequential:
            path = f"{path}{int32(parent.created):010d}"
        check_path(path)
        if path in self._nodes:
            raise OperationRefused(Code.NODE_EXISTS, f"there is a node {path!r} already")
        if parent.mode.ephemeral:
            raise OperationRefused(Code.NO_CHILDREN_FOR_EPHEMERALS, f"{parent_path!r} is ephemeral")
        self._check_room(path, len(self._nodes) + 1, len(data or b"") + len(path))

        node = Node(
            data,
            rules,
            czxid=txn.zxid,
            ctime=txn.now,
            mode=mode,
            owner=txn.session_id if mode.ephemeral else 0,
            ttl=ttl,
            mzxid=txn.zxid,
            mtime=txn.now,
            pzxid=txn.zxid,
        )
        pzxid = parent.pzxid

        def undo() -> None:
            self._detach(path, node, parent)
            parent.created -= 1
            parent.pzxid = pzxid

        self._attach(path, node, parent)
        parent.created += 1
        parent.pzxid = txn.zxid
        txn.undo.append(undo)
        txn.changes.append(Change(Event.CREATED, path, rules, parent.acl))
        return path

    def delete(self, txn: Transaction, path: str, version: int) -> None:
        """Delete a node without children."""
        parent_path, slash, _ = path.rpartition("/")
        if not slash or "\0" in path or path in SPECIAL_PATHS:
            raise OperationRefused(Code.BAD_ARGUMENTS, f"the node {path!r} cannot be deleted")
        parent = self.get(parent_path)
        check_allowed(parent.acl, Perm.DELETE, txn.identities, parent_path)
        node = self.get(path)
        _check_version(path, node.version, version)
        if node.children:
            raise OperationRefused(Code.NOT_EMPTY, f"the node {path!r} has children")
        self._remove(txn, path, node, parent)

    def set_data(self, txn: Transaction, path: str, data: bytes | None, version: int) -> Node:
        """Replace a node's data."""
        check_path(path)
        node = self.get(path)
        check_allowed(node.acl, Perm.WRITE, txn.identities, path)
        _check_version(path, node.version, version)
        self._check_room(path, 0, len(data or b"") - len(node.data or b""))
        old = node.data, node.version, node.mzxid, node.mtime

        def undo() -> None:
            self.size += len(old[0] or b"") - len(node.data or b"")
            node.data, node.version, node.mzxid, node.mtime = old

        self.size += len(data or b"") - len(node.data or b"")
        node.data, node.version, node.mzxid, node.mtime = data, node.version + 1, txn.zxid, txn.now
        txn.undo.append(undo)
        txn.changes.append(Change(Event.CHANGED, path, node.acl, ()))
        return node

    def set_acl(self, txn: Transaction, path: str, acl: Sequence[Acl], version: int) -> Node:
        """Replace a node's rules of access."""
        check_path(path)
        rules = resolve(acl, txn.identities, path)
        node = self.get(path)
        check_allowed(node.acl, Perm.ADMIN, txn.identities, path)
        _check_version(path, node.aversion, version)
        old = node.acl, node.aversion

        def undo() -> None:
            node.acl, node.aversion = old

        node.acl, node.aversion = rules, node.aversion + 1
        txn.undo.append(undo)
        return node

    def check(self, txn: Transaction, path: str, version: int) -> None:
        """See that the node has this version."""
        check_path(path)
        node = self.get(path)
        check_allowed(node.acl, Perm.READ, txn.identities, path)
        _check_version(path, node.version, version)

    def close_session(self, txn: Transaction) -> None:
        """Delete what the session owns, whatever the rules of access say."""
        for path in self.ephemerals(txn.session_id):
            self._remove(txn, path, self._nodes[path], self._nodes[parent_of(path)])

    def stale(self, now: int) -> list[str]:
        """The containers that lost their last child, and the childless nodes whose time to live is over."""
        return [
            path
            for path, node in self._reapable.items()
            if not node.children and (now - node.mtime > node.ttl if node.mode.has_ttl else node.created > 0)
        ]

    def reap(self, txn: Transaction, path: str) -> None:
        """Delete one of the :meth:`stale` nodes."""
        self._remove(txn, path, self._nodes[path], self._nodes[parent_of(path)])

    # -- how a node comes and goes -----------------------------------------------------------------

    def _remove(self, txn: Transaction, path: str, node: Node, parent: Node) -> None:
        pzxid = parent.pzxid

        def undo() -> None:
            self._attach(path, node, parent)
            parent.pzxid = pzxid

        self._detach(path, node, parent)
        parent.pzxid = txn.zxid
        txn.undo.append(undo)
        txn.changes.append(Change(Event.DELETED, path, node.acl, parent.acl))

    def _attach(self, path: str, node: Node, parent: Node) -> None:
        self._nodes[path] = node
        self.size += len(path) + len(node.data or b"")
        parent.children[path.rpartition("/")[2]] = None
        if node.mode.ephemeral:
            self._ephemerals.setdefault(node.owner, {})[path] = None
        elif node.mode.has_ttl or node.mode is Mode.CONTAINER:
            self._reapable[path] = node

    def _detach(self, path: str, node: Node, parent: Node) -> None:
        del self._nodes[path]
        self.size -= len(path) + len(node.data or b"")
        del parent.children[path.rpartition("/")[2]]
        if node.mode.ephemeral:
            owned = self._ephemerals[node.owner]
            del owned[path]
            if not owned:
                del self._ephemerals[node.owner]
        self._reapable.pop(path, None)

    def _check_room(self, path: str, nodes: int, more_bytes: int) -> None:
        if nodes > self._max_nodes or (more_bytes > 0 and self.size + more_bytes > self._max_bytes):
            raise OperationRefused(
                Code.QUOTA_EXCEEDED,
                f"{path!r} is too much for a server of {self._max_nodes} nodes and {self._max_bytes} bytes",
            )


def _mode(path: str, flags: int, ttl: int) -> Mode:
    try:
        mode = Mode(flags)
    except ValueError:
        raise OperationRefused(Code.BAD_ARGUMENTS, f"{path!r}: {flags} is no kind of node") from None
    if mode.has_ttl and not 0 < ttl <= _MAX_TTL:
        raise OperationRefused(
            Code.BAD_ARGUMENTS, f"{path!r}: a time to live is 1 to {_MAX_TTL} milliseconds, not {ttl}"
        )
    if ttl >= 0 and not mode.has_ttl:
        raise OperationRefused(Code.BAD_ARGUMENTS, f"{path!r}: a time to live goes with a TTL node only")
    return mode


def _check_version(path: str, actual: int, expected: int) -> None:
    if expected not in (-1, int32(actual)):
        raise OperationRefused(Code.BAD_VERSION, f"{path!r} has version {int32(actual)}, not {expected}")


def changed_since(tree: DataTree, path: str, zxid: int, *, children: bool) -> Event | None:
    """What a client that last looked at a node at `zxid` has missed of its data, or of its children."""
    node = tree.find(path)
    if node is None:
        return Event.DELETED
    if (node.pzxid if children else node.mzxid) <= zxid:
        return None
    return Event.CHILD if children else Event.CHANGED
