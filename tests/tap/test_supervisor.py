"""The supervisor of workers: when they are started, replaced and stopped."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import SlackerError
from slacker.tap.supervisor import (
    FIRST_PAUSE,
    KILL_MARGIN,
    LONGEST_PAUSE,
    WELL_AFTER,
    Backoff,
    Slot,
    Supervisor,
)
from tests.tap.fake_processes import FakeReactor


class BackoffTests(SynchronousTestCase):
    def test_the_pause_doubles_up_to_a_bound(self) -> None:
        backoff = Backoff()
        pauses = [backoff.next(up_for=1.0) for _ in range(9)]
        self.assertEqual(pauses, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0])
        self.assertEqual((pauses[0], pauses[-1]), (FIRST_PAUSE, LONGEST_PAUSE))

    def test_after_one_that_was_up_for_a_while_it_begins_anew(self) -> None:
        backoff = Backoff()
        for _ in range(5):
            backoff.next(up_for=WELL_AFTER - 1)
        self.assertEqual([backoff.next(up_for=WELL_AFTER), backoff.next(0.0)], [0.5, 1.0])


class SlotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))
        self.retired: list[Slot] = []
        self.slot = Slot(
            2,
            ["python", "worker"],
            "/",
            patience=45.0,
            on_retired=self.retired.append,
            reactor=self.reactor,
        )

    def test_it_has_started_when_its_process_is_up(self) -> None:
        started = self.slot.start()
        (process,) = self.reactor.processes
        self.assertEqual(process.command, ["python", "worker"])
        self.assertNoResult(started)
        process.come_up()
        self.assertIsNone(self.successResultOf(started))

    def test_one_that_never_came_up_is_the_last_and_its_last_words_are_the_reason(self) -> None:
        started = self.slot.start()
        (process,) = self.reactor.processes
        process.say("some warning\n", fd=2)
        process.say("twistd slacker: --listen 'tcp:1': Permission denied\n", fd=2)
        process.end(1)
        error = self.failureResultOf(started, SlackerError)
        self.assertEqual(error.getErrorMessage(), "worker 2: --listen 'tcp:1': Permission denied")
        self.reactor.advance(1000)
        self.assertEqual(len(self.reactor.processes), 1)

    def test_one_that_was_killed_or_said_nothing_before_it_was_up_has_a_reason_too(self) -> None:
        for status, by, reason in [(3, None, "with status 3"), (0, "SIGKILL", "by signal SIGKILL")]:
            started = self.slot.start()
            self.reactor.processes[-1].end(status, by)
            self.assertIn(reason, self.failureResultOf(started, SlackerError).getErrorMessage())
        started = self.slot.start()
        self.reactor.processes[-1].end(0)
        self.assertIn("before it served", self.failureResultOf(started, SlackerError).getErrorMessage())

    def test_what_cannot_be_started_has_the_systems_reason(self) -> None:
        self.reactor.refusal = OSError("too many processes")
        error = self.failureResultOf(self.slot.start(), SlackerError)
        self.assertIn("worker 2: before it began: too many processes", error.getErrorMessage())

    def test_one_that_dies_is_replaced_after_a_pause_with_one_line_in_the_log(self) -> None:
        self.slot.start()
        self.reactor.processes[-1].come_up()
        with capturedLogs() as events:
            self.reactor.processes[-1].end(by="SIGKILL")
        (event,) = events
        self.assertEqual(
            event["log_format"].format(**event), "worker 2 ended: by signal SIGKILL; the next in 0.5 seconds"
        )
        self.reactor.advance(0.4)
        self.assertEqual(len(self.reactor.processes), 1)
        self.reactor.advance(0.1)
        self.assertEqual(len(self.reactor.processes), 2)

    def test_the_next_ones_may_fail_again_and_again_ever_more_slowly(self) -> None:
        self.slot.start()
        self.reactor.processes[-1].come_up()
        self.reactor.processes[-1].end(1)
        for pause in (0.5, 1.0, 2.0):
            self.reactor.advance(pause)
            self.reactor.processes[-1].say("twistd slacker: the port is taken\n", fd=2)
            with capturedLogs() as events:
                self.reactor.processes[-1].end(1)
            self.assertEqual([event["how"] for event in events], ["the port is taken"])
        self.reactor.advance(4.0)
        self.reactor.processes[-1].come_up()
        self.reactor.advance(WELL_AFTER)
        self.reactor.processes[-1].end(1)
        self.reactor.advance(FIRST_PAUSE)
        self.assertEqual(len(self.reactor.running()), 1)

    def test_one_that_ends_well_by_itself_was_told_to_and_is_not_replaced(self) -> None:
        self.slot.start()
        self.reactor.processes[-1].come_up()
        self.reactor.processes[-1].end(0)
        self.assertEqual(self.retired, [self.slot])
        self.successResultOf(self.slot.stop())

    def test_stopping_waits_for_the_end(self) -> None:
        self.slot.start()
        (process,) = self.reactor.processes
        process.come_up()
        stopped = self.slot.stop()
        self.assertEqual(process.told, ["stop"])
        self.reactor.advance(44)
        self.assertNoResult(stopped)
        process.end(0)
        self.successResultOf(stopped)
        self.assertEqual((process.told, self.retired), (["stop"], []))

    def test_one_that_does_not_stop_is_killed(self) -> None:
        self.slot.start()
        (process,) = self.reactor.processes
        stopped = self.slot.stop()
        with capturedLogs() as events:
            self.reactor.advance(45)
        self.assertEqual(process.told, ["stop", "KILL"])
        self.assertIn("did not stop", events[0]["log_format"])
        process.end(by="SIGKILL")
        self.successResultOf(stopped)

    def test_stopping_in_a_pause_starts_nothing_more(self) -> None:
        self.slot.start()
        self.reactor.processes[-1].come_up()
        self.reactor.processes[-1].end(1)
        self.successResultOf(self.slot.stop())
        self.reactor.advance(1000)
        self.assertEqual(self.reactor.running(), [])


class SupervisorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.supervisor = Supervisor(
            3,
            lambda index, zk: [f"--listen=tcp:{2104 + index}"],
            zookeeper=None,
            drain_timeout=30.0,
            reactor=self.reactor,
        )

    def begin(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.supervisor.begin())

    def test_the_first_is_started_alone_and_then_all_others(self) -> None:
        begun = self.begin()
        self.assertEqual(len(self.reactor.processes), 1)
        self.reactor.processes[0].come_up()
        self.assertEqual(
            [process.command[-1] for process in self.reactor.processes],
            ["--listen=tcp:2104", "--listen=tcp:2105", "--listen=tcp:2106"],
        )
        self.assertNoResult(begun)
        self.reactor.processes[2].come_up()
        self.reactor.processes[1].come_up()
        self.successResultOf(begun)

    def test_what_keeps_all_from_starting_is_said_once(self) -> None:
        begun = self.begin()
        self.reactor.processes[0].say("twistd slacker: no\n", fd=2)
        self.reactor.processes[0].end(1)
        self.assertEqual(self.failureResultOf(begun, SlackerError).getErrorMessage(), "worker 1: no")
        self.assertEqual(len(self.reactor.processes), 1)

    def test_one_of_the_others_that_does_not_come_up_is_enough_to_end(self) -> None:
        begun = self.begin()
        self.reactor.processes[0].come_up()
        self.reactor.processes[1].come_up()
        self.reactor.processes[2].end(1)
        self.assertIn("worker 3", self.failureResultOf(begun, SlackerError).getErrorMessage())

    def test_all_are_told_to_stop_at_once_and_waited_for(self) -> None:
        self.begin()
        for index in range(3):
            self.reactor.processes[index].come_up()
        ended = Deferred.fromCoroutine(self.supervisor.end())
        self.assertEqual([process.told for process in self.reactor.processes], [["stop"]] * 3)
        self.reactor.processes[0].end(0)
        self.reactor.processes[1].end(0)
        self.assertNoResult(ended)
        self.reactor.advance(30.0 + KILL_MARGIN)
        self.assertEqual(self.reactor.processes[2].told, ["stop", "KILL"])
        self.reactor.processes[2].end(by="SIGKILL")
        self.successResultOf(ended)

    def test_a_second_signal_kills_them(self) -> None:
        begun = self.begin()
        self.reactor.processes[0].come_up()
        self.reactor.processes[1].come_up()
        self.reactor.processes[2].come_up()
        self.successResultOf(begun)
        self.reactor.processes[1].end(0)
        self.supervisor.end_at_once()
        self.assertEqual([process.told for process in self.reactor.processes], [["KILL"], [], ["KILL"]])
