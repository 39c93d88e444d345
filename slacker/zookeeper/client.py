"""A ZooKeeper client for Twisted: txzookeeper's methods, Deferreds and pairs, on kazoo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kazoo.security import ACL, Id
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from slacker.zookeeper.errors import (
    AuthFailedException,
    BadArgumentsException,
    NotConnectedException,
    ZookeeperError,
)
from slacker.zookeeper.events import (
    EPHEMERAL,
    SEQUENCE,
    ZOO_OPEN_ACL_UNSAFE,
    Acl,
    ClientEvent,
    EventType,
    Stat,
    State,
)
from slacker.zookeeper.paths import check_path
from slacker.zookeeper.requests import Request
from slacker.zookeeper.session import ZookeeperSession

_T = TypeVar("_T")

# A server cuts the connection over a bigger request (its jute.maxbuffer is 1 MiB, path and ACL included).
_MAX_DATA = 1_000_000


class ZookeeperClient(ZookeeperSession):
    """A session with ZooKeeper. All call-backs and Deferreds fire on the reactor, in the order of
    ZooKeeper's answers.

    ::

        client = ZookeeperClient("zk1:2181,zk2:2181/chroot")
        await client.connect()
        children, changed = client.get_children_and_watch("/a")    # a pair of Deferreds

    A client reconnects by itself until it is closed, and opens a new session when the old one has expired;
    whoever needs to know registers with :meth:`add_listener`. While there is no connection every request
    fails at once with
    :class:`~slacker.zookeeper.errors.NotConnectedException`.

    The Deferred of a watch fires exactly once, never with an error: with the change, or with an event of type
    ``SESSION`` when the connection and with it the watch were lost, or ``NOTWATCHING`` when the read failed.
    It may be cancelled.

    :param servers: ``host[:port][,host[:port]…][/chroot]``; port 2181 where none stands.
    :param session_timeout: asked for, in seconds; the server has the last word (see :attr:`session_timeout`).
    :param connect_timeout: seconds that connecting to one round of servers may take, and that the Deferred of
        :meth:`connect` waits.
    :raises ConfigurationError: if one of these is wrong.
    """

    # -- reading ---------------------------------------------------------------------------------------------

    def exists(self, path: str) -> Deferred[Stat | None]:
        """The node's :class:`~slacker.zookeeper.events.Stat`; None if there is no such node."""
        return self._submit("exists", path, lambda kazoo: kazoo.exists_async(path), _maybe_stat)

    def exists_and_watch(self, path: str) -> tuple[Deferred[Stat | None], Deferred[ClientEvent]]:
        """As :meth:`exists`; the second fires when the node is created, deleted, or its data is written."""
        return self._watched(
            "exists", path, lambda kazoo, watch: kazoo.exists_async(path, watch), _maybe_stat
        )

    def get(self, path: str) -> Deferred[tuple[bytes | None, Stat]]:
        """The node's data (None if it was created with null data) and Stat."""
        return self._submit("get", path, lambda kazoo: kazoo.get_async(path), _data)

    def get_and_watch(self, path: str) -> tuple[Deferred[tuple[bytes | None, Stat]], Deferred[ClientEvent]]:
        """As :meth:`get`; the second fires when the node is deleted or its data is written."""
        return self._watched("get", path, lambda kazoo, watch: kazoo.get_async(path, watch), _data)

    def get_children(self, path: str) -> Deferred[list[str]]:
        """The names of the node's children, in no order."""
        return self._submit("get_children", path, lambda kazoo: kazoo.get_children_async(path), list)

    def get_children_and_watch(self, path: str) -> tuple[Deferred[list[str]], Deferred[ClientEvent]]:
        """As :meth:`get_children`; the second fires when a child comes or goes, or the node is deleted."""
        return self._watched(
            "get_children", path, lambda kazoo, watch: kazoo.get_children_async(path, watch), list
        )

    def get_children_stat_and_watch(
        self, path: str
    ) -> tuple[Deferred[tuple[list[str], Stat]], Deferred[ClientEvent]]:
        """As :meth:`get_children_and_watch`, with the node's Stat, whose ``pzxid`` orders two answers."""
        return self._watched(
            "get_children",
            path,
            lambda kazoo, watch: kazoo.get_children_async(path, watch, include_data=True),
            lambda value: (list(value[0]), Stat(*value[1])),
        )

    def sync(self, path: str = "/") -> Deferred[str]:
        """Bring the server one is connected to up to date with the leader; fires with the path."""
        return self._submit("sync", path, lambda kazoo: kazoo.sync_async(path), str)

    def get_acl(self, path: str) -> Deferred[tuple[list[Acl], Stat]]:
        """The node's access control list and Stat."""
        return self._submit("get_acl", path, lambda kazoo: kazoo.get_acls_async(path), _acls)

    # -- writing ---------------------------------------------------------------------------------------------

    def create(
        self,
        path: str,
        data: bytes | None = b"",
        acls: Sequence[Acl] = (ZOO_OPEN_ACL_UNSAFE,),
        flags: int = 0,
    ) -> Deferred[str]:
        """Create a node; fires with its path (to which ``SEQUENCE`` added a number).

        :param data: None creates it with null data, which is another thing than empty data.
        :param flags: a sum of ``EPHEMERAL`` and ``SEQUENCE``.
        """
        sequence = bool(flags & SEQUENCE)
        return self._submit(
            "create",
            path,
            lambda kazoo: kazoo.create_async(
                path, data, acl=_kazoo_acls(acls), ephemeral=bool(flags & EPHEMERAL), sequence=sequence
            ),
            str,
            data=data,
            sequence=sequence,
        )

    def set(self, path: str, data: bytes | None = b"", version: int = -1) -> Deferred[Stat]:
        """Write the node's data; fires with its new Stat.

        :param version: fails with ``BadVersionException`` if the node has another one; -1 takes any.
        """
        return self._submit(
            "set",
            path,
            lambda kazoo: kazoo.set_async(path, data, version),
            lambda stat: Stat(*stat),
            data=data,
        )

    def delete(self, path: str, version: int = -1) -> Deferred[None]:
        """Delete a node without children."""
        return self._submit("delete", path, lambda kazoo: kazoo.delete_async(path, version), lambda _: None)

    def set_acl(self, path: str, acls: Sequence[Acl], version: int = -1) -> Deferred[None]:
        """Replace the access control list; ``version`` is that of the list (``Stat.aversion``)."""
        return self._submit(
            "set_acl",
            path,
            lambda kazoo: kazoo.set_acls_async(path, _kazoo_acls(acls), version),
            lambda _: None,
        )

    def add_auth(self, scheme: str, identity: str) -> Deferred[ZookeeperClient]:
        """Add an identity to this and all later connections, as ``("digest", "mary:apples")``.

        A refusal ends the session: ``AuthFailedException``.
        """
        request = Request(
            f"add_auth {scheme}",
            lambda kazoo: kazoo.add_auth_async(scheme, identity),
            lambda _: self,
            alone=True,
        )
        refused = self._refusal(request.what)
        if refused is not None:
            return fail(refused)
        self._auth.append((scheme, identity))

        def forget(failure: Failure) -> Failure:
            if failure.check(AuthFailedException):
                self._auth.remove((scheme, identity))
            return failure

        return self._requests.submit(request).addErrback(forget)

    # -- the way to kazoo ------------------------------------------------------------------------------------

    def _refusal(self, what: str) -> ZookeeperError | None:
        """Why a request cannot be made now."""
        if self.connected:
            return None
        if self.state is State.AUTH_FAILED:
            return AuthFailedException(f"{what}: ZooKeeper at {self._servers} refused the credentials")
        return NotConnectedException(f"{what}: not connected to ZooKeeper at {self._servers}")

    def _submit(
        self,
        operation: str,
        path: str,
        call: Callable[[Any], Any],
        convert: Callable[[Any], _T],
        *,
        data: bytes | None = None,
        sequence: bool = False,
        on_failure: Callable[[], None] | None = None,
    ) -> Deferred[_T]:
        request = Request(f"{operation} {path}", call, convert, on_failure=on_failure)
        refused = self._refusal(request.what)
        if refused is None:
            try:
                check_path(path, sequence=sequence)
                if data is not None and not isinstance(data, bytes):
                    raise BadArgumentsException(
                        f"{request.what}: data should be bytes, not {type(data).__name__}"
                    )
                if data is not None and len(data) > _MAX_DATA:
                    raise BadArgumentsException(
                        f"{request.what}: {len(data):,} bytes of data; ZooKeeper takes {_MAX_DATA:,}"
                    )
            except BadArgumentsException as error:
                refused = error
        if refused is not None:
            if on_failure is not None:
                on_failure()
            return fail(refused)
        return self._requests.submit(request)

    def _watched(
        self, operation: str, path: str, call: Callable[[Any, Any], Any], convert: Callable[[Any], _T]
    ) -> tuple[Deferred[_T], Deferred[ClientEvent]]:
        kind = "child" if operation == "get_children" else "data"
        try:
            point, event = self._watches.open(kind, path)
        except ZookeeperError as error:
            return fail(error), succeed(ClientEvent(EventType.NOTWATCHING, self.state, path))

        def begin(value: Any) -> _T:
            self._watches.begin(point, event)
            return convert(value)

        def failed() -> None:
            self._watches.fire(event, ClientEvent(EventType.NOTWATCHING, self.state, path))

        return self._submit(
            operation, path, lambda kazoo: call(kazoo, point), begin, on_failure=failed
        ), event


def _maybe_stat(value: Any) -> Stat | None:
    return None if value is None else Stat(*value)


def _data(value: Any) -> tuple[bytes | None, Stat]:
    return value[0], Stat(*value[1])


def _acls(value: Any) -> tuple[list[Acl], Stat]:
    entries: list[Acl] = [{"perms": acl.perms, "scheme": acl.id.scheme, "id": acl.id.id} for acl in value[0]]
    return entries, Stat(*value[1])


def _kazoo_acls(acls: Sequence[Acl]) -> list[Any]:
    return [ACL(acl["perms"], Id(acl["scheme"], acl["id"])) for acl in acls]
