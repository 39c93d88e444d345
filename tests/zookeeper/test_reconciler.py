"""When a pass over the desired state is made, and when it is not."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper import BadVersionException, ConnectionLossException, NoAuthException, ZookeeperError
from slacker.zookeeper.reconciler import Reconciler
from tests.zookeeper.fakes import install


class ReconcilerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = install(self)
        self.client = self.world.client()
        self.kazoo = self.world.clients[0]
        self.passes: list[Deferred[None]] = []
        self.immediate = True
        self.reconciler = Reconciler(
            self.client, self.make_it_so, clock=self.world.clock, what="do it", audit=30.0
        )

    def tearDown(self) -> None:
        self.reconciler.stop()
        self.client.close()
        self.world.pump()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    async def make_it_so(self) -> None:
        deferred: Deferred[None] = Deferred()
        self.passes.append(deferred)
        if self.immediate:
            return
        await deferred

    def count(self, seconds: float = 0.0) -> int:
        """How many passes have begun in this time."""
        before = len(self.passes)
        self.world.clock.advance(0)
        self.world.advance(seconds)
        return len(self.passes) - before

    def test_it_begins_when_the_client_is_connected(self) -> None:
        self.world.reachable = False
        self.kazoo.suspend()
        self.world.pump()
        self.reconciler.start()
        self.assertEqual(self.count(100), 0)
        done = self.reconciler.when_settled()
        self.world.reachable = True
        self.assertEqual(self.count(0.1), 1)
        self.assertIsNone(self.successResultOf(done))
        self.assertTrue(self.reconciler.settled)
        self.assertIsNone(self.successResultOf(self.reconciler.when_settled()))

    def test_each_reconnect_brings_a_pass(self) -> None:
        self.reconciler.start()
        self.assertEqual(self.count(1), 1)
        self.kazoo.suspend()
        self.assertEqual(self.count(1), 1)

    def test_an_expired_session_unsettles_it_until_the_next_pass(self) -> None:
        self.reconciler.start()
        self.count()
        self.immediate = False
        self.kazoo.expire()
        self.assertEqual(self.count(0.1), 1)
        self.assertFalse(self.reconciler.settled)
        self.passes[-1].callback(None)
        self.assertTrue(self.reconciler.settled)

    def test_a_request_during_a_pass_means_one_more(self) -> None:
        self.immediate = False
        self.reconciler.start()
        self.count()
        for _ in range(10):
            self.reconciler.request()
        self.immediate = True
        self.passes[-1].callback(None)
        self.assertFalse(self.reconciler.settled)
        self.assertEqual(self.count(10), 1)
        self.assertTrue(self.reconciler.settled)

    def test_never_two_passes_at_once(self) -> None:
        self.immediate = False
        self.reconciler.start()
        self.count()
        self.kazoo.suspend()
        self.reconciler.request()
        self.assertEqual(self.count(100), 0)

    def test_many_requests_at_once_are_one_pass_and_the_next_is_quick_again(self) -> None:
        self.reconciler.start()
        self.count(1)
        for _ in range(100):
            self.reconciler.request()
        self.assertEqual(self.count(1), 1)
        self.reconciler.request()
        self.assertEqual(self.count(), 1)

    def test_two_who_undo_each_others_work_slow_down(self) -> None:
        self.reconciler.start()
        self.count()

        async def fought_over() -> None:
            self.passes.append(Deferred())
            self.world.clock.callLater(0.01, self.reconciler.request)

        self.reconciler._make_it_so = fought_over
        self.reconciler.request()
        self.assertLess(self.count(60), 15)
        self.assertLess(self.count(600), 30)

    def test_a_failed_pass_is_tried_again_with_growing_pauses(self) -> None:
        errors = 0

        async def refused() -> None:
            nonlocal errors
            errors += 1
            raise NoAuthException("create /a: no")

        self.reconciler._make_it_so = refused
        self.reconciler.start()
        done = self.reconciler.when_settled()
        self.world.advance(60)
        self.assertTrue(8 < errors < 15, errors)
        self.assertNoResult(done)
        self.reconciler._make_it_so = self.make_it_so
        self.world.advance(31)
        self.assertIsNone(self.successResultOf(done))

    def test_a_pass_that_breaks_on_a_line_that_holds_is_tried_again(self) -> None:
        async def broken() -> None:
            self.passes.append(Deferred())
            raise ConnectionLossException("create /a: broke")

        self.reconciler._make_it_so = broken
        self.reconciler.start()
        self.assertGreater(self.count(1), 2)

    def test_a_defect_in_a_pass_is_logged_and_tried_again(self) -> None:
        async def broken() -> None:
            raise ValueError("defect")

        self.reconciler._make_it_so = broken
        self.reconciler.start()
        self.world.advance(0.3)
        self.assertGreater(len(self.flushLoggedErrors(ValueError)), 1)

    def test_it_audits_now_and_then_without_a_reason(self) -> None:
        self.reconciler.start()
        self.count()
        self.assertEqual(self.count(23.9), 0)
        self.assertEqual(self.count(12.2), 1)
        self.assertIn(self.count(300), range(8, 13))
        self.assertTrue(self.reconciler.settled)

    def test_an_audit_that_fails_unsettles_it(self) -> None:
        self.reconciler.start()
        self.count()

        async def refused() -> None:
            raise BadVersionException("set /a: no")

        self.reconciler._make_it_so = refused
        self.world.advance(36.1)
        self.assertFalse(self.reconciler.settled)

    def test_stopping_cancels_the_pass_and_fails_those_who_wait(self) -> None:
        cancelled: list[bool] = []

        async def slow() -> None:
            try:
                await Deferred()
            except CancelledError:
                cancelled.append(True)
                raise

        self.reconciler._make_it_so = slow
        self.reconciler.start()
        self.count()
        given_up = self.reconciler.when_settled()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        waiting = self.reconciler.when_settled()
        self.reconciler.stop()
        self.assertEqual(cancelled, [True])
        self.failureResultOf(waiting, ZookeeperError)
        self.kazoo.suspend()
        self.reconciler.request()
        self.assertEqual(self.count(100), 0)
