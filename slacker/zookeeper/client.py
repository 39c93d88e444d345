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
    NodeExistsException,
    NoNodeException,
    NotConnectedException,
    ZookeeperError,
)
from slacker.zookeeper.events import (
    EPHEMERAL,
    SEQUENCE,
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
    :param auth: who this client is: ``digest:USER:PASSWORD`` or ``sasl:USER:PASSWORD`` (DIGEST-MD5). It is
        connected once ZooKeeper has taken that. ZooKeeper takes every ``digest``, and then permits what that
        user may do (:class:`~slacker.zookeeper.errors.NoAuthException`); it refuses a wrong ``sasl`` (state
        ``AUTH_FAILED``), which is tried again every 30 s.
    :param acl: who may do what with the nodes that :meth:`create` makes, where it is not told:
        ``creator`` (this client's identity, everything), ``digest:USER:PASSWORD:PERMISSIONS``,
        ``sasl:USER:PERMISSIONS``, ``ip:ADDRESS[/BITS]:PERMISSIONS``, ``world:anyone:PERMISSIONS`` or
        ``auth::PERMISSIONS``, separated by commas; permissions are letters of ``cdrwa`` (create, delete,
        read, write, admin). None: everybody may do everything.
    :param tls: encrypts the connection.
    :raises ConfigurationError: if one of these is wrong; passwords are never repeated.
    """

    # -- reading ---------------------------------------------------------------------------------------------

    def exists(self, path: str) -> Deferred[Stat | None]:
        """The node's :class:`~slacker.zookeeper.events.Stat`; None if there is no such node."""
        return self._submit("exists", path, lambda kazoo, full: kazoo.exists_async(full), _maybe_stat)

    def exists_and_watch(self, path: str) -> tuple[Deferred[Stat | None], Deferred[ClientEvent]]:
        """As :meth:`exists`; the second fires when the node is created, deleted, or its data is written."""
        return self._watched(
            "exists", path, lambda kazoo, full, watch: kazoo.exists_async(full, watch), _maybe_stat
        )

    def get(self, path: str) -> Deferred[tuple[bytes | None, Stat]]:
        """The node's data (None if it was created with null data) and Stat."""
        return self._submit("get", path, lambda kazoo, full: kazoo.get_async(full), _data)

    def get_and_watch(self, path: str) -> tuple[Deferred[tuple[bytes | None, Stat]], Deferred[ClientEvent]]:
        """As :meth:`get`; the second fires when the node is deleted or its data is written."""
        return self._watched("get", path, lambda kazoo, full, watch: kazoo.get_async(full, watch), _data)

    def get_children(self, path: str) -> Deferred[list[str]]:
        """The names of the node's children, in no order."""
        return self._submit("get_children", path, lambda kazoo, full: kazoo.get_children_async(full), list)

    def get_children_and_watch(self, path: str) -> tuple[Deferred[list[str]], Deferred[ClientEvent]]:
        """As :meth:`get_children`; the second fires when a child comes or goes, or the node is deleted."""
        return self._watched(
            "get_children", path, lambda kazoo, full, watch: kazoo.get_children_async(full, watch), list
        )

    def get_children_stat_and_watch(
        self, path: str
    ) -> tuple[Deferred[tuple[list[str], Stat]], Deferred[ClientEvent]]:
        """As :meth:`get_children_and_watch`, with the node's Stat, whose ``pzxid`` orders two answers."""
        return self._watched(
            "get_children",
            path,
            lambda kazoo, full, watch: kazoo.get_children_async(full, watch, include_data=True),
            lambda value: (list(value[0]), Stat(*value[1])),
        )

    def sync(self, path: str = "/") -> Deferred[str]:
        """Bring the server one is connected to up to date with the leader; fires with the path."""
        return self._submit("sync", path, lambda kazoo, full: kazoo.sync_async(full), lambda _: path)

    def get_acl(self, path: str) -> Deferred[tuple[list[Acl], Stat]]:
        """The node's access control list and Stat."""
        return self._submit("get_acl", path, lambda kazoo, full: kazoo.get_acls_async(full), _acls)

    # -- writing ---------------------------------------------------------------------------------------------

    def create(
        self,
        path: str,
        data: bytes | None = b"",
        acls: Sequence[Acl] | None = None,
        flags: int = 0,
    ) -> Deferred[str]:
        """Create a node; fires with its path (to which ``SEQUENCE`` added a number).

        :param data: None creates it with null data, which is another thing than empty data.
        :param acls: who may do what with it; None: as the ``acl`` of this client says.
        :param flags: a sum of ``EPHEMERAL`` and ``SEQUENCE``.
        """
        sequence = bool(flags & SEQUENCE)
        entries = _kazoo_acls(self._access.acls if acls is None else acls)
        return self._submit(
            "create",
            path,
            lambda kazoo, full: kazoo.create_async(
                full, data, acl=entries, ephemeral=bool(flags & EPHEMERAL), sequence=sequence
            ),
            lambda created: created.removeprefix(self._chroot) or "/",
            data=data,
            sequence=sequence,
        )

    def create_chroot(self) -> Deferred[None]:
        """Create the node that the connection string names as root, and what is missing above it.

        With this client's ACL and empty data. Nothing to do if it exists, or without a chroot.

        :raises NoAuthException: if the nodes above it do not allow it to this client.
        """
        return Deferred.fromCoroutine(self._create_chroot())

    async def _create_chroot(self) -> None:
        missing = [self._chroot] if self._chroot else []
        rounds = 2 * self._chroot.count("/") + 2
        while missing:
            # From below, because above one may see a node and yet not be allowed to create any.
            try:
                await self._create_outside(missing[-1])
            except NodeExistsException:
                pass
            except NoNodeException:
                missing.append(missing[-1].rpartition("/")[0])
                rounds -= 1
                if not rounds:
                    raise
                continue
            missing.pop()

    def _create_outside(self, path: str) -> Deferred[None]:
        """Create a node by its full path, outside of the chroot."""
        what = f"create {path} (of the connection string {self._servers})"
        refused = self._refusal(what)
        if refused is not None:
            return fail(refused)
        entries = _kazoo_acls(self._access.acls)
        return self._requests.submit(
            Request(what, lambda kazoo: kazoo.create_async(path, b"", acl=entries), lambda _: None)
        )

    def set(self, path: str, data: bytes | None = b"", version: int = -1) -> Deferred[Stat]:
        """Write the node's data; fires with its new Stat.

        :param version: fails with ``BadVersionException`` if the node has another one; -1 takes any.
        """
        return self._submit(
            "set",
            path,
            lambda kazoo, full: kazoo.set_async(full, data, version),
            lambda stat: Stat(*stat),
            data=data,
        )

    def delete(self, path: str, version: int = -1) -> Deferred[None]:
        """Delete a node without children."""
        return self._submit(
            "delete", path, lambda kazoo, full: kazoo.delete_async(full, version), lambda _: None
        )

    def set_acl(self, path: str, acls: Sequence[Acl], version: int = -1) -> Deferred[None]:
        """Replace the access control list; ``version`` is that of the list (``Stat.aversion``)."""
        return self._submit(
            "set_acl",
            path,
            lambda kazoo, full: kazoo.set_acls_async(full, _kazoo_acls(acls), version),
            lambda _: None,
        )

    def add_auth(self, scheme: str, identity: str) -> Deferred[ZookeeperClient]:
        """Add an identity to this and all later connections, as ``("digest", "mary:apples")``.

        A refusal ends the session: ``AuthFailedException``. SASL is no matter of a request: give it as
        ``auth`` when the client is made.
        """
        if scheme == "sasl":
            return fail(
                BadArgumentsException("add_auth: SASL comes with the client, as auth=sasl:USER:PASSWORD")
            )
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
            return AuthFailedException(f"{what}: ZooKeeper at {self._servers} refuses the credentials")
        return NotConnectedException(f"{what}: not connected to ZooKeeper at {self._servers}")

    def _submit(
        self,
        operation: str,
        path: str,
        call: Callable[[Any, str], Any],
        convert: Callable[[Any], _T],
        *,
        data: bytes | None = None,
        sequence: bool = False,
        on_failure: Callable[[], None] | None = None,
    ) -> Deferred[_T]:
        # kazoo is not told of the chroot, because it cannot create one.
        full = path if not self._chroot else self._chroot if path == "/" else f"{self._chroot}{path}"
        request = Request(
            f"{operation} {path}", lambda kazoo: call(kazoo, full), convert, on_failure=on_failure
        )
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
        self, operation: str, path: str, call: Callable[[Any, str, Any], Any], convert: Callable[[Any], _T]
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
            operation, path, lambda kazoo, full: call(kazoo, full, point), begin, on_failure=failed
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
