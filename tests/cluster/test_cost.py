"""What a cluster call costs beside the number of servers: counted in steps of the interpreter, not timed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

import slacker
from slacker.cluster.client import ClusterClient
from slacker.cluster.grouping import ONE_SERVER
from slacker.content.values import Keyword
from slacker.server import nonblocking
from slacker.testing import Network
from tests.cluster.test_client import ToldDiscovery

FEW, MANY = 20, 1_000
CALLS = 10
_OURS = str(Path(slacker.__file__).parent)
_HARNESS = str(Path(slacker.__file__).parent / "testing.py")


class Steps:
    """Counts the bytecodes that run in slacker's own code while it is entered."""

    def __init__(self) -> None:
        self.count = 0
        self._before: Any = None

    def __enter__(self) -> Steps:
        self._before = sys.gettrace()
        sys.settrace(self._entered)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _entered(self, frame: FrameType, event: str, argument: object) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS) or name == _HARNESS:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return self._step

    def _step(self, frame: FrameType, event: str, argument: object) -> Any:
        self.count += 1
        return self._step


class CostTests(SynchronousTestCase):
    def steps(self, servers: int) -> dict[str, float]:
        """Steps of one call, by policy, in a cluster of so many servers to which the client is connected."""
        network, discovery = Network(), ToldDiscovery()
        addresses = [f"10.0.{number // 250}.{number % 250}:2104" for number in range(servers)]
        for address in addresses:
            network.serve(address, [nonblocking({"n": {"echo": lambda value: value}})])
            discovery.data[address] = {Keyword("weight"): 1}
        client = ClusterClient(
            "c", discovery=discovery, connect=network.client, reactor=network.reactor, timeout=1e6
        )
        discovery.tell("n", *addresses, leader=addresses[0])
        client.servers("n")
        for _ in range(servers // 10 + 10):
            network.advance(0.02)
        self.assertEqual(client.servers("n"), sorted(addresses))
        cost = {}
        for policy in ONE_SERVER:
            function = client.function("n/echo", grouping=policy)
            self.answered(network, function("first"))  # the first one sorts what it chooses from
            with Steps() as steps:
                for _ in range(CALLS):
                    self.answered(network, function("x"))
            cost[policy] = steps.count / CALLS
        closed = client.close()
        for _ in range(servers // 50 + 1):
            network.advance(2)
        self.successResultOf(closed)
        return cost

    def answered(self, network: Network, call: Deferred[Any]) -> None:
        network.flush()
        self.assertIn(self.successResultOf(call), ("x", "first"))

    def test_a_call_takes_as_many_steps_with_a_thousand_servers_as_with_twenty(self) -> None:
        few, many = self.steps(FEW), self.steps(MANY)
        for policy, steps in few.items():
            self.assertGreater(steps, 100, policy)
            self.assertLess(abs(many[policy] - steps), 50, (policy, steps, many[policy]))
