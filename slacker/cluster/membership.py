"""One namespace of a server in ZooKeeper: whether clients find it there, and who leads it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from slacker.cluster import layout as nodes
from slacker.cluster.layout import Layout
from slacker.zookeeper import BadVersionException, ClientEvent, EventType, ZookeeperError
from slacker.zookeeper.election import Election
from slacker.zookeeper.lease import Lease
from slacker.zookeeper.recipes import OwnedEphemeral, create_path

_log = Logger()

# How often the leader's name is written before the next pass tries again, when somebody else writes it, too.
_ROUNDS = 5


class Membership:
    """One namespace of a server: whether clients find it, its election, and who is named as its leader.

    :param member: the node by which clients find it.
    """

    def __init__(
        self,
        name: str,
        layout: Layout,
        member: OwnedEphemeral,
        lease: Lease,
        *,
        address: str,
        on_leadership: Callable[[str, bool], object],
        wanted: bool,
    ) -> None:
        self.name = name
        self.wanted = wanted
        self.election = Election(lease, layout.mutex(name), self._leads, proclaim=self._proclaim)
        self._member = member
        self._zookeeper = lease.client
        self._layout = layout
        self._address = nodes.leader_bytes(address)
        self._on_leadership = on_leadership
        self._event: Deferred[ClientEvent] | None = None  # on who is named as the leader

    def want(self, wanted: bool) -> None:
        """Be found, or not; the next pass makes it so. Leading ends at once."""
        self.wanted = wanted
        if not wanted:
            self.election.withdraw()

    async def prepare(self) -> None:
        """The persistent nodes; upstream's clients need ``_leader`` with data before the first server."""
        if await self._zookeeper.exists(self._layout.mutex(self.name)) is None:
            await create_path(self._zookeeper, self._layout.namespace(self.name), None)
            await create_path(self._zookeeper, self._layout.leader(self.name), b"")
            await create_path(self._zookeeper, self._layout.mutex(self.name), None)

    async def join(self) -> None:
        """Be found, and stand in the election."""
        await self._member.ensure()
        if self.wanted:
            self.election.stand()

    async def leave(self) -> None:
        """Be found no more."""
        self.election.withdraw()
        await self._member.remove()

    def stop(self) -> list[Deferred[None]]:
        """Leave for good: they fire when it is done, at once without a connection."""
        resigned = self.election.stop()
        if not self._zookeeper.connected:
            return [resigned]
        return [Deferred.fromCoroutine(self._member.remove()), resigned]

    def _leads(self, leads: bool) -> None:
        self._forget()
        state = "leads" if leads else "leads no more"
        _log.info("{address} {state}: {name}", address=self._address.decode(), state=state, name=self.name)
        self._on_leadership(self.name, leads)

    async def _proclaim(self) -> None:
        """While leading: be named as the leader, and hear when somebody writes another name."""
        path = self._layout.leader(self.name)
        for _ in range(_ROUNDS):
            self._forget()
            result, event = self._zookeeper.get_and_watch(path)
            self._event = event
            data, stat = await result
            if data == self._address:
                event.addCallback(self._overwritten)
                return
            if not self.election.leads:
                return
            try:
                await self._zookeeper.set(path, self._address, stat.version)
            except BadVersionException:
                continue
        raise ZookeeperError(f"{path}: somebody else keeps writing who leads")

    def _overwritten(self, event: ClientEvent) -> None:
        if event.type in (EventType.CHANGED, EventType.DELETED):
            self.election.request()

    def _forget(self) -> None:
        """Watch no more who is named."""
        event, self._event = self._event, None
        if event is not None:
            event.cancel()
