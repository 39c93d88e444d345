"""Elections on live ZooKeepers, through all that may happen to the line, and beside Curator."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import gatherResults

from slacker.zookeeper import ZookeeperClient
from slacker.zookeeper.election import Election
from slacker.zookeeper.lease import Lease
from tests.integration.processes import Child, pause, temporary, until
from tests.integration.test_curator import JARS, require_curator
from tests.integration.zookeepers import OnEmbedded, OnReal, ZooKeeperCase

SOURCE = Path(__file__).with_name("election") / "Candidate.java"
SESSION = 10.0  # seconds; a process that is held up for two thirds of them would cease to lead
SHORT = 2.0  # of one that is to be out of reach for so long


class Candidate:
    """One that stands, and notes in the common list when it begins and ceases to lead."""

    def __init__(self, name: str, client: ZookeeperClient, path: str, noted: list[tuple[str, bool]]) -> None:
        from twisted.internet import reactor

        self.client = client
        self.election = Election(
            Lease(client, clock=reactor), path, lambda leads: noted.append((name, leads))
        )
        self.election.stand()


class Standing(ZooKeeperCase):
    """Candidates in one election, withdrawn after the test."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        await super().setUp()
        self.path = f"{self.root}/mutex"
        self.noted: list[tuple[str, bool]] = []

    async def candidate(self, name: str, session: float = SESSION, *, direct: bool = True) -> Candidate:
        """One that stands when this is done."""
        client = await self.connected(session, direct=direct)
        candidate = Candidate(name, client, self.path, self.noted)
        self.addCleanup(candidate.election.stop)
        await candidate.election.when_settled()
        return candidate

    async def comes_to(self, *noted: tuple[str, bool]) -> None:
        """Wait for exactly these next changes, in this order."""
        await until(lambda: len(self.noted) >= len(noted), f"{noted}; there is {self.noted}")
        self.assertEqual(self.noted[: len(noted)], list(noted))
        del self.noted[: len(noted)]


class ElectionTests(Standing):
    async def test_they_lead_in_the_order_in_which_they_came(self) -> None:
        one, two = await self.candidate("one"), await self.candidate("two")
        await self.candidate("three")
        await self.comes_to(("one", True))
        await one.election.stop()
        await self.comes_to(("one", False), ("two", True))
        two.election.withdraw()
        await self.comes_to(("two", False), ("three", True))
        two.election.stand()
        await two.election.when_settled()
        observer = await self.connected(direct=True)
        names = await observer.get_children(self.path)
        self.assertEqual(len(names), 2)
        for name in names:
            self.assertRegex(name, r"\A_c_[0-9a-f-]{36}-lock-[0-9]{10}\Z")
            self.assertEqual((await observer.get(f"{self.path}/{name}"))[0], b"127.0.0.1")

    async def test_a_broken_line_that_is_soon_back_changes_nothing(self) -> None:
        one, _ = await self.candidate("one", direct=False), await self.candidate("two")
        session = one.client.session_id
        self.proxy.cut()
        await until(lambda: not one.client.connected, "the broken line")
        self.proxy.restore()
        await until(lambda: one.client.connected and one.election.settled, "the line being back")
        self.assertEqual((one.client.session_id, one.election.leads), (session, True))
        await self.comes_to(("one", True))

    async def test_a_line_that_is_cut_ends_the_leadership_before_the_next_begins(self) -> None:
        await self.out_of_reach(self.proxy.cut)

    async def test_a_line_that_stalls_ends_the_leadership_before_the_next_begins(self) -> None:
        await self.out_of_reach(self.proxy.stall)

    async def out_of_reach(self, disturb: Any) -> None:
        one, two = await self.candidate("one", SHORT, direct=False), await self.candidate("two")
        await until(lambda: one.election.leads, "the first one leading")
        self.noted.clear()  # a short session may have been interrupted
        disturb()
        await self.comes_to(("one", False), ("two", True))
        self.assertFalse(one.election.leads)
        self.proxy.restore()
        await until(lambda: one.client.connected and one.election.settled, "the first one standing again")
        await two.election.stop()
        await self.comes_to(("two", False), ("one", True))

    async def test_an_expired_session_makes_the_next_lead_and_the_first_the_last(self) -> None:
        one, two = await self.candidate("one"), await self.candidate("two")
        await self.expire(one.client)
        await until(lambda: two.election.leads, "the next leading")
        await until(lambda: one.client.connected and one.election.settled, "the first one standing again")
        await two.election.stop()
        await until(lambda: one.election.leads, "the first one leading again")
        self.assertEqual(
            sorted(self.noted),
            [("one", False), ("one", True), ("one", True), ("two", False), ("two", True)],
        )

    async def test_all_nodes_being_deleted_ends_in_one_leader(self) -> None:
        crowd = [await self.candidate(name) for name in ("one", "two", "three")]
        await self.remove_all(await self.connected(direct=True), self.root)

        def one_leads() -> bool:
            settled = all(candidate.election.settled for candidate in crowd)
            return settled and sum(candidate.election.leads for candidate in crowd) == 1

        await until(one_leads, "one leader")
        await pause(0.5)
        self.assertTrue(one_leads())

    async def test_thirty_that_stand_and_stop_at_once_never_lead_together(self) -> None:
        client = await self.connected(SESSION, direct=True)
        leading: set[int] = set()
        most = 0

        def note(number: int, leads: bool) -> None:
            nonlocal most
            (leading.add if leads else leading.discard)(number)
            most = max(most, len(leading))

        from twisted.internet import reactor

        lease = Lease(client, clock=reactor)
        crowd = [Election(lease, self.path, partial(note, number)) for number in range(30)]
        for election in crowd:
            election.stand()
        await gatherResults([election.when_settled() for election in crowd])
        while crowd:
            await until(lambda: any(election.leads for election in crowd), "a leader")
            (leader,) = [election for election in crowd if election.leads]
            crowd.remove(leader)
            await leader.stop()
        self.assertEqual((most, leading), (1, set()))
        self.assertEqual(await client.get_children(self.path), [])


class EmbeddedElectionTests(ElectionTests, OnEmbedded):
    pass


class RealElectionTests(ElectionTests, OnReal):
    pass


class CuratorTests(Standing, OnReal):
    """Curator's LeaderSelector and ours stand in the same election."""

    timeout = 180.0

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        require_curator(self, JARS)
        await super().setUp()

    async def curator(self) -> Child:
        """The Java program, running."""
        folder = temporary(self)
        class_path = ":".join([folder, *map(str, JARS)])
        compiler = Child.start(
            ["javac", "-proc:none", "-nowarn", "-d", folder, "-cp", class_path, str(SOURCE)]
        )
        self.addCleanup(compiler.clean_up)
        self.assertEqual(await compiler.ended(60), 0, compiler.output)
        options = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        arguments = [self.zookeeper, self.path, f"{self.root}/yield"]
        program = Child.start(["java", *options, "-cp", class_path, "Candidate", *arguments])
        self.addCleanup(program.clean_up)
        return program

    async def test_each_waits_for_the_other_and_follows_it(self) -> None:
        one = await self.candidate("one")
        curator = await self.curator()
        await curator.printed("sees 127.0.0.1 curator; leader 127.0.0.1")
        two = await self.candidate("two")
        await curator.printed("sees 127.0.0.1 curator 127.0.0.1; leader 127.0.0.1")
        await self.comes_to(("one", True))

        await one.election.stop()
        await curator.printed("leads")
        await curator.printed("sees curator 127.0.0.1; leader curator")
        await self.comes_to(("one", False))

        observer = await self.connected(direct=True)
        await observer.create(f"{self.root}/yield")
        await self.comes_to(("two", True))
        await curator.printed("sees 127.0.0.1 curator; leader 127.0.0.1", times=2)

        self.assertEqual(curator.output.count("leads"), 1)
        two.election.withdraw()
        await curator.printed("leads", times=2)
        two.election.stand()
        await two.election.when_settled()
        await self.comes_to(("two", False))

        await curator.stop("KILL")
        await self.comes_to(("two", True))


# Trial would run the bodies by themselves as well.
del ElectionTests, Standing, ZooKeeperCase, OnEmbedded, OnReal
