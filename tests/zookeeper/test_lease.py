"""How long a session certainly lives, as those see it who lead by it."""

from __future__ import annotations

import time

from twisted.internet.defer import Deferred

from slacker.zookeeper.election import Election
from slacker.zookeeper.lease import Lease
from tests.zookeeper.fakes import result_of
from tests.zookeeper.test_election import SESSION, ElectionCase


class LapseTests(ElectionCase):
    """What ends a leadership because the session may end."""

    def test_a_short_break_does_not(self) -> None:
        one, two = self.candidate(), self.candidate()
        one.kazoo.suspend()
        self.assertTrue(one.leads)
        self.world.advance(1)
        self.assertEqual((one.leads, one.told, two.told), (True, [True], []))

    def test_a_break_of_two_thirds_of_the_session_does(self) -> None:
        one = self.candidate()
        self.world.reachable = False
        one.kazoo.suspend()
        self.world.advance(SESSION * 2 / 3 - 0.3)
        self.assertEqual((one.leads, one.told), (True, [True]))
        self.world.advance(0.3)
        self.assertEqual((one.leads, one.told), (False, [True, False]))

    def test_a_line_that_stalls_does_too_although_nothing_says_that_it_is_lost(self) -> None:
        one = self.candidate()
        self.partition(one)
        self.world.advance(SESSION * 2 / 3 + 0.1)
        self.assertTrue(one.client.connected)
        self.assertEqual((one.leads, one.told), (False, [True, False]))

    def test_it_counts_from_when_the_answered_request_left(self) -> None:
        one = self.candidate()
        self.partition(one)
        self.world.advance(9)  # a renewal left, and its answer comes late
        del one.kazoo.step
        self.world.pump()
        self.partition(one)
        self.world.advance(4)
        self.assertTrue(one.leads)
        self.world.advance(3)
        self.assertEqual((one.leads, one.told), (False, [True, False]))

    def test_a_process_that_stood_still_does_not_lead_when_it_wakes(self) -> None:
        one = self.candidate()
        self.partition(one)
        self.world.clock.rightNow += 20  # no timer has run yet
        self.assertEqual((one.leads, one.told), (False, [True]))
        self.world.advance(0.05)
        self.assertEqual(one.told, [True, False])

    def test_a_clock_that_is_set_back_prolongs_nothing(self) -> None:
        one = self.candidate()
        monotonic = time.monotonic()
        self.patch(time, "monotonic", lambda: monotonic + SESSION)
        self.world.clock.rightNow -= 3600
        self.assertFalse(one.leads)
        self.world.clock.rightNow += 3600

    def test_after_a_lapse_it_leads_again_if_its_node_still_stands(self) -> None:
        one, two = self.candidate(), self.candidate()
        self.world.reachable = False
        one.kazoo.suspend()
        self.world.advance(SESSION - 2)
        self.world.reachable = True
        self.world.advance(1)
        self.assertEqual((one.told, two.told), ([True, False, True], []))

    def test_a_leadership_that_goes_on_is_renewed_for_ever(self) -> None:
        one = self.candidate()
        self.world.advance(300)
        self.assertEqual((one.leads, one.told), (True, [True]))


class LeaseTests(ElectionCase):
    def test_two_elections_share_one_lease_and_its_renewals(self) -> None:
        client = self.world.client()
        lease = Lease(client, clock=self.world.clock)
        elections = [Election(lease, path, lambda leads: None) for path in ("/a", "/b")]
        for election in elections:
            election.stand()
        self.world.advance(1)
        self.world.requests.clear()
        self.world.advance(20)
        self.assertIn(self.world.requests.count(("sync", "/")), (4, 5, 6))
        self.world.reachable = False
        self.world.clients[-1].suspend()
        self.world.advance(SESSION)
        self.assertEqual([election.leads for election in elections], [False, False])
        for election in elections:
            election.stop()
        client.close()

    def test_nobody_holding_it_nothing_is_asked(self) -> None:
        client = self.world.client()
        lease = Lease(client, clock=self.world.clock)
        result_of(self, self.world, Deferred.fromCoroutine(lease.renew()))
        self.assertTrue(lease.valid)
        self.world.requests.clear()
        self.world.advance(SESSION)
        self.assertFalse(lease.valid)
        self.assertEqual(self.world.requests, [])
        client.close()
