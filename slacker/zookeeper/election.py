"""Leader election, with the nodes and the order of Curator's LeaderSelector.

Whoever stands creates ``_c_<uuid>-lock-<10 digits>`` below the election's path, ephemeral and sequential.
What follows the last ``lock-`` orders them, and the first one leads. Each watches only the node before its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from slacker.zookeeper.errors import NoNodeException, ZookeeperError
from slacker.zookeeper.events import EPHEMERAL, SEQUENCE, ClientEvent, EventType, Stat
from slacker.zookeeper.lease import Lease
from slacker.zookeeper.recipes import create_path
from slacker.zookeeper.reconciler import Reconciler

_log = Logger()

# How often a pass starts over because others come and go.
_ROUNDS = 10


class Election:
    """Stands in an election, or does not, whatever happens to ZooKeeper or is done to the nodes.

    Which of the two, :meth:`stand` and :meth:`withdraw` say; :meth:`stop` comes last.

    :param lease: of the client's session. Who leads stops when it lapses, before another can begin.
    :param path: parent of the candidates' nodes; created where it is missing.
    :param changed: called on the reactor with True when this candidate begins to lead and with False when it
        stops.
    :param proclaim: run while leading, again and again (it has to see by itself whether there is anything to
        do): when the leadership begins, after :meth:`request`, and now and then.
    """

    def __init__(
        self,
        lease: Lease,
        path: str,
        changed: Callable[[bool], object],
        *,
        proclaim: Callable[[], Coroutine[Deferred[Any], Any, None]] | None = None,
    ) -> None:
        self.path = path
        self._lease = lease
        self._client = lease.client
        self._changed = changed
        self._proclaim = proclaim
        self._prefix = f"_c_{uuid4()}-"
        self._started = False
        self._wanted = False
        self._left = True  # there is certainly no node of ours
        self._elected = False
        self._name: str | None = None  # of our node
        self._before: str | None = None  # the node before it
        self._events: dict[str, Deferred[ClientEvent]] = {}
        self._reconciler = Reconciler(
            self._client, self._pass, clock=lease.clock, what=f"stand in the election at {path}"
        )

    @property
    def leads(self) -> bool:
        """Whether this candidate leads now. May be asked from any thread."""
        return self._elected and self._lease.valid

    @property
    def settled(self) -> bool:
        """Whether this candidate stands, and has proclaimed it if it leads; or, withdrawn, has no node."""
        return self._reconciler.settled if self._wanted else self._left

    def when_settled(self) -> Deferred[None]:
        """Fires when :attr:`settled`; fails with ZookeeperError if :meth:`stop` comes first."""
        return succeed(None) if self.settled else self._reconciler.when_settled()

    def stand(self) -> None:
        """Be a candidate from now on."""
        if self._wanted:
            return
        self._wanted = True
        if self._started:
            self._reconciler.request()
        else:
            self._started = True
            self._reconciler.start()

    def withdraw(self) -> None:
        """Be none: stop leading at once, and have the node removed."""
        if self._wanted:
            self._wanted = False
            self._resign()
            self._reconciler.request()

    def stop(self) -> Deferred[None]:
        """Withdraw, and do nothing any more.

        :return: fires when the node is gone, or at once without a connection; closing the client removes it
            then. Fails with ZookeeperError if it could not be removed.
        """
        self._wanted = self._started = False
        self._resign()
        self._reconciler.stop()
        self._forget_events()
        if not self._client.connected:
            return succeed(None)
        return Deferred.fromCoroutine(self._leave())

    def request(self) -> None:
        """Look soon whether all is as it should be."""
        self._reconciler.request()

    async def _pass(self) -> None:
        await (self._take_part() if self._wanted else self._leave())

    async def _take_part(self) -> None:
        for _ in range(_ROUNDS):
            await self._lease.renew()
            if not await self._has_node():
                self._resign()
                await self._enter()
            elif self._before is not None and await self._watch(self._before) is not None:
                return  # it is another's turn
            elif not self._elected and await self._is_first():
                self._lead()
            if not self._wanted:
                return  # withdrawn meanwhile, and another pass is due
            if self.leads:
                if self._proclaim is not None:
                    await self._proclaim()
                return
        raise ZookeeperError(f"the election at {self.path} does not come to rest")

    async def _has_node(self) -> bool:
        """Whether our node stands, of our present session, watched."""
        if self._name is None:
            return False
        stat = await self._watch(self._name)
        if stat is not None and stat.ephemeralOwner == self._client.session_id:
            return True
        self._name = self._before = None
        return False

    async def _enter(self) -> None:
        """Create our node. A creation whose answer was lost is looked for first, by our uuid."""
        self._left = False
        self._forget_events()
        self._name = self._before = None
        for name in await self._ours():
            stat = await self._client.exists(f"{self.path}/{name}")
            if stat is None:
                continue
            if self._name is None and stat.ephemeralOwner == self._client.session_id:
                self._name = name
            else:  # an old session's, or one too many
                await self._delete(name)
        if self._name is None:
            address = (self._client.local_host or "").encode()
            node = f"{self.path}/{self._prefix}lock-"
            created = await self._client.create(node, address, flags=EPHEMERAL | SEQUENCE)
            self._name = created.rpartition("/")[2]

    async def _leave(self) -> None:
        """Remove our node, also one whose creation was not answered yet."""
        if self._left:
            return
        self._forget_events()
        self._name = self._before = None
        for name in await self._ours():
            await self._delete(name)
        self._left = not self._wanted

    async def _ours(self) -> list[str]:
        """Nodes with our uuid, in their order."""
        return [name for name in await self._candidates() if name.startswith(self._prefix)]

    async def _is_first(self) -> bool:
        """Whether no node is before ours; else notes which is."""
        names = await self._candidates()
        if self._name not in names:
            self._name = None
            return False
        index = names.index(self._name)
        self._before = names[index - 1] if index else None
        return not index

    async def _candidates(self) -> list[str]:
        try:
            return sorted(await self._client.get_children(self.path), key=_place)
        except NoNodeException:
            if self._wanted:
                await create_path(self._client, self.path, None)
            return []

    async def _delete(self, name: str) -> None:
        try:
            await self._client.delete(f"{self.path}/{name}")
        except NoNodeException:
            return  # somebody was quicker

    async def _watch(self, name: str) -> Stat | None:
        """The node's Stat, watched; None if it is gone."""
        old = self._events.pop(name, None)
        if old is not None:
            old.cancel()
        result, event = self._client.get_and_watch(f"{self.path}/{name}")
        self._events[name] = event
        event.addCallback(self._happened, name, event)
        try:
            _, stat = await result
        except NoNodeException:
            return None
        return stat

    def _happened(self, what: ClientEvent, name: str, event: Deferred[ClientEvent]) -> None:
        if self._events.get(name) is event:
            del self._events[name]
        if what.type in (EventType.DELETED, EventType.CHANGED):
            if name == self._name and what.type is EventType.DELETED:
                _log.warn("{path} was deleted by somebody", path=what.path)
                self._resign()
            self._reconciler.request()

    def _forget_events(self) -> None:
        events, self._events = self._events, {}
        for event in events.values():
            event.cancel()

    def _lead(self) -> None:
        if not self._wanted or not self._lease.valid:
            return
        self._elected = True
        self._tell(True)
        if self._elected:
            self._lease.hold(self._lapsed)

    def _resign(self) -> None:
        if self._elected:
            self._elected = False
            self._lease.release(self._lapsed)
            self._tell(False)

    def _lapsed(self) -> None:
        _log.warn("no more certain of leading at {path}: ZooKeeper is out of reach", path=self.path)
        self._resign()
        self._reconciler.request()

    def _tell(self, leads: bool) -> None:
        try:
            self._changed(leads)
        except Exception:
            _log.failure("the call-back of the election at {path} raised", path=self.path)


def _place(name: str) -> str:
    """What orders the nodes; names without ``lock-`` stand as they are, as Curator has it."""
    return name.rpartition("lock-")[2]
