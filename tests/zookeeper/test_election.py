"""Elections: one leads, the next follows, and nobody leads who may have been given up."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kazoo import exceptions
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper import ZookeeperClient, ZookeeperError
from slacker.zookeeper.election import Election
from slacker.zookeeper.lease import Lease
from slacker.zookeeper.session import ZookeeperSession
from tests.zookeeper.fakes import FakeKazoo, World, install, result_of

SESSION = 15.0
PATH = "/app/mutex"


def negotiate(testcase: SynchronousTestCase, seconds: float = SESSION) -> None:
    """Let sessions in the fake ensemble have this timeout."""
    timeout = property(lambda session: seconds if session.connected else None)
    testcase.patch(ZookeeperSession, "session_timeout", timeout)


class Candidate:
    """One that stands, by a client of its own, and what it was told."""

    def __init__(self, world: World, *, stand: bool = True, **options: Any) -> None:
        self.client: ZookeeperClient = world.client()
        self.kazoo: FakeKazoo = world.clients[-1]
        self.lease = Lease(self.client, clock=world.clock)
        self.told: list[bool] = []
        self.election = Election(self.lease, PATH, self.told.append, **options)
        if stand:
            self.election.stand()
            world.advance(0.1)

    @property
    def leads(self) -> bool:
        return self.election.leads


class ElectionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = install(self)
        negotiate(self)
        self.candidates: list[Candidate] = []

    def tearDown(self) -> None:
        for candidate in self.candidates:
            candidate.election.stop().addErrback(lambda failure: failure.trap(ZookeeperError))
            self.world.pump()
            candidate.client.close()
        self.world.pump()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def candidate(self, **options: Any) -> Candidate:
        self.candidates.append(Candidate(self.world, **options))
        return self.candidates[-1]

    def nodes(self) -> list[str]:
        """The candidates' nodes, in Curator's order."""
        names = [path.rpartition("/")[2] for path in self.world.nodes if path.startswith(f"{PATH}/")]
        return sorted(names, key=lambda name: name.rpartition("lock-")[2])

    def node(self, candidate: Candidate) -> str:
        """The path of this candidate's node."""
        owned = [path for path, node in self.world.nodes.items() if node.owner == candidate.client.session_id]
        self.assertEqual(len(owned), 1)
        return owned[0]

    def partition(self, candidate: Candidate) -> None:
        """Leave the connection open, and let no request of this client through."""
        candidate.kazoo.step = lambda: False  # type: ignore[method-assign]


class OrderTests(ElectionCase):
    def test_a_node_is_named_owned_and_filled_as_curators_are(self) -> None:
        one = self.candidate()
        (name,) = self.nodes()
        self.assertRegex(name, re.compile(r"\A_c_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-lock-\d{10}\Z"))
        node = self.world.nodes[f"{PATH}/{name}"]
        self.assertEqual(node.owner, one.client.session_id)

    def test_a_node_holds_the_local_address(self) -> None:
        self.patch(ZookeeperSession, "local_host", "192.0.2.7")
        one = self.candidate()
        self.assertEqual(self.world.nodes[self.node(one)].data, b"192.0.2.7")

    def test_the_first_leads_and_the_others_follow_in_the_order_in_which_they_came(self) -> None:
        one, two, three = self.candidate(), self.candidate(), self.candidate()
        self.assertEqual([c.leads for c in (one, two, three)], [True, False, False])
        one.election.withdraw()
        self.world.advance(1)
        self.assertEqual([c.leads for c in (one, two, three)], [False, True, False])
        two.election.withdraw()
        self.world.advance(1)
        self.assertEqual([c.leads for c in (one, two, three)], [False, False, True])
        self.assertEqual([c.told for c in (one, two, three)], [[True, False], [True, False], [True]])

    def test_what_follows_the_last_lock_counts_and_not_what_stands_before_it(self) -> None:
        self.world.put(f"{PATH}/_c_ffffffff-ffff-ffff-ffff-ffffffffffff-lock-0000000000")
        self.world.put(f"{PATH}/_c_00000000-lock-lock-9999999999")
        one = self.candidate()
        self.assertFalse(one.leads)
        self.world.remove(f"{PATH}/_c_ffffffff-ffff-ffff-ffff-ffffffffffff-lock-0000000000")
        self.world.advance(0.1)
        self.assertTrue(one.leads)

    def test_the_end_of_a_leader_wakes_only_the_next(self) -> None:
        one, _, _, _ = (self.candidate() for _ in range(4))
        self.world.requests.clear()
        self.world.end_session(one.kazoo._session)
        one.election.stop()
        self.world.advance(1)
        lists = [path for what, path in self.world.requests if what == "get_children"]
        self.assertLessEqual(len(lists), 2)  # the next one's, and the one's that lost its node

    def test_one_in_the_middle_that_goes_makes_nobody_lead(self) -> None:
        one, two, three = self.candidate(), self.candidate(), self.candidate()
        two.election.withdraw()
        self.world.advance(1)
        self.assertEqual((one.leads, three.leads), (True, False))
        one.election.withdraw()
        self.world.advance(1)
        self.assertTrue(three.leads)

    def test_whoever_withdraws_and_stands_again_is_the_last(self) -> None:
        one, two = self.candidate(), self.candidate()
        one.election.withdraw()
        self.world.advance(0.1)
        one.election.stand()
        self.world.advance(1)
        self.assertEqual((one.leads, two.leads), (False, True))
        self.assertEqual(len(self.nodes()), 2)

    def test_whoever_withdraws_and_stands_again_in_one_moment_keeps_its_node(self) -> None:
        one, two = self.candidate(), self.candidate()
        before = self.nodes()
        one.election.withdraw()
        one.election.stand()
        self.world.advance(1)
        self.assertEqual((self.nodes(), one.told, two.told), (before, [True, False, True], []))

    def test_withdrawing_ends_the_leadership_before_the_node_goes(self) -> None:
        one = self.candidate()
        one.election.withdraw()
        self.assertEqual((one.leads, one.told, len(self.nodes())), (False, [True, False], 1))
        self.world.advance(0.1)
        self.assertEqual(self.nodes(), [])
        self.assertTrue(one.election.settled)

    def test_standing_twice_and_withdrawing_twice_are_once(self) -> None:
        one = self.candidate()
        one.election.stand()
        self.world.advance(1)
        self.assertEqual(len(self.nodes()), 1)
        one.election.withdraw()
        one.election.withdraw()
        self.world.advance(1)
        self.assertEqual(one.told, [True, False])

    def test_an_audit_of_those_that_wait_reads_two_nodes_and_no_list(self) -> None:
        self.candidate()
        self.candidate()
        self.world.requests.clear()
        self.world.advance(40)
        self.assertNotIn(("get_children", PATH), self.world.requests)

    def test_many_changes_in_the_round_of_a_list_end_in_one_leader(self) -> None:
        crowd = [self.candidate() for _ in range(12)]
        for leader in crowd[:11]:
            leader.election.withdraw()
        self.world.advance(1)
        self.assertEqual([c.leads for c in crowd], [False] * 11 + [True])


class StopTests(ElectionCase):
    def test_stopping_removes_the_node_so_that_the_next_leads_at_once(self) -> None:
        one, two = self.candidate(), self.candidate()
        stopping = one.election.stop()
        self.assertEqual(one.told, [True, False])
        self.assertIsNone(result_of(self, self.world, stopping))
        self.world.advance(0.05)
        self.assertTrue(two.leads)

    def test_stopping_while_the_node_is_being_created_leaves_none(self) -> None:
        self.candidate()
        client = self.world.client()
        election = Election(Lease(client, clock=self.world.clock), PATH, lambda leads: None)
        election.stand()
        self.world.clock.advance(0)
        creates = ("create", f"{PATH}/{election._prefix}lock-")
        self.world.pump_until(lambda: creates in self.world.requests)
        self.assertEqual(len(self.nodes()), 2)
        self.assertIsNone(result_of(self, self.world, election.stop()))
        self.assertEqual(len(self.nodes()), 1)
        client.close()

    def test_stopping_without_a_connection_is_over_at_once(self) -> None:
        one = self.candidate()
        self.world.reachable = False
        one.kazoo.suspend()
        self.world.pump()
        self.assertIsNone(self.successResultOf(one.election.stop()))
        self.assertEqual(one.told, [True, False])

    def test_who_waits_learns_that_it_was_stopped(self) -> None:
        one = self.candidate()
        self.world.reachable = False
        one.kazoo.expire()
        self.world.pump()
        waiting: Deferred[None] = one.election.when_settled()
        one.election.stop()
        self.failureResultOf(waiting, ZookeeperError)

    def test_a_call_back_may_stop_what_called_it(self) -> None:
        client = self.world.client()
        told: list[bool] = []
        stopped: list[Deferred[None]] = []

        def changed(leads: bool) -> None:
            told.append(leads)
            if leads:
                stopped.append(election.stop())

        election = Election(Lease(client, clock=self.world.clock), PATH, changed)
        election.stand()
        self.world.advance(0.1)
        self.assertEqual(told, [True, False])
        self.assertIsNone(self.successResultOf(stopped[0]))
        self.assertEqual(self.nodes(), [])
        client.close()

    def test_a_call_back_that_raises_is_logged_and_changes_nothing(self) -> None:
        def changed(leads: bool) -> None:
            raise ValueError("no")

        client = self.world.client()
        election = Election(Lease(client, clock=self.world.clock), PATH, changed)
        election.stand()
        self.world.advance(0.1)
        self.assertTrue(election.leads)
        election.stop()
        self.world.pump()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        client.close()


class LossTests(ElectionCase):
    """What ends a leadership."""

    def test_an_expired_session_does_and_it_stands_again_behind_the_others(self) -> None:
        one, two = self.candidate(), self.candidate()
        one.kazoo.expire()
        self.world.pump()
        self.assertEqual(one.told, [True, False])
        self.world.advance(0.1)
        self.assertEqual((one.leads, two.leads), (False, True))
        self.assertEqual(len(self.nodes()), 2)
        two.election.withdraw()
        self.world.advance(1)
        self.assertTrue(one.leads)

    def test_a_client_that_is_closed_does(self) -> None:
        one = self.candidate()
        one.client.close()
        self.assertEqual((one.leads, one.told), (False, [True, False]))

    def test_the_deletion_of_its_node_does_and_it_stands_again(self) -> None:
        one, two = self.candidate(), self.candidate()
        self.world.advance(1)
        self.world.remove(self.node(one))
        self.world.requests.clear()
        self.world.pump_until(lambda: one.told == [True, False])
        self.assertEqual(self.world.requests, [])  # it did not have to ask
        self.world.advance(1)
        self.assertEqual((one.told, two.told), ([True, False], [True]))
        self.assertEqual(len(self.nodes()), 2)

    def test_the_deletion_of_everything_ends_in_one_leader_again(self) -> None:
        crowd = [self.candidate() for _ in range(3)]
        self.world.remove("/app")
        self.world.advance(5)
        self.assertEqual(sum(c.leads for c in crowd), 1)
        self.assertEqual(len(self.nodes()), 3)

    def test_foreign_data_in_its_node_do_not(self) -> None:
        one = self.candidate()
        self.world.put(self.node(one), b"x")
        self.world.advance(1)
        self.world.put(self.node(one), b"y")
        self.world.remove(self.node(one))
        self.world.advance(1)
        self.assertEqual(one.told, [True, False, True])


class ProclaimTests(ElectionCase):
    def setUp(self) -> None:
        super().setUp()
        self.proclaimed = 0
        self.hinder: Callable[[], None] = lambda: None

    async def proclaim(self) -> None:
        self.hinder()
        self.proclaimed += 1

    def test_who_leads_proclaims_it_and_nobody_else_does(self) -> None:
        one = self.candidate(proclaim=self.proclaim)
        self.candidate(proclaim=self.proclaim)
        self.assertEqual(self.proclaimed, 1)
        one.election.request()
        self.world.advance(1)
        self.assertEqual(self.proclaimed, 2)

    def test_a_proclamation_that_fails_is_made_again_and_the_leadership_stands(self) -> None:
        def refuse() -> None:
            raise ZookeeperError("the node's ACL does not allow it")

        self.hinder = refuse
        one = self.candidate(proclaim=self.proclaim)
        self.assertEqual((one.leads, one.election.settled), (True, False))
        self.hinder = lambda: None
        self.world.advance(5)
        self.assertEqual((self.proclaimed, one.told, one.election.settled), (1, [True], True))


class TroubleTests(ElectionCase):
    def test_a_refusal_is_tried_again(self) -> None:
        self.world.refusing[PATH] = exceptions.NoAuthError
        one = self.candidate()
        self.world.advance(5)
        self.assertFalse(one.election.settled)
        del self.world.refusing[PATH]
        self.world.advance(31)
        self.assertTrue(one.leads)

    def test_a_session_that_is_answered_too_slowly_never_leads(self) -> None:
        negotiate(self, 0.000_000_001)
        one = self.candidate()
        self.world.advance(5)
        self.assertEqual((one.leads, one.told, one.election.settled), (False, [], False))

    def test_an_outage_costs_no_requests(self) -> None:
        one = self.candidate()
        self.world.reachable = False
        one.kazoo.suspend()
        self.world.requests.clear()
        self.world.advance(100)
        self.assertEqual(self.world.requests, [])
        self.world.reachable = True
        self.world.advance(0.1)
        self.assertTrue(one.leads)
