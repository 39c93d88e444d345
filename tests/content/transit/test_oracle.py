"""Another transit library reads what is written here, and what it writes is read here.

It brings a ``msgpack`` of its own, which would replace the one that is needed here. So it has an environment
to itself, which ``make test`` makes.
"""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import dumps, loads
from slacker.content.values import Map, Tagged
from tests.content.strategies import values
from tests.content.vectors import VALUES, shape
from tests.skips import leave_out

_PYTHON = Path(__file__).parents[3] / ".venv" / "transit" / "bin" / "python"


def _kept(value: Any) -> Any:
    """``value`` as that library can have it: no lists beside vectors, and times to the millisecond, but far
    from now only to the second, because it reckons in floats.
    """
    if isinstance(value, (list, tuple)):
        items = [_kept(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, (dict, Map)):
        entries = {_kept(key): _kept(item) for key, item in value.items()}
        return Map(entries) if isinstance(value, Map) else entries
    if isinstance(value, frozenset):
        return frozenset(map(_kept, value))
    if isinstance(value, Tagged):
        return Tagged(value.tag, _kept(value.value))
    if isinstance(value, datetime):
        near = 1900 < value.year < 2100
        return value.replace(microsecond=value.microsecond // 1000 * 1000 if near else 0)
    return value


class OracleTests(SynchronousTestCase):
    """``transit-python2``."""

    def through(self, form: str, samples: list[Any]) -> list[str]:
        """What the library says to each."""
        if not _PYTHON.exists():
            leave_out(self, "left out: it needs another transit library, which make test installs")
        lines = [f"{form} {dumps(f'transit-{form}', sample).hex()}\n" for sample in samples]
        done = subprocess.run(
            # Isolated: trial's workers have the packages of their own environment in PYTHONPATH.
            [_PYTHON, "-I", Path(__file__).with_name("oracle.py")],
            input="".join(lines),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def agree(self, samples: list[Any]) -> None:
        for form in ("json", "msgpack"):
            answers = self.through(form, samples)
            self.assertEqual(len(answers), len(samples))
            for sample, answer in zip(samples, answers, strict=True):
                said, _, data = answer.partition(" ")
                self.assertEqual(said, "ok", f"{sample!r} in {form}: {data}")
                read = loads(f"transit-{form}", bytes.fromhex(data))
                self.assertEqual(shape(_kept(read)), shape(_kept(sample)), (form, sample))

    def test_values_of_the_vectors(self) -> None:
        """Back from there, they are the same."""
        self.agree([value for value in VALUES.values() if len(dumps("msgpack", value)) < 5000])

    def test_any_values(self) -> None:
        """Also keys that are containers, the cache, and tags."""
        samples: list[Any] = []

        @settings(derandomize=True, deadline=None, database=None, max_examples=500)
        @given(values)
        def collect(value: Any) -> None:
            samples.append(_kept(value))

        collect()
        self.agree(samples)
