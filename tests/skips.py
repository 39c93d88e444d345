"""Tests that need what not every machine has."""

from __future__ import annotations

import os
from typing import NoReturn
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase


def leave_out(testcase: SynchronousTestCase, reason: str) -> NoReturn:
    """Skip the test for this reason; with ``SLACKER_REQUIRE_ZOOKEEPER=1``, as in CI, fail it."""
    if os.environ.get("SLACKER_REQUIRE_ZOOKEEPER") == "1":
        raise testcase.failureException(f"SLACKER_REQUIRE_ZOOKEEPER=1, but {reason}")
    raise SkipTest(reason)
