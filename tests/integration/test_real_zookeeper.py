"""The real ZooKeeper the other tests rest on, and the proxy that cuts lines to it."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import SkipTest, mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.integration import real_zookeeper
from tests.integration.processes import until
from tests.integration.proxy import Proxy
from tests.integration.real_zookeeper import (
    RealZooKeeper,
    four_letter_word,
    require_real_zookeeper,
    shared_zookeeper,
)


class SharedInstanceTests(TestCase):
    def setUp(self) -> None:
        require_real_zookeeper(self)

    async def test_it_answers_and_is_the_same_for_every_test(self) -> None:
        zk = await shared_zookeeper()
        self.assertEqual(await four_letter_word(zk.connect_string, "ruok"), "imok")
        self.assertEqual(await zk.mode(), "standalone")
        self.assertIs(await shared_zookeeper(), zk)


class ProxyTests(TestCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        require_real_zookeeper(self)
        self.proxy = Proxy((await shared_zookeeper()).connect_string)
        await self.proxy.start()
        self.addCleanup(self.proxy.stop)

    def ask(self, timeout: float = 5.0) -> Deferred[str]:
        return four_letter_word(self.proxy.address, "ruok", timeout)

    async def test_it_passes_everything_on(self) -> None:
        self.assertEqual(await self.ask(), "imok")
        await until(lambda: self.proxy.connections == 0, "the pair closing")

    async def test_after_a_cut_nothing_passes_until_it_is_restored(self) -> None:
        self.proxy.cut()
        self.assertEqual(await self.ask(), "")
        self.proxy.restore()
        self.assertEqual(await self.ask(), "imok")

    async def test_a_stalled_connection_is_silent_and_goes_on_when_restored(self) -> None:
        self.proxy.stall()
        self.assertEqual(await self.ask(timeout=0.2), "")
        await until(lambda: self.proxy.connections == 0, "the connection that gave up closing")
        answer = self.ask()
        await until(lambda: self.proxy.connections == 1, "the connection")
        self.assertNoResult(answer)
        self.proxy.restore()
        self.assertEqual(await answer, "imok")


class EnsembleTests(TestCase):
    async def test_a_killed_leader_is_replaced_and_comes_back(self) -> None:
        require_real_zookeeper(self)
        zk = RealZooKeeper(nodes=3)
        self.addCleanup(zk.stop)
        await zk.start()
        leader = await zk.leader_index()
        await zk.kill(leader)
        self.assertFalse(zk.running)
        self.assertNotEqual(await zk.leader_index(), leader)
        await zk.restart(leader)

        async def follows() -> bool:
            return await zk.mode(leader) == "follower"

        async def answers() -> bool:
            return await four_letter_word(zk.addresses[leader], "ruok") == "imok"

        await until(follows, "the node following")
        zk.pause(leader)
        self.assertEqual(await four_letter_word(zk.addresses[leader], "ruok", 0.2), "")
        zk.resume(leader)
        await until(answers, "the node answering again")


class RequirementTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(real_zookeeper, "_JARS", [Path("/nowhere/zookeeper.jar")])

    def test_without_zookeeper_a_test_is_skipped_and_says_how_to_get_it(self) -> None:
        with mock.patch.dict(os.environ, {"SLACKER_REQUIRE_ZOOKEEPER": ""}):
            error = self.assertRaises(SkipTest, require_real_zookeeper, self)
        self.assertIn("apt install zookeeper", str(error))

    def test_where_it_is_required_its_absence_is_a_failure(self) -> None:
        with mock.patch.dict(os.environ, {"SLACKER_REQUIRE_ZOOKEEPER": "1"}):
            error = self.assertRaises(self.failureException, require_real_zookeeper, self)
        self.assertIn("apt install zookeeper", str(error))
