"""What each operation does and is answered: where requests meet the tree and the watches.

Pure but for one thing: while a request is worked on, the connections whose watches it fires are told at once,
so that an event always leaves before any answer that shows the change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from slacker.zookeeper.embedded.acl import Identity, allowed, check_allowed, digest_identity, masked
from slacker.zookeeper.embedded.codes import Code, Event, Op, OperationRefused, Perm
from slacker.zookeeper.embedded.jute import pack_buffer, pack_string, pack_vector
from slacker.zookeeper.embedded.records import (
    AddWatch,
    Auth,
    Check,
    Create,
    Delete,
    Multi,
    OnPath,
    Request,
    SetAcl,
    SetData,
    SetWatches,
    Watched,
    WatchKind,
    pack_acl,
    pack_error,
    pack_multi,
    pack_stat,
)
from slacker.zookeeper.embedded.tree import DataTree, Transaction, changed_since
from slacker.zookeeper.embedded.watches import ANY, MAX_WATCHES, Kind, WatchTable

# What the real server calls these operations in the answer to a multi: create2 comes back without a stat.
_IN_MULTI = {Op.CREATE2: Op.CREATE, Op.CREATE_CONTAINER: Op.CREATE2, Op.CREATE_TTL: Op.CREATE2}

_ADDED = (Kind.PERSISTENT, Kind.RECURSIVE)


class Client(Protocol):
    """What is asked of a connection; it is hashable by identity, as it stands in the watch table."""

    session_id: int
    identities: list[Identity]

    def notify(self, event: Event, path: str) -> None:
        """Tell the client that a watch of its fired."""


class Processor:
    """The operations of one server.

    :param seconds: the time since 1970.
    :param first_zxid: the id before the first transaction's. A client refuses to go back in time, so a server
        whose data is new should start later than its predecessor ended.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        first_zxid: int = 0,
        tree: DataTree | None = None,
        max_watches: int = MAX_WATCHES,
    ) -> None:
        self.tree = DataTree() if tree is None else tree
        self.watches: WatchTable[Client] = WatchTable()
        self.zxid = first_zxid
        self._seconds = seconds
        self._max_watches = max_watches

    # -- what is no request ------------------------------------------------------------------------

    def open_session(self) -> None:
        """A session's begin is a transaction, too."""
        self.zxid += 1

    def close_session(self, session_id: int) -> None:
        """Delete the session's ephemeral nodes."""
        txn = self._begin(session_id)
        self.tree.close_session(txn)
        self._fire(txn)

    def reap(self) -> None:
        """Delete emptied containers and nodes past their time to live."""
        for path in self.tree.stale(self._now()):
            txn = self._begin(0)
            self.tree.reap(txn, path)
            self._fire(txn)

    # -- requests ----------------------------------------------------------------------------------

    def handle(self, client: Client, op: Op | None, request: Request) -> tuple[Code, bytes]:
        """How the request ended, and the body of its answer, which is empty where it was refused."""
        try:
            if isinstance(request, Watched):
                return Code.OK, self._read(client, op, request)
            if isinstance(request, Auth):
                return self._auth(client, request)
            if isinstance(request, OnPath):
                path = request.path
                return Code.OK, pack_string(path) if op is Op.SYNC else self._get_acl(client, path)
            if isinstance(request, WatchKind):
                return self._watch_kind(client, op, request)
            if isinstance(request, AddWatch):
                return Code.OK, self._add_watch(client, request)
            if isinstance(request, SetWatches):
                return Code.OK, self._set_watches(client, request)
            if op is Op.PING:
                return Code.OK, b""
            if op is None or op is Op.CLOSE:
                return Code.UNIMPLEMENTED, b""
            txn = self._begin(client.session_id, client.identities)
            if isinstance(request, Multi):
                return Code.OK, self._multi(txn, request)
            body = self._change(txn, op, request)
            self._fire(txn)
            return Code.OK, body
        except OperationRefused as exc:
            return exc.code, b""

    def _change(self, txn: Transaction, op: Op, request: Request) -> bytes:
        """Carry out an operation that may stand in a multi, or setACL; the body of its answer."""
        tree = self.tree
        if isinstance(request, Create):
            path = tree.create(txn, request)
            stat = b"" if op is Op.CREATE else pack_stat(tree.get(path).stat())
            return pack_string(path) + stat
        if isinstance(request, SetData):
            return pack_stat(tree.set_data(txn, *request).stat())
        if isinstance(request, SetAcl):
            return pack_stat(tree.set_acl(txn, *request).stat())
        if isinstance(request, Check):
            tree.check(txn, *request)
            return b""
        assert isinstance(request, Delete), request
        tree.delete(txn, *request)
        return b""

    def _multi(self, txn: Transaction, request: Multi) -> bytes:
        """All of it, or nothing: then the failed operation says why, those before it 0, those after it -2."""
        results: list[tuple[Op, bytes]] = []
        for op, operation in request.operations:
            answered = _IN_MULTI.get(op, op)
            try:
                body = self._change(txn, answered, operation)
            except OperationRefused as exc:
                txn.roll_back()
                codes = [Code.OK] * len(results) + [exc.code]
                codes += [Code.RUNTIME_INCONSISTENCY] * (len(request.operations) - len(codes))
                return pack_multi([(Op.ERROR, pack_error(code)) for code in codes])
            results.append((answered, body))
        self._fire(txn)
        return pack_multi(results)

    def _read(self, client: Client, op: Op | None, request: Watched) -> bytes:
        path = request.path
        children = op in (Op.GET_CHILDREN, Op.GET_CHILDREN2)
        if request.watch:
            self._check_room(1)
        if op is Op.EXISTS:
            if "\0" in path:
                raise OperationRefused(Code.BAD_ARGUMENTS, f"the path {path!r} holds a null character")
            if request.watch:  # also where there is no node yet: that is what it is for
                self.watches.add(client, Kind.DATA, path)
            return pack_stat(self.tree.get(path).stat())
        node = self.tree.get(path)
        check_allowed(node.acl, Perm.READ, client.identities, path)
        if request.watch:
            self.watches.add(client, Kind.CHILDREN if children else Kind.DATA, path)
        body = pack_vector(map(pack_string, node.children)) if children else pack_buffer(node.data)
        return body if op is Op.GET_CHILDREN else body + pack_stat(node.stat())

    def _get_acl(self, client: Client, path: str) -> bytes:
        node = self.tree.get(path)
        check_allowed(node.acl, Perm.READ | Perm.ADMIN, client.identities, path)
        admin = allowed(node.acl, Perm.ADMIN, client.identities)
        return pack_acl(list(node.acl) if admin else masked(node.acl)) + pack_stat(node.stat())

    def _auth(self, client: Client, request: Auth) -> tuple[Code, bytes]:
        """After AUTH_FAILED the connection is closed by its owner."""
        if request.scheme == "digest":
            identity = digest_identity(request.auth)
            if identity not in client.identities:
                client.identities.append(identity)
            return Code.OK, b""
        return (Code.OK if request.scheme == "ip" else Code.AUTH_FAILED), b""

    # -- watches -----------------------------------------------------------------------------------

    def _watch_kind(self, client: Client, op: Op | None, request: WatchKind) -> tuple[Code, bytes]:
        if request.kind != ANY and request.kind not in list(Kind):
            return Code.MARSHALLING_ERROR, b""
        find = self.watches.remove if op is Op.REMOVE_WATCHES else self.watches.has
        return (Code.OK if find(client, request.kind, request.path) else Code.NO_WATCHER), b""

    def _add_watch(self, client: Client, request: AddWatch) -> bytes:
        if request.mode not in (0, 1):
            raise OperationRefused(Code.BAD_ARGUMENTS, f"{request.mode} is no mode of a watch")
        self._check_room(1)
        self.watches.add(client, _ADDED[request.mode], request.path)
        return pack_error(Code.OK)

    def _set_watches(self, client: Client, request: SetWatches) -> bytes:
        """Watch again, but for what has changed since the client was last here: that it hears of now."""
        self._check_room(sum(map(len, request[1:])))
        zxid = request.relative_zxid
        for path in request.data:
            missed = changed_since(self.tree, path, zxid, children=False)
            self._watch_or_tell(client, Kind.DATA, path, missed)
        for path in request.exist:
            self._watch_or_tell(client, Kind.DATA, path, Event.CREATED if self.tree.find(path) else None)
        for path in request.child:
            missed = changed_since(self.tree, path, zxid, children=True)
            self._watch_or_tell(client, Kind.CHILDREN, path, missed)
        for path in request.persistent:
            self.watches.add(client, Kind.PERSISTENT, path)
        for path in request.recursive:
            self.watches.add(client, Kind.RECURSIVE, path)
        return b""

    def _watch_or_tell(self, client: Client, kind: Kind, path: str, missed: Event | None) -> None:
        if missed is None:
            self.watches.add(client, kind, path)
        else:
            client.notify(missed, path)

    def _check_room(self, more: int) -> None:
        if len(self.watches) + more > self._max_watches:
            raise OperationRefused(
                Code.THROTTLED,
                f"{more} more would be more than the {self._max_watches} watches this server keeps",
            )

    # -- transactions ------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._seconds() * 1000)

    def _begin(self, session_id: int, identities: list[Identity] | None = None) -> Transaction:
        self.zxid += 1
        return Transaction(self.zxid, self._now(), session_id, identities or [])

    def _fire(self, txn: Transaction) -> None:
        """Tell those who watch; a watch is used up even if its client may no longer read the node."""
        for change in txn.changes:
            for client, event, path in self.watches.fire(change.event, change.path):
                acl = change.parent_acl if event is Event.CHILD else change.acl
                if allowed(acl, Perm.READ, client.identities):
                    client.notify(event, path)
