"""Small stand-ins for the four packages that kazoo's tests import and this project does not otherwise need.

Of pytest the tests use ``raises`` and ``skip``, of objgraph ``count``; OpenSSL and jks are for the TLS tests,
which are left out, and for kazoo's own starter of Java servers, which
:mod:`tests.integration.kazoo_suite.cluster` replaces.
"""

from __future__ import annotations

import gc
import sys
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from tests.integration.kazoo_suite import cluster


@contextmanager
def raises(*exceptions: type[BaseException]) -> Iterator[None]:
    """Expect an exception."""
    try:
        yield
    except exceptions:
        return
    raise AssertionError(f"{exceptions} expected, and nothing was raised")


def skip(reason: str) -> None:
    """Leave out the test that calls this."""
    raise unittest.SkipTest(reason)


def count(type_name: str) -> int:
    """How many objects of a type are alive."""
    return sum(type(thing).__name__ == type_name for thing in gc.get_objects())


def install() -> None:
    """Put the stand-ins where kazoo's tests import them."""
    pytest = ModuleType("pytest")
    pytest.raises, pytest.skip = raises, skip  # type: ignore[attr-defined]
    objgraph = ModuleType("objgraph")
    objgraph.count = count  # type: ignore[attr-defined]
    sys.modules.update({"pytest": pytest, "objgraph": objgraph, "kazoo.testing.common": cluster})
