"""kazoo without threads, sockets or ZooKeeper: the real client on an ensemble held in memory.

A test puts :func:`install` into its ``setUp`` and drives everything with ``pump`` and ``advance``.
"""

from __future__ import annotations

import copy
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import attrs
from kazoo import exceptions
from kazoo.protocol.states import Callback, EventType, KazooState, KeeperState, WatchedEvent, ZnodeStat
from kazoo.security import OPEN_ACL_UNSAFE
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from slacker.zookeeper import ZookeeperClient, connection


@implementer(IReactorFromThreads)
class FakeReactor(Clock):
    """A Clock that takes calls from threads, and runs them when told."""

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: deque[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]] = deque()

    def callFromThread(self, callable: Callable[..., object], *args: object, **kwargs: object) -> None:
        self.from_threads.append((callable, args, kwargs))


class ThreadNow:
    """``threading`` for the session: a thread that has run when ``start`` returns."""

    class Thread:
        def __init__(self, target: Callable[[], object], name: str, daemon: bool) -> None:
            self.target = target

        def start(self) -> None:
            self.target()


@attrs.define
class Node:
    data: bytes | None
    owner: int
    zxid: int
    mzxid: int = 0
    pzxid: int = 0
    version: int = 0
    acls: list[Any] = attrs.Factory(lambda: list(OPEN_ACL_UNSAFE))

    def __attrs_post_init__(self) -> None:
        self.mzxid = self.pzxid = self.zxid


class World:
    """The ensemble: its nodes, its clients, and what keeps them apart.

    :ivar reachable: whether clients can connect.
    :ivar answers_lost: carry requests out, but never answer.
    :ivar refusing: path → kazoo's exception class for every read or write there.
    :ivar requests: ``(operation, path)`` of everything carried out.
    """

    def __init__(self) -> None:
        self.clock = FakeReactor()
        self.nodes: dict[str, Node] = {"/": Node(b"", 0, 0)}
        self.stale: dict[str, Node] | None = None
        self.zxid = 0
        self.clients: list[FakeKazoo] = []
        self.reachable = True
        self.answers_lost = False
        self.refusing: dict[str, type[Exception]] = {}
        self.requests: list[tuple[str, str]] = []
        self._last_session = 0x100

    def client(self, connect: bool = True) -> ZookeeperClient:
        """A client; connected, if that is possible now."""
        client = ZookeeperClient(reactor=self.clock)
        if connect:
            client.connect().addErrback(lambda failure: None)
            self.pump()
        return client

    def pump(self) -> None:
        """Let everything happen that happens by itself, in no time."""
        for _ in range(100_000):
            if self.clock.from_threads:
                function, args, kwargs = self.clock.from_threads.popleft()
                function(*args, **kwargs)
            elif not any(client.step() for client in self.clients):
                return
        raise AssertionError("it does not come to rest")

    def pump_until(self, condition: Callable[[], bool]) -> None:
        """Let things happen one by one until the condition holds; an answer is not heard yet then."""
        for _ in range(1_000):
            if condition():
                return
            if self.clock.from_threads:
                function, args, kwargs = self.clock.from_threads.popleft()
                function(*args, **kwargs)
            else:
                any(client.step() for client in self.clients)
        raise AssertionError("it never holds")

    def advance(self, seconds: float) -> None:
        """Let time pass, in small steps."""
        for _ in range(round(seconds / 0.05)):
            self.clock.advance(0.05)
            self.pump()

    def paths(self) -> list[str]:
        return sorted(self.nodes)

    def new_session(self) -> int:
        self._last_session += 1
        return self._last_session

    def freeze(self) -> None:
        """From now on reads show this moment, until a client asks for ``sync``: a server that lags behind."""
        self.stale = copy.deepcopy(self.nodes)

    def put(self, path: str, data: bytes | None = b"", owner: int = 0) -> None:
        """Create a node, or write it, as some other client."""
        if path in self.nodes:
            node = self.nodes[path]
            self.zxid += 1
            node.data, node.mzxid, node.version = data, self.zxid, node.version + 1
            self.fire(EventType.CHANGED, path)
            return
        parent = path.rpartition("/")[0] or "/"
        if parent not in self.nodes:
            self.put(parent)
        self.zxid += 1
        self.nodes[path] = Node(data, owner, self.zxid)
        self.nodes[parent].pzxid = self.zxid
        self.fire(EventType.CREATED, path)
        self.fire(EventType.CHILD, parent)

    def remove(self, path: str) -> None:
        """Delete a node with all below it, as some other client."""
        for below in sorted(self.nodes, reverse=True):
            if below == path or below.startswith(path + "/"):
                self.zxid += 1
                del self.nodes[below]
                parent = below.rpartition("/")[0] or "/"
                self.nodes[parent].pzxid = self.zxid
                self.fire(EventType.DELETED, below)
                self.fire(EventType.CHILD, parent)

    def fire(self, kind: str, path: str) -> None:
        for client in self.clients:
            client.event(kind, path)

    def end_session(self, session_id: int) -> None:
        for path in [path for path, node in self.nodes.items() if node.owner == session_id]:
            self.remove(path)


class FakeKazoo:
    """What the client uses of ``kazoo.client.KazooClient``, with kazoo's order of call-backs."""

    of: World | None = None
    """The world of the test that runs; :func:`install` sets it."""

    def __init__(
        self,
        hosts: str,
        *,
        timeout: float,
        client_id: Any,
        handler: Any,
        auth_data: set[Any],
        sasl_options: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        assert self.of is not None, "install() was not called"
        self.world = self.of
        self.hosts, self.timeout, self.handler, self.auth_data = hosts, timeout, handler, auth_data
        self.sasl_options = sasl_options
        self.client_id: tuple[int, bytes] | None = None
        self.client_state = KeeperState.CLOSED
        self.started = self.stopped = False
        self._resume = client_id
        self._listeners: list[Callable[[str], object]] = []
        self.queued: deque[tuple[str, str, Callable[[], Any], Any]] = deque()
        self._watches: dict[str, dict[str, set[Any]]] = {"data": defaultdict(set), "child": defaultdict(set)}
        self._session = 0
        self.world.clients.append(self)

    # -- the session

    def add_listener(self, listener: Callable[[str], object]) -> None:
        self._listeners.append(listener)

    def start_async(self) -> None:
        self.started = True

    def stop(self) -> None:
        self.stopped = True
        self.world.clients.remove(self)
        if self.client_state == KeeperState.CONNECTED:
            self.world.end_session(self._session)

    def close(self) -> None:
        assert self.stopped

    def step(self) -> bool:
        """Do one thing, if there is one to do."""
        if not self.started or self.stopped or self.client_state == KeeperState.AUTH_FAILED:
            return False
        if self.client_state != KeeperState.CONNECTED:
            if not self.world.reachable:
                return False
            self._connect()
            return True
        if not self.queued:
            return False
        operation, path, carry_out, result = self.queued.popleft()
        self.world.requests.append((operation, path))
        try:
            refusal = self.world.refusing.get(path)
            if refusal is not None:
                raise refusal()
            value = carry_out()
        except exceptions.KazooException as error:
            if not self.world.answers_lost:
                result.set_exception(error)
        else:
            if not self.world.answers_lost:
                result.set(value)
        return True

    def _connect(self) -> None:
        if self._session == 0:
            self._session = self._resume[0] if self._resume else self.world.new_session()
        self.client_id = (self._session, b"secret")
        self.client_state = KeeperState.CONNECTED
        self._tell(KazooState.CONNECTED)

    def suspend(self) -> None:
        """The connection breaks."""
        self.client_state, self.client_id = KeeperState.CONNECTING, None
        self._fail(exceptions.ConnectionLoss())
        self._tell(KazooState.SUSPENDED)
        self._drop_watches()

    def expire(self) -> None:
        """The session ends on the server; the client learns of it when it reconnects, at once."""
        if self.client_state == KeeperState.CONNECTED:
            self.suspend()
        self.world.end_session(self._session)
        self.lose(KeeperState.EXPIRED_SESSION)

    def lose(self, keeper_state: str) -> None:
        """kazoo says LOST, for this reason."""
        self.client_state, self.client_id, self._session = keeper_state, None, 0
        self._resume = None
        self._tell(KazooState.LOST)
        self._fail(exceptions.SessionExpiredError())
        self._drop_watches()
        if keeper_state == KeeperState.CLOSED:
            self.started = False

    def _tell(self, state: str) -> None:
        for listener in self._listeners:
            listener(state)

    def _fail(self, error: Exception) -> None:
        queue, self.queued = self.queued, deque()
        for _, _, _, result in queue:
            result.set_exception(error)

    def _drop_watches(self) -> None:
        for points in self._watches.values():
            watches = [watch for waiting in points.values() for watch in waiting]
            points.clear()
            for watch in watches:
                self._call(watch, EventType.NONE, None)

    def event(self, kind: str, path: str) -> None:
        kinds = {"CHILD": ["child"], "DELETED": ["data", "child"]}.get(kind, ["data"])
        for watches in kinds:
            for watch in self._watches[watches].pop(path, ()):
                self._call(watch, kind, path)

    def _call(self, watch: Any, kind: str, path: str | None) -> None:
        event = WatchedEvent(kind, self.client_state, path)
        self.handler.dispatch_callback(Callback("watch", watch, (event,)))

    def _submit(self, operation: str, path: str, carry_out: Callable[[], Any]) -> Any:
        result = self.handler.async_result()
        self.queued.append((operation, path, carry_out, result))
        return result

    # -- operations

    def _node(self, path: str, *, reading: bool = False) -> Node:
        nodes = self.world.stale if reading and self.world.stale is not None else self.world.nodes
        if path not in nodes:
            raise exceptions.NoNodeError()
        return nodes[path]

    def _children(self, path: str) -> list[str]:
        nodes = self.world.nodes if self.world.stale is None else self.world.stale
        prefix = path.rstrip("/") + "/"
        return [
            p[len(prefix) :]
            for p in nodes
            if p.startswith(prefix) and "/" not in p[len(prefix) :] and p != "/"
        ]

    def _stat(self, path: str) -> ZnodeStat:
        node = self._node(path, reading=True)
        size = len(node.data or b"")
        count = len(self._children(path))
        version = node.version
        return ZnodeStat(node.zxid, node.mzxid, 0, 0, version, 0, 0, node.owner, size, count, node.pzxid)

    def _watch(self, kind: str, path: str, watch: Any) -> None:
        if watch is not None:
            self._watches[kind][path].add(watch)

    def exists_async(self, path: str, watch: Any = None) -> Any:
        def carry_out() -> ZnodeStat | None:
            self._watch("data", path, watch)
            try:
                return self._stat(path)
            except exceptions.NoNodeError:
                return None

        return self._submit("exists", path, carry_out)

    def get_async(self, path: str, watch: Any = None) -> Any:
        def carry_out() -> tuple[bytes | None, ZnodeStat]:
            node = self._node(path, reading=True)
            self._watch("data", path, watch)
            return node.data, self._stat(path)

        return self._submit("get", path, carry_out)

    def get_children_async(self, path: str, watch: Any = None, include_data: bool = False) -> Any:
        def carry_out() -> Any:
            self._node(path, reading=True)
            self._watch("child", path, watch)
            return (self._children(path), self._stat(path)) if include_data else self._children(path)

        return self._submit("get_children", path, carry_out)

    def create_async(
        self, path: str, value: bytes, acl: Any, ephemeral: bool = False, sequence: bool = False
    ) -> Any:
        def carry_out() -> str:
            parent = path.rpartition("/")[0] or "/"
            if self._node(parent).owner:
                raise exceptions.NoChildrenForEphemeralsError()
            name = f"{path}{self.world.zxid:010d}" if sequence else path
            if name in self.world.nodes:
                raise exceptions.NodeExistsError()
            self.world.put(name, value, self._session if ephemeral else 0)
            self.world.nodes[name].acls = acl
            return name

        return self._submit("create", path, carry_out)

    def set_async(self, path: str, value: bytes, version: int) -> Any:
        def carry_out() -> ZnodeStat:
            if version not in (-1, self._node(path).version):
                raise exceptions.BadVersionError()
            self.world.put(path, value)
            return self._stat(path)

        return self._submit("set", path, carry_out)

    def delete_async(self, path: str, version: int) -> Any:
        def carry_out() -> bool:
            if version not in (-1, self._node(path).version):
                raise exceptions.BadVersionError()
            if self._children(path):
                raise exceptions.NotEmptyError()
            self.world.remove(path)
            return True

        return self._submit("delete", path, carry_out)

    def sync_async(self, path: str) -> Any:
        def carry_out() -> str:
            self.world.stale = None
            return path

        return self._submit("sync", path, carry_out)

    def get_acls_async(self, path: str) -> Any:
        return self._submit("get_acl", path, lambda: (self._node(path).acls, self._stat(path)))

    def set_acls_async(self, path: str, acls: list[Any], version: int) -> Any:
        def carry_out() -> ZnodeStat:
            self._node(path).acls = acls
            return self._stat(path)

        return self._submit("set_acl", path, carry_out)

    def add_auth_async(self, scheme: str, credential: str) -> Any:
        self.auth_data.add((scheme, credential))
        return self._submit("add_auth", scheme, lambda: True)


def install(testcase: SynchronousTestCase) -> World:
    """Replace kazoo for the length of a test."""
    world = World()
    testcase.patch(FakeKazoo, "of", world)
    testcase.patch(connection, "KazooClient", FakeKazoo)
    testcase.patch(connection, "threading", ThreadNow)
    return world


def result_of(testcase: SynchronousTestCase, world: World, deferred: Deferred[Any]) -> Any:
    """What the Deferred brings once everything has happened."""
    world.pump()
    return testcase.successResultOf(deferred)
