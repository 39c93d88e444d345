"""The records of ZooKeeper's protocol: what a client sends, read; what a server answers, packed.

Bytes after the end of a record are ignored, as the real server does: later clients append fields.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple, TypeAlias

from slacker.zookeeper.embedded.codes import Code, Event, Mode, Op
from slacker.zookeeper.embedded.jute import MalformedRequest, Reader, pack_buffer, pack_string, pack_vector

_REPLY = Struct(">iqi")
_EVENT = Struct(">iqiii")
_CONNECTED = Struct(">iiq")
_STAT = Struct(">qqqqiiiqiiq")
_MULTI_HEADER = Struct(">iBi")
_INT = Struct(">i")

_SYNC_CONNECTED = 3  # the only state of a session that a server reports with an event
_EVENT_XID = -1


class Connect(NamedTuple):
    """The first frame of a connection. Timeouts are in milliseconds; session 0 asks for a new one.

    Clients before 3.4 end before `read_only`, and cannot read it in the answer either.
    """

    protocol: int
    last_zxid: int
    timeout: int
    session_id: int
    password: bytes
    knows_read_only: bool


class Acl(NamedTuple):
    """One rule of access: permission bits for whoever `scheme` and `id` name."""

    perms: int
    scheme: str
    id: str


class Create(NamedTuple):
    """Create a node; `ttl` is in milliseconds, -1 where the operation has none."""

    path: str
    data: bytes | None
    acl: list[Acl]
    flags: int
    ttl: int = -1


class Delete(NamedTuple):
    """Delete a node; version -1 is any, here and below."""

    path: str
    version: int


class SetData(NamedTuple):
    """Replace a node's data."""

    path: str
    data: bytes | None
    version: int


class SetAcl(NamedTuple):
    """Replace a node's rules of access."""

    path: str
    acl: list[Acl]
    version: int


class Check(NamedTuple):
    """See that a node has this version."""

    path: str
    version: int


class OnPath(NamedTuple):
    """An operation that names a path and nothing else."""

    path: str


class Watched(NamedTuple):
    """A read that may leave a watch behind."""

    path: str
    watch: bool


class WatchKind(NamedTuple):
    """Ask for, or remove, watches of a kind (``slacker.zookeeper.embedded.watches.Kind``)."""

    path: str
    kind: int


class AddWatch(NamedTuple):
    """Set a watch that stays: mode 0 is persistent, 1 is persistent and recursive."""

    path: str
    mode: int


class Auth(NamedTuple):
    """Say who the client is."""

    scheme: str
    auth: bytes


class SetWatches(NamedTuple):
    """All watches of a client that reconnected, and the last zxid it saw before."""

    relative_zxid: int
    data: list[str]
    exist: list[str]
    child: list[str]
    persistent: list[str]
    recursive: list[str]


class Multi(NamedTuple):
    """Operations of which either all happen, or none."""

    operations: list[tuple[Op, Change]]


class Empty(NamedTuple):
    """An operation without fields: ping, close."""


Change: TypeAlias = Create | Delete | SetData | SetAcl | Check
Request: TypeAlias = Change | Multi | OnPath | Watched | WatchKind | AddWatch | SetWatches | Auth | Empty


class Stat(NamedTuple):
    """What is known of a node besides its data, as the wire has it. Times are milliseconds since 1970."""

    czxid: int
    mzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    data_length: int
    num_children: int
    pzxid: int


def read_connect(reader: Reader) -> Connect:
    """The fields of a connection's first frame."""
    protocol, last_zxid = reader.int32(), reader.int64()
    timeout, session_id, password = reader.int32(), reader.int64(), reader.buffer() or b""
    return Connect(protocol, last_zxid, timeout, session_id, password, reader.remaining > 0)


def _acl(reader: Reader) -> Acl:
    return Acl(reader.int32(), reader.string(), reader.string())


def _create(reader: Reader) -> Create:
    return Create(reader.string(), reader.buffer(), reader.vector(_acl), reader.int32())


def _create_container(reader: Reader) -> Create:
    return _create(reader)._replace(flags=Mode.CONTAINER)  # whatever the flags say, as the real server has it


def _create_ttl(reader: Reader) -> Create:
    return _create(reader)._replace(ttl=reader.int64())


def _delete(reader: Reader) -> Delete:
    return Delete(reader.string(), reader.int32())


def _set_data(reader: Reader) -> SetData:
    return SetData(reader.string(), reader.buffer(), reader.int32())


def _set_acl(reader: Reader) -> SetAcl:
    return SetAcl(reader.string(), reader.vector(_acl), reader.int32())


def _check(reader: Reader) -> Check:
    return Check(reader.string(), reader.int32())


def _on_path(reader: Reader) -> OnPath:
    return OnPath(reader.string())


def _watched(reader: Reader) -> Watched:
    return Watched(reader.string(), reader.boolean())


def _watch_kind(reader: Reader) -> WatchKind:
    return WatchKind(reader.string(), reader.int32())


def _add_watch(reader: Reader) -> AddWatch:
    return AddWatch(reader.string(), reader.int32())


def _auth(reader: Reader) -> Auth:
    reader.int32()  # a type that nobody uses
    return Auth(reader.string(), reader.buffer() or b"")


def _paths(reader: Reader) -> list[str]:
    return reader.vector(Reader.string)


def _set_watches(reader: Reader) -> SetWatches:
    return SetWatches(reader.int64(), _paths(reader), _paths(reader), _paths(reader), [], [])


def _set_watches2(reader: Reader) -> SetWatches:
    return _set_watches(reader)._replace(persistent=_paths(reader), recursive=_paths(reader))


_IN_MULTI: dict[int, Callable[[Reader], Change]] = {
    Op.CREATE: _create,
    Op.CREATE2: _create,
    Op.CREATE_CONTAINER: _create_container,
    Op.CREATE_TTL: _create_ttl,
    Op.DELETE: _delete,
    Op.SET_DATA: _set_data,
    Op.CHECK: _check,
}


def _multi(reader: Reader) -> Multi:
    operations: list[tuple[Op, Change]] = []
    while True:
        op, done, _ = reader.int32(), reader.boolean(), reader.int32()
        if done:
            return Multi(operations)
        read = _IN_MULTI.get(op)
        if read is None:
            raise MalformedRequest(f"a multi holds operation {op}, which does not belong in one")
        operations.append((Op(op), read(reader)))


def _empty(reader: Reader) -> Empty:
    return Empty()


_READERS: dict[int, Callable[[Reader], Request]] = {
    **_IN_MULTI,
    Op.EXISTS: _watched,
    Op.GET_DATA: _watched,
    Op.GET_CHILDREN: _watched,
    Op.GET_CHILDREN2: _watched,
    Op.GET_ACL: _on_path,
    Op.SET_ACL: _set_acl,
    Op.SYNC: _on_path,
    Op.PING: _empty,
    Op.CLOSE: _empty,
    Op.MULTI: _multi,
    Op.CHECK_WATCHES: _watch_kind,
    Op.REMOVE_WATCHES: _watch_kind,
    Op.ADD_WATCH: _add_watch,
    Op.AUTH: _auth,
    Op.SET_WATCHES: _set_watches,
    Op.SET_WATCHES2: _set_watches2,
}


def read_request(reader: Reader) -> tuple[int, Op | None, Request]:
    """The transaction id, the operation (None: one this server has not), and its fields.

    :raises MalformedRequest: where the bytes are not what the operation needs.
    """
    xid, op = reader.int32(), reader.int32()
    read = _READERS.get(op)
    if read is None:
        return xid, None, Empty()
    return xid, Op(op), read(reader)


def pack_connected(timeout: int, session_id: int, password: bytes, *, read_only: bool) -> bytes:
    """The answer to a connect; a timeout of 0 says that the session is gone.

    :param read_only: whether the client knows the field of this name.
    """
    head = _CONNECTED.pack(0, timeout, session_id) + pack_buffer(password)
    return head + b"\0" if read_only else head


def pack_reply(xid: int, zxid: int, code: Code, body: bytes = b"") -> bytes:
    """The answer to a request."""
    return _REPLY.pack(xid, zxid, code) + body


def pack_event(event: Event, path: str) -> bytes:
    """The report of a watch."""
    return _EVENT.pack(_EVENT_XID, -1, Code.OK, event, _SYNC_CONNECTED) + pack_string(path)


def pack_stat(stat: Stat) -> bytes:
    """68 bytes."""
    return _STAT.pack(*stat)


def pack_acl(acl: list[Acl]) -> bytes:
    """Rules of access."""
    return pack_vector(
        _INT.pack(perms) + pack_string(scheme) + pack_string(name) for perms, scheme, name in acl
    )


def pack_error(code: Code) -> bytes:
    """The body of a failed operation in a multi, and of the answer to an addWatch."""
    return _INT.pack(code)


def pack_multi(results: list[tuple[Op, bytes]]) -> bytes:
    """The body of the answer to a multi: what each operation is answered, behind a header of its own."""
    parts = [_MULTI_HEADER.pack(op, False, -1 if op == Op.ERROR else 0) + body for op, body in results]
    return b"".join([*parts, _MULTI_HEADER.pack(Op.ERROR, True, -1)])
