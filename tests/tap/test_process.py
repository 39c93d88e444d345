"""A worker's process as its supervisor sees it: what it says, and its end."""

from __future__ import annotations

from twisted.logger import capturedLogs, eventAsText
from twisted.trial.unittest import SynchronousTestCase

from slacker.tap.process import PIPES, WorkerProcess
from tests.tap.fake_processes import FakeReactor


class WorkerProcessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.addCleanup(lambda: self.assertEqual(self.reactor.getDelayedCalls(), []))
        self.up: list[None] = []
        self.ends: list[str | None] = []
        worker = WorkerProcess("worker 1", self.reactor, lambda: self.up.append(None), self.ends.append)
        self.process = self.reactor.spawnProcess(worker, "python", ["python"])

    def logged(self, *said: tuple[int, str]) -> list[str]:
        """The log's lines, without their times, after the process has said this."""
        with capturedLogs() as events:
            for fd, text in said:
                self.process.say(text, fd)
        return [eventAsText(event, includeTimestamp=False) for event in events]

    def test_it_has_pipes_in_all_places(self) -> None:
        self.assertEqual(PIPES, {0: "w", 1: "r", 2: "r"})

    def test_what_it_prints_is_logged_with_its_name(self) -> None:
        self.process.come_up()
        self.assertEqual(
            self.logged((1, "price: {tea}\nno"), (2, "warning\n"), (1, "thing\n")),
            ["[worker 1] price: {tea}", "[worker 1] warning", "[worker 1] nothing"],
        )

    def test_it_is_up_once(self) -> None:
        self.assertEqual(self.up, [])
        self.process.come_up()
        self.process.come_up()
        self.assertEqual(len(self.up), 1)

    def test_the_last_line_before_it_is_up_waits_for_what_comes(self) -> None:
        self.assertEqual(self.logged((2, "first\nsecond\n")), ["[worker 1] first"])
        with capturedLogs() as events:
            self.process.come_up()
        self.assertIn("second", [event.get("line") for event in events])

    def test_the_last_line_is_the_reason_of_an_end_before_it_was_up(self) -> None:
        self.process.say("twistd slacker: --threads '0'; --help lists the options", fd=2)
        self.process.end(1)
        self.assertEqual(self.ends, ["--threads '0'"])

    def test_an_end_has_its_status_or_signal(self) -> None:
        self.process.come_up()
        self.process.say("not a reason any more\n", fd=2)
        self.process.end(3)
        self.assertEqual(self.ends, ["with status 3"])

    def test_an_end_by_a_signal_has_its_name(self) -> None:
        self.process.end(by="SIGSEGV")
        self.assertEqual(self.ends, ["by signal SIGSEGV"])

    def test_an_end_by_a_real_time_signal_has_its_number(self) -> None:
        self.process.end(by=40)
        self.assertEqual(self.ends, ["by signal 40"])

    def test_an_end_with_status_0_is_no_failure(self) -> None:
        self.process.end(0)
        self.assertEqual(self.ends, [None])

    def test_its_end_is_noticed_even_if_a_process_of_its_own_holds_the_pipes(self) -> None:
        self.process.end(by="SIGKILL", holding_pipes=True)
        self.assertEqual(self.ends, [])
        self.reactor.advance(0.5)
        self.assertEqual(self.ends, ["by signal SIGKILL"])

    def test_killing_what_has_ended_does_nothing(self) -> None:
        self.process.end(0)
        worker = self.process.protocol
        assert isinstance(worker, WorkerProcess)
        worker.kill()
        self.assertEqual(self.process.told, [])
