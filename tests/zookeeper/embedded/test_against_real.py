"""The embedded server answers as the real one does: the same requests on both, their transcripts compared.

Compared are results, error codes, watch events and their place among the answers, and stats; of these the
times are left out, and of transaction ids the order is compared, not the value.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from unittest import mock

from twisted.trial.unittest import TestCase

from slacker.zookeeper.embedded import EmbeddedZooKeeper
from tests.integration.real_zookeeper import RealZooKeeper, four_letter_word, require_real_zookeeper
from tests.skips import leave_out
from tests.zookeeper.embedded.playing import Play
from tests.zookeeper.embedded.scenarios import SCENARIOS, random_play


class RealServerTests(TestCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        require_real_zookeeper(self)
        self.embedded = EmbeddedZooKeeper(
            tick_time=3600
        )  # the real server looks for empty containers rarely, too
        self.addCleanup(self.embedded.stop)
        await self.embedded.listen("tcp:0:interface=127.0.0.1")
        self.real = RealZooKeeper()
        self.addCleanup(self.real.stop)
        with mock.patch.dict(os.environ, JAVA_TOOL_OPTIONS="-Dzookeeper.extendedTypesEnabled=true"):
            await self.real.start()  # with nodes that have a time to live
        version = await four_letter_word(self.real.connect_string, "srvr")
        if "version: 3.8." not in version:
            leave_out(
                self, f"left out: it compares with ZooKeeper 3.8, and here is {version.splitlines()[0]}"
            )

    async def compare(self, scenario: Callable[[Play], Awaitable[None]]) -> int:
        """Play it on both servers, which have the same past; the number of things compared."""
        transcripts = []
        for address in (self.embedded.address, self.real.connect_string):
            play = Play(address)
            try:
                await scenario(play)
            finally:
                await play.leave()
            transcripts.append(play.comparable())
        for ours, theirs in zip(*transcripts, strict=True):
            self.assertEqual(ours, theirs)
        return len(transcripts[0])

    async def test_scripted_operations_are_answered_as_the_real_server_does(self) -> None:
        for scenario in SCENARIOS:
            self.assertGreater(await self.compare(scenario), 10)

    async def test_random_operations_are_answered_as_the_real_server_does(self) -> None:
        for seed in range(10):
            self.assertGreater(await self.compare(random_play(seed)), 300)
