"""Watches that miss nothing, nodes that are owned, paths made as needed."""

from __future__ import annotations

from typing import Any

from kazoo import exceptions
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper import NoNodeException, Stat, ZookeeperClient, ZookeeperError
from slacker.zookeeper.recipes import ChildrenWatch, DataWatch, OwnedEphemeral, Slots, create_path
from tests.zookeeper.fakes import install, result_of

CHILDREN = ("get_children", "/a")


class RecipeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = install(self)
        self.client = self.world.client()
        self.kazoo = self.world.clients[0]

    def tearDown(self) -> None:
        self.client.close()
        self.world.pump()
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def run_coroutine(self, coroutine: Any) -> Any:
        return result_of(self, self.world, Deferred.fromCoroutine(coroutine))

    def coroutine_fails(self, coroutine: Any, error: type[Exception]) -> str:
        deferred = Deferred.fromCoroutine(coroutine)
        self.world.pump()
        return str(self.failureResultOf(deferred, error).value)


class ChildrenWatchTests(RecipeCase):
    def setUp(self) -> None:
        super().setUp()
        self.seen: list[list[str] | None] = []
        self.watch = ChildrenWatch(self.client, "/a", self.answered, clock=self.world.clock)
        self.addCleanup(self.watch.stop)

    def tearDown(self) -> None:
        self.watch.stop()
        super().tearDown()

    def answered(self, answer: tuple[list[str], Stat] | None) -> None:
        self.seen.append(None if answer is None else sorted(answer[0]))

    def settle(self) -> None:
        self.world.advance(0.1)

    def test_every_change_is_seen(self) -> None:
        self.world.put("/a/x")
        self.watch.start()
        self.settle()
        self.world.put("/a/y")
        self.settle()
        self.world.remove("/a/x")
        self.settle()
        self.assertEqual(self.seen, [["x"], ["x", "y"], ["y"]])

    def test_a_node_that_does_not_exist_yet_is_awaited(self) -> None:
        self.watch.start()
        self.settle()
        self.assertEqual(self.seen, [None])
        self.world.put("/a/x")
        self.settle()
        self.assertEqual(self.seen, [None, ["x"]])

    def test_a_node_that_goes_and_comes_back_is_followed_on(self) -> None:
        self.world.put("/a/x")
        self.watch.start()
        self.settle()
        self.world.remove("/a")
        self.settle()
        self.world.put("/a/y")
        self.settle()
        self.assertEqual(self.seen, [["x"], None, ["y"]])

    def test_a_node_created_between_two_reads_is_read(self) -> None:
        self.watch.start()
        while CHILDREN not in self.world.requests:
            self.kazoo.step()
        self.world.put("/a/x")
        self.settle()
        self.assertEqual(self.seen, [["x"]])

    def test_changes_during_an_outage_are_read_after_it(self) -> None:
        self.world.put("/a/x")
        self.watch.start()
        self.settle()
        self.world.reachable = False
        self.kazoo.suspend()
        self.settle()
        self.world.put("/a/y")
        self.world.reachable = True
        self.settle()
        self.assertEqual(self.seen, [["x"], ["x", "y"]])

    def test_a_connection_that_breaks_while_it_reads_is_no_loss(self) -> None:
        self.world.put("/a/x")
        self.watch.start()
        self.kazoo.suspend()
        self.settle()
        self.assertEqual(self.seen, [["x"]])
        self.kazoo.expire()
        self.world.put("/a/y")
        self.settle()
        self.assertEqual(self.seen[-1], ["x", "y"])

    def test_it_starts_before_the_client_is_connected(self) -> None:
        client = self.world.client(connect=False)
        watch = ChildrenWatch(client, "/a", self.answered, clock=self.world.clock)
        watch.start()
        self.settle()
        self.assertEqual(self.seen, [])
        client.connect()
        self.settle()
        self.assertEqual(self.seen, [None])
        watch.stop()
        client.close()

    def test_a_thousand_changes_cost_a_few_reads(self) -> None:
        self.world.put("/a")
        self.watch.start()
        self.settle()
        self.world.requests.clear()
        for number in range(1_000):
            self.world.put(f"/a/{number}")
            if number % 10 == 0:
                self.world.pump()
        self.settle()
        self.assertEqual(len(self.seen[-1] or ()), 1_000)
        self.assertLessEqual(len(self.world.requests), 3)

    def test_at_most_one_read_is_in_flight(self) -> None:
        self.world.put("/a")
        self.watch.start()
        self.settle()
        self.world.requests.clear()
        for _ in range(3):
            self.world.put("/a/x")
            self.world.remove("/a/x")
        self.settle()
        self.assertEqual(self.seen[-1], [])
        self.assertLessEqual(self.world.requests.count(CHILDREN), 2)

    def test_a_server_that_lags_behind_is_not_believed(self) -> None:
        self.world.put("/a/x")
        self.world.freeze()
        self.world.put("/a/y")
        stale, self.world.stale = self.world.stale, None
        self.watch.start()
        self.settle()
        self.world.stale = stale
        self.kazoo.suspend()
        self.settle()
        self.assertEqual(self.seen, [["x", "y"], ["x", "y"]])
        self.assertIn(("sync", "/a"), self.world.requests)

    def test_a_change_while_it_waits_for_a_lagging_server_is_read_too(self) -> None:
        self.world.put("/a/x")
        self.world.freeze()
        self.world.put("/a/y")
        stale, self.world.stale = self.world.stale, None
        self.watch.start()
        self.settle()
        self.world.stale = stale
        self.kazoo.suspend()
        self.world.pump_until(lambda: ("sync", "/a") in self.world.requests)
        self.world.put("/a/z")
        self.settle()
        self.assertEqual(self.seen[-1], ["x", "y", "z"])

    def test_an_event_while_it_reads_means_one_more_read(self) -> None:
        self.watch.start()
        self.world.pump_until(lambda: CHILDREN in self.world.requests)
        self.world.put("/a")
        self.world.pump_until(lambda: ("exists", "/a") in self.world.requests)
        self.world.pump_until(lambda: len(self.kazoo.queued) == 1)
        self.world.put("/a", b"changed")
        self.settle()
        self.assertEqual(self.seen, [[], []])
        self.assertEqual(self.world.requests.count(CHILDREN), 3)

    def test_a_connection_that_breaks_before_a_due_read_is_no_loss(self) -> None:
        self.watch.start()
        self.world.pump()
        self.world.put("/a")
        self.world.pump()
        self.world.reachable = False
        self.kazoo.suspend()
        self.world.pump()
        self.settle()
        self.assertEqual(self.seen, [None])
        self.world.reachable = True
        self.settle()
        self.assertEqual(self.seen, [None, []])

    def test_a_read_that_breaks_on_a_line_that_holds_is_tried_again(self) -> None:
        self.world.put("/a")
        self.world.refusing["/a"] = exceptions.ConnectionClosedError
        self.watch.start()
        self.settle()
        self.assertEqual(self.seen, [])
        del self.world.refusing["/a"]
        self.world.advance(2)
        self.assertEqual(self.seen, [[]])

    def test_a_node_that_comes_and_goes_all_the_time_is_looked_at_later(self) -> None:
        self.world.put("/a")
        real = self.kazoo.get_children_async
        self.kazoo.get_children_async = lambda path, *_, **__: real("/nowhere")  # type: ignore[method-assign]
        self.watch.start()
        self.settle()
        self.assertEqual(self.world.requests.count(("exists", "/a")), 5)
        self.kazoo.get_children_async = real  # type: ignore[method-assign]
        self.world.advance(2)
        self.assertEqual(self.seen, [[]])

    def test_an_absence_that_is_old_is_not_believed(self) -> None:
        self.world.freeze()
        self.world.put("/a/x")
        stale, self.world.stale = self.world.stale, None
        self.watch.start()
        self.settle()
        self.world.stale = stale
        self.kazoo.suspend()
        self.settle()
        self.assertEqual(self.seen, [["x"], ["x"]])

    def test_a_presence_that_is_old_is_not_believed(self) -> None:
        self.world.put("/a/x")
        self.watch.start()
        self.settle()
        self.world.freeze()
        self.world.remove("/a")
        stale, self.world.stale = self.world.stale, None
        self.settle()
        self.assertEqual(self.seen, [["x"], None])
        self.world.stale = stale
        self.kazoo.suspend()
        self.settle()
        self.assertEqual(self.seen, [["x"], None, None])

    def test_data_that_was_wiped_is_believed_after_a_sync(self) -> None:
        for _ in range(10):
            self.world.put("/b")
        self.world.put("/a/x")
        self.watch.start()
        self.settle()
        self.kazoo.suspend()
        self.world.reachable = False
        self.world.remove("/a")
        self.world.zxid = 0
        self.world.put("/a/y")
        self.world.reachable = True
        self.settle()
        self.assertEqual(self.seen, [["x"], ["y"]])

    def test_a_refused_read_is_tried_again_with_growing_pauses_and_one_line(self) -> None:
        self.world.put("/a/x")
        self.world.refusing["/a"] = exceptions.NoAuthError
        self.watch.start()
        self.world.advance(20)
        self.assertEqual(self.seen, [])
        self.assertIn(self.world.requests.count(CHILDREN), (4, 5, 6))
        del self.world.refusing["/a"]
        self.world.advance(20)
        self.assertEqual(self.seen, [["x"]])

    def test_a_call_back_that_raises_does_not_end_the_watch(self) -> None:
        def broken(answer: object) -> None:
            seen.append(answer)
            raise ValueError("broken")

        seen: list[object] = []
        watch = ChildrenWatch(self.client, "/a", broken, clock=self.world.clock)
        watch.start()
        self.settle()
        self.world.put("/a")
        self.settle()
        watch.stop()
        self.assertEqual(len(seen), 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)

    def test_after_stop_nothing_comes(self) -> None:
        self.watch.start()
        self.watch.stop()
        self.settle()
        self.world.put("/a")
        self.settle()
        self.assertEqual(self.seen, [])


class SlotsTests(RecipeCase):
    def test_so_many_in_each_interval_and_none_is_lost(self) -> None:
        slots = Slots(self.world.clock, size=2, interval=1.0)
        self.assertEqual([slots.wait() for _ in range(5)], [0, 0, 1.0, 1.0, 2.0])
        self.world.clock.advance(1.5)
        self.assertEqual([slots.wait() for _ in range(2)], [0.5, 1.5])
        self.world.clock.advance(100)
        self.assertEqual([slots.wait() for _ in range(3)], [0, 0, 1.0])

    def test_watches_that_share_them_take_turns_after_a_reconnect_as_well(self) -> None:
        slots = Slots(self.world.clock, size=2, interval=1.0)
        answers: list[object] = []
        watches = [
            DataWatch(self.client, f"/n{number}", answers.append, clock=self.world.clock, slots=slots)
            for number in range(5)
        ]
        for watch in watches:
            watch.start()
        for expected in (2, 4, 5):
            self.world.pump()
            self.assertEqual(len(answers), expected)
            self.world.clock.advance(1.0)
        self.kazoo.suspend()
        for expected in (7, 9, 10):
            self.world.pump()
            self.assertEqual(len(answers), expected)
            self.world.clock.advance(1.0)
        for watch in watches:
            watch.stop()


class DataWatchTests(RecipeCase):
    def test_data_are_followed_from_before_they_exist(self) -> None:
        seen: list[bytes | str | None] = []

        def answered(answer: tuple[bytes | None, Stat] | None) -> None:
            seen.append("absent" if answer is None else answer[0])

        watch = DataWatch(self.client, "/a", answered, clock=self.world.clock)
        watch.start()
        self.world.advance(0.1)
        for data in (None, b"", b"two"):
            self.world.put("/a", data)
            self.world.advance(0.1)
        self.world.remove("/a")
        self.world.advance(0.1)
        watch.stop()
        self.assertEqual(seen, ["absent", None, b"", b"two", "absent"])


class OwnedEphemeralTests(RecipeCase):
    def setUp(self) -> None:
        super().setUp()
        self.disturbances = 0
        self.node = OwnedEphemeral(self.client, "/a/me", b"data", self.disturbed)
        self.world.put("/a")

    def disturbed(self) -> None:
        self.disturbances += 1

    def assertOurs(self, data: bytes = b"data") -> None:
        node = self.world.nodes["/a/me"]
        self.assertEqual((node.data, node.owner), (data, self.client.session_id))

    def test_it_is_created_and_then_left_alone(self) -> None:
        self.run_coroutine(self.node.ensure())
        self.assertOurs()
        self.world.requests.clear()
        self.run_coroutine(self.node.ensure())
        self.assertEqual(self.world.requests, [("get", "/a/me")])
        self.assertEqual(self.disturbances, 0)

    def test_an_old_sessions_node_is_replaced(self) -> None:
        self.world.put("/a/me", b"data", owner=0x42)
        self.run_coroutine(self.node.ensure())
        self.assertOurs()
        self.world.end_session(0x42)
        self.world.pump()
        self.assertOurs()
        self.assertEqual(self.disturbances, 0)

    def test_a_persistent_node_in_its_place_is_replaced(self) -> None:
        self.world.put("/a/me", b"by hand")
        self.run_coroutine(self.node.ensure())
        self.assertOurs()

    def test_other_data_are_corrected_and_new_data_written(self) -> None:
        self.run_coroutine(self.node.ensure())
        self.world.put("/a/me", b"wrong")
        self.world.pump()
        self.assertEqual(self.disturbances, 1)
        self.run_coroutine(self.node.ensure())
        self.assertOurs()
        self.node.data = b"new"
        self.run_coroutine(self.node.ensure())
        self.assertOurs(b"new")
        self.assertEqual(self.disturbances, 1)

    def test_its_deletion_is_noticed(self) -> None:
        self.run_coroutine(self.node.ensure())
        self.world.remove("/a/me")
        self.world.pump()
        self.assertEqual(self.disturbances, 1)
        self.run_coroutine(self.node.ensure())
        self.assertOurs()

    def test_a_lost_session_is_no_disturbance_and_the_next_owns_it_again(self) -> None:
        self.run_coroutine(self.node.ensure())
        self.kazoo.expire()
        self.world.pump()
        self.assertNotIn("/a/me", self.world.paths())
        self.assertEqual(self.disturbances, 0)
        self.run_coroutine(self.node.ensure())
        self.assertOurs()

    def test_without_a_parent_it_says_so(self) -> None:
        self.world.remove("/a")
        self.assertIn("/a/me", self.coroutine_fails(self.node.ensure(), NoNodeException))

    def test_a_node_that_comes_while_it_looks_is_replaced(self) -> None:
        ensured = Deferred.fromCoroutine(self.node.ensure())
        self.world.pump_until(lambda: ("get", "/a/me") in self.world.requests)
        self.world.put("/a/me", b"", owner=0x42)
        self.world.pump()
        self.assertIsNone(self.successResultOf(ensured))
        self.assertOurs()

    def test_a_node_that_goes_while_it_looks_is_made_again(self) -> None:
        ensured = Deferred.fromCoroutine(self.node.ensure())
        self.world.pump_until(lambda: ("create", "/a/me") in self.world.requests)
        self.world.remove("/a/me")
        self.world.pump()
        self.assertIsNone(self.successResultOf(ensured))
        self.assertOurs()

    def test_a_node_that_goes_while_it_is_removed_is_gone(self) -> None:
        self.run_coroutine(self.node.ensure())
        removed = Deferred.fromCoroutine(self.node.remove())
        self.world.pump_until(lambda: ("exists", "/a/me") in self.world.requests)
        self.world.remove("/a/me")
        self.world.pump()
        self.assertIsNone(self.successResultOf(removed))

    def test_it_gives_up_on_a_node_that_others_keep_changing(self) -> None:
        self.world.put("/a/me", b"theirs", owner=0x42)
        real = self.kazoo.delete_async

        def too_late(path: str, version: int) -> Any:
            self.world.put(path, b"theirs again")
            return real(path, version)

        self.kazoo.delete_async = too_late  # type: ignore[method-assign]
        self.assertIn("somebody else", self.coroutine_fails(self.node.ensure(), ZookeeperError))

    def test_removing_takes_only_what_is_ours(self) -> None:
        self.run_coroutine(self.node.ensure())
        self.run_coroutine(self.node.remove())
        self.assertEqual((self.world.paths(), self.disturbances), (["/", "/a"], 0))
        self.run_coroutine(self.node.remove())
        self.world.put("/a/me", b"data", owner=0x42)
        self.run_coroutine(self.node.remove())
        self.assertIn("/a/me", self.world.paths())


class CreatePathTests(RecipeCase):
    def test_what_is_missing_above_is_made_with_empty_data(self) -> None:
        self.assertTrue(self.run_coroutine(create_path(self.client, "/a/b/c", None)))
        self.assertEqual(self.world.paths(), ["/", "/a", "/a/b", "/a/b/c"])
        self.assertEqual([self.world.nodes[p].data for p in ("/a", "/a/b", "/a/b/c")], [b"", b"", None])

    def test_what_exists_is_left_as_it_is(self) -> None:
        self.world.put("/a/b", b"theirs")
        self.assertFalse(self.run_coroutine(create_path(self.client, "/a/b", b"ours")))
        self.assertEqual(self.world.nodes["/a/b"].data, b"theirs")

    def test_a_chroot_is_made_as_well(self) -> None:
        chrooted = ZookeeperClient("127.0.0.1:2181/x/y", reactor=self.world.clock)
        chrooted.connect()
        self.world.pump()
        self.assertTrue(self.run_coroutine(create_path(chrooted, "/a/b")))
        chrooted.close()
        self.assertEqual(self.world.paths(), ["/", "/x", "/x/y", "/x/y/a", "/x/y/a/b"])

    def test_a_path_that_is_deleted_all_the_time_is_given_up(self) -> None:
        self.world.refusing["/a/b"] = exceptions.NoNodeError
        self.assertIn("/a/b", self.coroutine_fails(create_path(self.client, "/a/b"), NoNodeException))
