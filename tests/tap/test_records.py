"""A worker's log in lines, and back."""

from __future__ import annotations

import io

from twisted.logger import Logger, LogLevel, eventAsText
from twisted.trial.unittest import SynchronousTestCase

from slacker.tap.records import LONGEST_LINE, LONGEST_TEXT, Lines, read, recorder


class RecordTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = io.StringIO()
        self.log = Logger("shop.stock", observer=recorder(self.file))

    def line(self) -> str:
        self.assertEqual(self.file.getvalue().count("\n"), 1)
        return self.file.getvalue().removesuffix("\n")

    def test_an_event_comes_back_with_its_level_time_and_text_and_the_workers_name(self) -> None:
        self.log.warn("{count} left\nof {what}", count=3, what="tea")
        event = read(self.line(), "worker 2")
        assert event is not None
        self.assertIs(event["log_level"], LogLevel.warn)
        self.assertEqual(
            eventAsText(event, includeTimestamp=False), "[worker 2: shop.stock#warn] 3 left\nof tea"
        )
        self.assertGreater(event["log_time"], 0)
        self.assertFalse(event["worker_up"])

    def test_what_an_exception_says_comes_along(self) -> None:
        try:
            raise LookupError("no tea")
        except LookupError:
            self.log.failure("sorry")
        event = read(self.line(), "worker 1")
        assert event is not None
        self.assertIn("sorry", event["text"])
        self.assertIn("LookupError: no tea", event["text"])

    def test_a_worker_says_that_it_is_up(self) -> None:
        self.log.info("up", worker_up=True)
        event = read(self.line(), "worker 1")
        assert event is not None
        self.assertTrue(event["worker_up"])

    def test_a_long_text_is_cut_and_its_line_is_not(self) -> None:
        self.log.info("{text}", text="\U0001f375" * LONGEST_TEXT * 2)
        self.assertLess(len(self.line()), LONGEST_LINE)
        event = read(self.line(), "worker 1")
        assert event is not None
        self.assertEqual(len(event["text"]), LONGEST_TEXT)

    def test_what_is_printed_is_no_event(self) -> None:
        for line in ("hello", '{"level": "info"}', "", "\x1e", "\x1e{}", "\x1e[1]", '\x1e{"level": "loud"}'):
            self.assertIsNone(read(line, "worker 1"))


class LinesTests(SynchronousTestCase):
    def test_lines_are_put_together_however_they_arrive(self) -> None:
        text = "one\n\ntwö\nrest"
        lines = Lines()
        got = [line for byte in text.encode() for line in lines.feed(bytes([byte]))]
        self.assertEqual(got, ["one", "", "twö"])
        self.assertEqual(lines.end(), ["rest"])
        self.assertEqual(lines.end(), [])

    def test_a_line_without_end_is_cut(self) -> None:
        lines = Lines()
        self.assertEqual(lines.feed(b"x" * LONGEST_LINE), [])
        self.assertEqual(lines.feed(b"y"), ["x" * LONGEST_LINE + "y"])
        self.assertEqual(lines.feed(b"z\n"), ["z"])
