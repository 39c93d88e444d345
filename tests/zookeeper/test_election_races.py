"""Elections whose nodes come and go between two requests, and whose answers are lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kazoo.protocol.states import KeeperState

from slacker.zookeeper.election import Election
from slacker.zookeeper.lease import Lease
from tests.zookeeper.test_election import PATH, Candidate, ElectionCase


class ProtectionTests(ElectionCase):
    """Curator's protected mode: a creation whose answer was lost is found again."""

    def test_a_creation_whose_answer_was_lost_is_not_made_again(self) -> None:
        client = self.world.client()
        kazoo = self.world.clients[-1]
        told: list[bool] = []
        election = Election(Lease(client, clock=self.world.clock), PATH, told.append)
        election.stand()
        self.world.clock.advance(0)
        self.world.pump_until(lambda: len(self.nodes()) == 1)  # the answer is on its way
        kazoo.suspend()
        self.world.advance(0.1)
        self.assertEqual((len(self.nodes()), told), (1, [True]))
        election.stop()
        self.world.pump()
        client.close()

    def test_a_server_that_lags_behind_does_not_hide_it(self) -> None:
        client = self.world.client()
        kazoo = self.world.clients[-1]
        election = Election(Lease(client, clock=self.world.clock), PATH, lambda leads: None)
        election.stand()
        self.world.clock.advance(0)
        self.world.pump_until(lambda: ("create", PATH) in self.world.requests)
        self.world.freeze()
        self.world.pump_until(lambda: len(self.nodes()) == 1)
        kazoo.suspend()
        self.world.advance(0.1)
        self.assertEqual(len(self.nodes()), 1)
        election.stop()
        self.world.pump()
        client.close()

    def test_the_node_of_its_own_old_session_is_removed(self) -> None:
        one, two = self.candidate(), self.candidate()
        old = self.node(one)
        one.kazoo.lose(KeeperState.CLOSED)  # the thread died; the session lives on
        self.world.advance(0.1)
        self.assertIn(old, self.world.nodes)
        self.world.advance(2)
        self.assertNotIn(old, self.world.nodes)
        self.assertEqual((one.leads, two.leads), (False, True))

    def test_of_two_nodes_of_its_own_the_first_is_kept(self) -> None:
        one = self.candidate()
        first = self.node(one)
        prefix, session = first.rpartition("lock-")[0], one.kazoo._session
        self.world.put(f"{prefix}lock-9999999999", owner=session)
        self.world.remove(first)
        self.world.put(f"{prefix}lock-9999999998", owner=session)
        self.world.advance(1)
        self.assertEqual(self.node(one), f"{prefix}lock-9999999998")
        self.assertTrue(one.leads)


class RaceTests(ElectionCase):
    """Nodes that somebody deletes between two requests."""

    def just_before(self, operation: str, nodes: int, do: Callable[[], None]) -> Candidate:
        """A candidate before whose next such request this happens, once there are so many nodes."""
        candidate = Candidate(self.world, stand=False)
        self.candidates.append(candidate)
        real = getattr(candidate.kazoo, operation)

        def hindered(*arguments: Any, **keywords: Any) -> Any:
            if len(self.nodes()) == nodes:
                setattr(candidate.kazoo, operation, real)
                do()
            return real(*arguments, **keywords)

        setattr(candidate.kazoo, operation, hindered)
        return candidate

    def remove_all(self) -> None:
        for name in self.nodes():
            self.world.remove(f"{PATH}/{name}")

    def test_its_own_before_it_has_seen_the_others(self) -> None:
        one = self.just_before("get_children_async", 1, self.remove_all)
        one.election.stand()
        self.world.advance(1)
        self.assertEqual((len(self.nodes()), one.told), (1, [True]))

    def test_the_one_before_its_own_as_it_begins_to_watch_it(self) -> None:
        other = f"{PATH}/_c_00000000-0000-0000-0000-000000000000-lock-0000000000"
        self.world.put(other)
        one = Candidate(self.world, stand=False)
        self.candidates.append(one)
        one.election.stand()
        real = one.kazoo.get_async

        def late(path: str, watch: Any = None) -> Any:
            if path == other and path in self.world.nodes:
                self.world.remove(other)
            return real(path, watch)

        one.kazoo.get_async = late  # type: ignore[method-assign]
        self.world.advance(1)
        self.assertEqual(one.told, [True])

    def test_its_own_as_it_removes_it(self) -> None:
        one = self.just_before("delete_async", 1, self.remove_all)
        one.election.stand()
        self.world.advance(1)
        one.election.withdraw()
        self.world.advance(1)
        self.assertEqual((self.nodes(), one.election.settled), ([], True))
