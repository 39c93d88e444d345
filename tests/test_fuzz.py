"""A few seconds of fuzzing of each target, and the fuzzer itself.

``FUZZ_SECONDS`` in the environment says how many (5); ``python -m fuzz`` fuzzes longer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fuzz import __main__ as program
from fuzz import engine
from fuzz.engine import Excess, Finding, Target, check, fuzz, shortened
from fuzz.targets import TARGETS

_SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))


class TargetTests(SynchronousTestCase):
    """Values and slacker's own errors come out, in bounded time and memory. (One test each, added below.)"""


def _target_test(target: Target) -> Callable[[TargetTests], None]:
    def test(self: TargetTests) -> None:
        inputs, _new = fuzz(target, _SECONDS, 20260101)
        self.assertGreater(inputs, len(target.seeds()))

    test.__doc__ = f"What {target.name} reads ends well, whatever it is."
    return test


for _target in TARGETS.values():
    setattr(TargetTests, f"test_{_target.name.replace('-', '_')}", _target_test(_target))


class EngineTests(SynchronousTestCase):
    """The fuzzer finds what there is to find."""

    def target(self, run: Callable[[bytes], str]) -> Target:
        return Target("planted", lambda: [b"some bytes to begin with", b""], run)

    def found(self, run: Callable[[bytes], str]) -> Finding:
        finding: Finding = self.assertRaises(Finding, fuzz, self.target(run), 30, 1)
        self.assertIn(f"planted fails on {finding.data.hex() or 'nothing'}: ", str(finding))
        return finding

    def test_an_exception_is_found_and_its_input_shrunk(self) -> None:
        """To the byte that makes it."""

        def run(data: bytes) -> str:
            if b"\xff" in data:
                raise KeyError("planted")
            return "well"

        finding = self.found(run)
        self.assertEqual(finding.data, b"\xff")
        self.assertIsInstance(finding.__cause__, KeyError)
        self.assertRegex(finding.name, "^planted-[0-9a-f]{8}$")

    def test_cutting_has_an_end_and_keeps_the_cause(self) -> None:
        """Each try may take all its time; another failure is another finding."""

        def run(data: bytes) -> str:
            raise KeyError if len(data) > 3 else ValueError

        first: Finding = self.assertRaises(Finding, check, self.target(run), b"12345678")
        shorter = shortened(self.target(run), first)
        self.assertEqual((len(shorter.data), type(shorter.__cause__)), (4, KeyError))
        tries = []

        def never(data: bytes) -> str:
            tries.append(data)
            return "well"

        self.assertEqual(len(shortened(self.target(never), Finding("planted", bytes(1000))).data), 1000)
        self.assertEqual(len(tries), 500)

    def test_what_fails_only_once_is_found(self) -> None:
        """With the input that it failed on."""
        failed: list[bytes] = []

        def run(data: bytes) -> str:
            if b"\xff" in data and not failed:
                failed.append(data)
                raise KeyError("planted")
            return "well"

        self.assertEqual(self.found(run).data, failed[0])

    def test_too_much_memory_is_found(self) -> None:
        """As of a count that is believed."""

        def run(data: bytes) -> str:
            return str(len(bytearray(2**28))) if data[:1] == b"s" else "well"

        finding: Finding = self.assertRaises(Finding, check, self.target(run), b"s")
        self.assertIsInstance(finding.__cause__, Excess)
        self.assertIn("bytes of memory for 1 bytes", str(finding))

    def test_too_much_time_is_found(self) -> None:
        """Also where the code takes every Exception for its own."""
        self.patch(engine, "SECONDS", 0.05)

        def run(_data: bytes) -> str:
            while True:
                try:
                    sum(range(1000))
                except Exception:
                    return "well"

        finding: Finding = self.assertRaises(Finding, check, self.target(run), b"")
        self.assertIn("more than 0.1 seconds for 0 bytes", str(finding))

    def test_what_behaves_in_a_new_way_is_kept(self) -> None:
        """Once, and is part of the corpus from then on; the same seed makes the same inputs."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.patch(engine, "CORPUS", folder)
        target = self.target(lambda data: str(len(data) % 5))
        inputs, new = fuzz(target, 0.5, 1)
        self.assertGreaterEqual(inputs, 2)
        self.assertEqual(sorted({len(data) % 5 for data in new}), [1, 2, 3])
        target.keep(new)
        target.keep(new)
        self.assertEqual(target.corpus()[2:], new)
        _inputs, more = fuzz(target, 0.2, 1)
        self.assertEqual(more, [])


class ProgramTests(SynchronousTestCase):
    """``python -m fuzz``."""

    def setUp(self) -> None:
        """Two targets, of which the first fails; findings are kept apart."""

        def run(data: bytes) -> str:
            if b"\xff" in data:
                raise KeyError("planted")
            return "well"

        bad, good = Target("bad", lambda: [b"ab"], run), Target("good", lambda: [b"ab"], lambda _data: "well")
        self.findings = Path(self.mktemp()) / "findings"
        self.findings.parent.mkdir()
        self.patch(program, "FINDINGS", self.findings)
        self.patch(program, "TARGETS", {"bad": bad, "good": good})

    def status(self, *arguments: str) -> tuple[int, str]:
        """The exit status, and all that was printed."""
        out = StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            return program.main(arguments), out.getvalue()

    def test_a_finding_fails_the_run_and_is_kept(self) -> None:
        """Its bytes are printed, too; the other targets are fuzzed all the same."""
        status, printed = self.status("--seconds", "1", "--seed", "1")
        self.assertEqual(status, 1)
        (kept,) = self.findings.iterdir()
        self.assertEqual(kept.read_bytes(), b"\xff")
        self.assertIn("bad fails on ff: KeyError('planted')", printed)
        self.assertIn(f"bad: FOUND; to repeat it: python -m fuzz --replay {kept} bad", printed)
        self.assertIn("0 of them new in kind (seed 1)", printed)
        status, printed = self.status("--replay", str(kept), "bad")
        self.assertEqual(status, 1)
        self.assertIn("bad fails on ff: KeyError('planted')", printed)

    def test_without_a_finding_it_ends_well(self) -> None:
        """A replay says how it went."""
        self.assertEqual(self.status("--seconds", "0.2", "good")[0], 0)
        self.assertEqual(list(self.findings.parent.iterdir()), [])
        input_ = self.findings.parent / "input"
        input_.write_bytes(b"x")
        self.assertEqual(self.status("--replay", str(input_), "good"), (0, "good: well\n"))

    def test_an_unknown_target_is_refused(self) -> None:
        """By name."""
        out = StringIO()
        with redirect_stderr(out):
            self.assertRaises(SystemExit, program.main, ["odd"])
        self.assertIn("there is no target odd", out.getvalue())
