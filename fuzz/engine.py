"""Runs a target on changed inputs, watches time and memory, and keeps what behaved in a new way."""

from __future__ import annotations

import signal
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis.errors import HypothesisException

from fuzz.mutations import mutated

#: CPU seconds and bytes of memory that any input may take, and so many more for each of its bytes.
SECONDS, SECONDS_PER_BYTE = 2.0, 2e-5
MEMORY, MEMORY_PER_BYTE = 64 * 2**20, 4096

#: Inputs of a batch; after each, those that behaved in a new way are sources of the next.
BATCH = 400

#: Longer inputs are not kept: short ones say the same and are quicker.
LONGEST_KEPT = 2000

CORPUS = Path(__file__).parent / "corpus"


class Excess(BaseException):
    """Too much time or memory. (No Exception, lest the code under test takes it for one of its own.)"""


@attrs.frozen
class Target:
    """Something that reads bytes.

    :ivar name: on the command line, and of the file of its corpus.
    :ivar seeds: real inputs to begin with.
    :ivar run: reads one input; what it returns says how that went, the same for all that went alike. An
        exception is a finding.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    run: Callable[[bytes], str]

    @property
    def stored(self) -> Path:
        return CORPUS / f"{self.name}.txt"

    def corpus(self) -> list[bytes]:
        """The seeds, and the stored inputs: one a line, in hexadecimal."""
        lines = self.stored.read_text("ascii").split() if self.stored.exists() else []
        return [*self.seeds(), *map(bytes.fromhex, lines)]

    def keep(self, inputs: list[bytes]) -> None:
        """Adds to the stored inputs, without any twice."""
        lines = self.stored.read_text("ascii").split() if self.stored.exists() else []
        known = set(lines)
        lines += [data.hex() for data in inputs if data.hex() not in known]
        self.stored.write_text("".join(f"{line}\n" for line in lines), "ascii")


@attrs.define
class Finding(Exception):
    """An input that a target could not bear; the exception is the cause."""

    target: str
    data: bytes

    def __str__(self) -> str:
        return f"{self.target} fails on {self.data.hex() or 'nothing'}: {self.__cause__!r}"

    @property
    def name(self) -> str:
        """Of the file that keeps it."""
        return f"{self.target}-{sha256(self.data).hexdigest()[:8]}"


@contextmanager
def limited(size: int) -> Iterator[None]:
    """The body may take as much time and memory as an input of so many bytes is worth.

    :raises Excess: it took more.
    """
    seconds = SECONDS + SECONDS_PER_BYTE * size

    def too_long(_signal: int, _frame: FrameType | None) -> None:
        raise Excess(f"more than {seconds:.1f} seconds for {size} bytes")

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    tracemalloc.start()
    try:
        yield
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    if peak > MEMORY + MEMORY_PER_BYTE * size:
        raise Excess(f"{peak} bytes of memory for {size} bytes")


def check(target: Target, data: bytes) -> str:
    """Runs the target on one input.

    :raises Finding: it failed.
    """
    try:
        with limited(len(data)):
            return target.run(data)
    except (Exception, Excess) as error:
        raise Finding(target.name, data) from error


def fuzz(target: Target, seconds: float, first_seed: int) -> tuple[int, list[bytes]]:
    """Runs the target for so many seconds; how many inputs that were, and those that behaved in a new way.

    :raises Finding: it failed; its input is short.
    """
    corpus = target.corpus()
    seen = {check(target, data) for data in corpus}
    inputs = len(corpus)
    new: list[bytes] = []
    found: Finding | None = None
    ends = time.monotonic() + seconds

    def one(data: bytes) -> None:
        nonlocal inputs, found
        inputs += 1
        try:
            went = check(target, data)
        except Finding as finding:
            found = finding
            raise
        if went not in seen:
            seen.add(went)
            if len(data) <= LONGEST_KEPT:
                new.append(data)

    batch = 0
    while time.monotonic() < ends:
        try:
            _run(one, [*corpus, *new], first_seed + batch)
        except (Finding, HypothesisException):  # Hypothesis's own, if it did not come again
            if found is None:
                raise
            shorter = shortened(target, found)
            raise shorter from shorter.__cause__
        batch += 1
    return inputs, new


def shortened(target: Target, finding: Finding) -> Finding:
    """The same finding with as much cut off its input as may be; Hypothesis undoes changes alone."""
    tries = 500  # each may take all its time
    size = len(finding.data)
    while size:
        for start in range(0, len(finding.data), size):
            tries -= 1
            shorter = finding.data[:start] + finding.data[start + size :]
            try:
                check(target, shorter)
            except Finding as found:
                if type(found.__cause__) is type(finding.__cause__):
                    finding = found
                    break
            if not tries:
                return finding
        else:
            size //= 2
    return finding


def _run(one: Callable[[bytes], None], corpus: list[bytes], number: int) -> None:
    """A batch of inputs made from the corpus, the same for the same number."""
    quiet = settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    test: Any = seed(number)(quiet(given(mutated(corpus))(one)))
    test()
