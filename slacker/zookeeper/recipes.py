"""Watches that survive reconnects and miss nothing, ephemeral nodes that are owned, and paths made as needed.

All of it takes a :class:`~slacker.zookeeper.client.ZookeeperClient` that somebody else connects and closes.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.zookeeper.client import ZookeeperClient
from slacker.zookeeper.errors import (
    BadVersionException,
    NodeExistsException,
    NoNodeException,
    ZookeeperError,
    is_connection_exception,
)
from slacker.zookeeper.events import EPHEMERAL, ClientEvent, EventType, Stat, State

_T = TypeVar("_T")
_log = Logger()

# Seconds between two reads of one node. A thousand servers joining at once mean twenty reads a second, each
# of which takes in whatever came since, and not a thousand.
_READ_INTERVAL = 0.05
# Seconds before a read that ZooKeeper refused (no permission, say) is tried again; doubled up to the second.
_RETRY_FIRST = 1.0
_RETRY_MOST = 30.0
# How often an operation starts over because somebody else changed the node under its hands.
_ROUNDS = 5


class Slots:
    """Times to begin something, so many in each interval.

    It takes a watch some 50 µs of the reactor's time to begin to read: a thousand that all have to, after a
    reconnect, spread over half a second, and leave the reactor to others in between.
    """

    def __init__(self, clock: IReactorTime, size: int = 10, interval: float = 0.005) -> None:
        self._clock = clock
        self._size = size
        self._interval = interval
        self._begin = float("-inf")  # of the interval that is being filled
        self._left = 0

    def wait(self) -> float:
        """Take the next free slot: seconds until then, 0 if it is now."""
        now = self._clock.seconds()
        if now >= self._begin + self._interval:
            self._begin, self._left = now, self._size
        elif not self._left:
            self._begin, self._left = self._begin + self._interval, self._size
        self._left -= 1
        return max(0.0, self._begin - now)


class _Watch(Generic[_T]):
    """One read in flight at most and one more due: events only say that there is something to read."""

    def __init__(
        self,
        client: ZookeeperClient,
        path: str,
        answered: Callable[[_T | None], object],
        *,
        clock: IReactorTime,
        slots: Slots | None = None,
    ) -> None:
        """:param slots: when to read, shared with other watches; None: as soon as there is a reason."""
        self.path = path
        self._client = client
        self._answered = answered
        self._clock = clock
        self._slots = slots
        self._known = False  # whether the node was there at the last answer
        self._zxid = -1  # nothing older than this is believed without a sync
        self._events: set[Deferred[ClientEvent]] = set()
        self._timer: IDelayedCall | None = None
        self._round: Deferred[None] | None = None
        self._again = False
        self._last_read = float("-inf")
        self._retry = _RETRY_FIRST
        self._complaint = ""
        self._running = False

    def start(self) -> None:
        """Read as soon as the client is connected, and after every change and reconnect from then on."""
        self._running = True
        self._client.add_listener(self._session)
        self._wake()

    def stop(self) -> None:
        """No call-back will come any more."""
        self._running = False
        self._client.remove_listener(self._session)
        self._cancel_timer()
        self._drop_events()
        if self._round is not None:
            self._round.cancel()

    @abstractmethod
    def _read(self) -> tuple[Deferred[_T], Deferred[ClientEvent]]:
        """Read the node and set a watch."""

    @abstractmethod
    def _zxid_of(self, answer: _T) -> int:
        """The transaction that changed last what is read here."""

    def _session(self, state: State) -> None:
        if state is State.CONNECTED:
            self._cancel_timer()
            self._retry = _RETRY_FIRST
            self._wake()

    def _event(self, event: ClientEvent) -> None:
        # A lost connection is followed by CONNECTED, and that by a read.
        if event.type not in (EventType.SESSION, EventType.NOTWATCHING):
            self._wake()

    def _wake(self) -> None:
        if not self._running or not self._client.connected or self._timer is not None:
            return
        if self._round is not None:
            self._again = True
            return
        pause = self._last_read + _READ_INTERVAL - self._clock.seconds()
        if self._slots is not None:
            pause = max(pause, self._slots.wait())
        if pause > 0:
            self._timer = self._clock.callLater(pause, self._go)
        else:
            self._go()

    def _go(self) -> None:
        self._timer = None
        if not self._client.connected:
            return
        self._again = False
        self._last_read = self._clock.seconds()
        self._round = current = Deferred.fromCoroutine(self._read_and_tell())
        current.addErrback(self._failed)
        current.addBoth(self._ended)

    def _ended(self, _: object) -> None:
        self._round = None
        if self._again:
            self._wake()

    async def _read_and_tell(self) -> None:
        answer = await self._read_or_wait()
        if self._older(answer):
            # A server that lags behind, after the session moved there: let it catch up before believing it.
            await self._client.sync(self.path)
            answer = await self._read_or_wait()
        if answer is not None:
            self._zxid = self._zxid_of(answer)
        elif self._known:
            self._zxid += 1  # it was deleted after what we saw
        self._known = answer is not None
        self._retry, self._complaint = _RETRY_FIRST, ""
        self._answered(answer)

    def _older(self, answer: _T | None) -> bool:
        if answer is None:
            return self._known
        return self._zxid_of(answer) < self._zxid

    async def _read_or_wait(self) -> _T | None:
        """Read, with a watch for the next change; None if there is no node, with a watch for its coming."""
        self._drop_events()
        for _ in range(_ROUNDS):
            result, event = self._read()
            self._follow(event)
            try:
                return await result
            except NoNodeException:
                exists, created = self._client.exists_and_watch(self.path)
                self._follow(created)
                if await exists is None:
                    return None
        raise ZookeeperError(f"watch {self.path}: the node comes and goes too quickly")

    def _follow(self, event: Deferred[ClientEvent]) -> None:
        self._events.add(event)

        def fired(what: ClientEvent) -> None:
            self._events.discard(event)
            self._event(what)

        event.addCallback(fired)

    def _drop_events(self) -> None:
        for event in list(self._events):
            event.cancel()

    def _failed(self, failure: Failure) -> None:
        if not self._running:
            return
        if not failure.check(ZookeeperError):
            _log.failure("the call-back of the watch of {path} raised", failure=failure, path=self.path)
            return
        if is_connection_exception(failure.value):
            if not self._client.connected:
                return  # CONNECTED will come
        elif str(failure.value) != self._complaint:
            self._complaint = str(failure.value)
            _log.warn("cannot watch {path}: {reason}; trying on", path=self.path, reason=self._complaint)
        delay = self._retry * random.uniform(0.8, 1.2)
        self._retry = min(self._retry * 2, _RETRY_MOST)
        self._again = False
        self._timer = self._clock.callLater(delay, self._go)

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()


class ChildrenWatch(_Watch[tuple[list[str], Stat]]):
    """Follow the children of a node, which need not exist yet.

    ``answered((names, stat))`` is called on the reactor after each authoritative answer of ZooKeeper, also
    after one that says what was known; ``answered(None)`` where there is no such node. Answers come in the
    order of their transactions, and what happens while one is read is read at once after it.
    """

    def _read(self) -> tuple[Deferred[tuple[list[str], Stat]], Deferred[ClientEvent]]:
        return self._client.get_children_stat_and_watch(self.path)

    def _zxid_of(self, answer: tuple[list[str], Stat]) -> int:
        return answer[1].pzxid


class DataWatch(_Watch[tuple[bytes | None, Stat]]):
    """Follow the data of a node, which need not exist yet: ``answered((data, stat))`` or ``answered(None)``.

    When it is called, :class:`ChildrenWatch` says.
    """

    def _read(self) -> tuple[Deferred[tuple[bytes | None, Stat]], Deferred[ClientEvent]]:
        return self._client.get_and_watch(self.path)

    def _zxid_of(self, answer: tuple[bytes | None, Stat]) -> int:
        return answer[1].mzxid


class OwnedEphemeral:
    """An ephemeral node that should exist, with this data, and belong to the client's present session.

    :param disturbed: called on the reactor when the node was deleted or written by somebody; a next
        :meth:`ensure` puts it right. (When the session is lost, the client's listeners say so.)
    :ivar data: what the node should hold; :meth:`ensure` writes what is assigned here.
    """

    def __init__(
        self, client: ZookeeperClient, path: str, data: bytes, disturbed: Callable[[], object]
    ) -> None:
        self.path = path
        self.data = data
        self._client = client
        self._disturbed = disturbed
        self._event: Deferred[ClientEvent] | None = None

    async def ensure(self) -> None:
        """Make it so. The node of an old session, or of somebody else, is deleted and replaced.

        :raises NoNodeException: if the parent does not exist.
        """
        for _ in range(_ROUNDS):
            result, event = self._watch()
            try:
                data, stat = await result
            except NoNodeException:
                try:
                    await self._client.create(self.path, self.data, flags=EPHEMERAL)
                except NodeExistsException:
                    continue
                result, event = self._watch()
                try:
                    data, stat = await result
                except NoNodeException:
                    continue
            try:
                if stat.ephemeralOwner != self._client.session_id:
                    _log.info(
                        "replacing {path}, which belongs to session 0x{owner:x}",
                        path=self.path,
                        owner=stat.ephemeralOwner,
                    )
                    await self._client.delete(self.path, stat.version)
                elif data != self.data:
                    await self._client.set(self.path, self.data, stat.version)
                else:
                    event.addCallback(self._happened)
                    return
            except (NoNodeException, BadVersionException):
                continue
        raise ZookeeperError(f"{self.path}: somebody else keeps changing this node")

    async def remove(self) -> None:
        """Delete the node if it is ours."""
        self._unwatch()
        stat = await self._client.exists(self.path)
        if stat is not None and stat.ephemeralOwner == self._client.session_id:
            try:
                await self._client.delete(self.path)
            except NoNodeException:
                return  # somebody was quicker

    def _watch(self) -> tuple[Deferred[tuple[bytes | None, Stat]], Deferred[ClientEvent]]:
        self._unwatch()
        result, self._event = self._client.get_and_watch(self.path)
        return result, self._event

    def _unwatch(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.cancel()

    def _happened(self, event: ClientEvent) -> None:
        if event.type in (EventType.DELETED, EventType.CHANGED):
            self._disturbed()


async def create_path(client: ZookeeperClient, path: str, data: bytes | None = b"") -> bool:
    """Create a persistent node, and with empty data whatever is missing above it, the chroot included.

    :return: whether the node is new; one that exists is left as it is.
    :raises NoNodeException: if somebody deletes the path meanwhile.
    """
    missing = [path]
    for _ in range(2 * path.count("/") + 2):
        try:
            await client.create(missing[-1], data if len(missing) == 1 else b"")
            created = True
        except NodeExistsException:
            created = False
        except NoNodeException:
            parent = missing[-1].rpartition("/")[0]
            if parent:
                missing.append(parent)
            else:
                await client.create_chroot()
            continue
        missing.pop()
        if not missing:
            return created
    raise NoNodeException(f"create {path}: somebody deletes the nodes above it")
