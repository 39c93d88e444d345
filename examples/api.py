"""The functions of upstream's example namespace, ``slacker.example.api``.

``twistd slacker --expose slacker.example.api=examples.api`` serves this module under upstream's name.
"""

from __future__ import annotations

import random
import time
from threading import Lock
from typing import Any

from twisted.internet.task import deferLater

_lock = Lock()
_total = 0


def timestamp() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def echo(x: Any) -> Any:
    """Return the argument."""
    return x


def rand_ints(n: int) -> list[int]:
    """Return n random integers. (Clients call it rand-ints, or rand_ints.)"""
    return [random.randrange(-(2**31), 2**31) for _ in range(n)]


def get_m() -> int:
    """Return what inc_m has added up in this process."""
    return _total


def inc_m(amount: int) -> int:
    """Add to the total. Plain functions run in threads, so what they share needs a lock."""
    global _total  # noqa: PLW0603  # the example is about state
    with _lock:
        _total += amount
        return _total


def make_error() -> None:
    """Raise, always."""
    raise RuntimeError("Expected exception.")


def random_exception(poss: float) -> int:
    """Raise with the given probability, else return the timestamp."""
    if random.random() < poss:
        raise RuntimeError("Unlucky.")
    return timestamp()


def return_nil() -> None:
    """Return nothing, which is nil in Clojure."""


def return_zero() -> int:
    """Return 0."""
    return 0


def long_running() -> str:
    """Block a worker thread for three seconds; other calls go on meanwhile."""
    time.sleep(3)
    return "done"


async def async_result() -> str:
    """Return later, without a thread: an async function runs on the reactor."""
    from twisted.internet import reactor

    await deferLater(reactor, 0.1)
    return "later"


async def async_exception() -> None:
    """Raise later."""
    await async_result()
    raise RuntimeError("Expected exception.")


def _slacker_function_not_found(name: str, arguments: list[Any]) -> list[Any]:
    """Answer calls of functions that this module does not have."""
    return ["Function not found: ", name, arguments]


#: A dictionary is exposed as it is: ``--expose examples.api:more`` adds the namespace slacker.example.api2.
more = {"slacker.example.api2": {"echo2": echo}}
