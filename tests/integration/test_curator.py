"""Curator's recipes, which Clojure's slacker clusters use, work against the embedded server."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase, TestCase

from slacker.zookeeper.embedded import EmbeddedZooKeeper
from tests.integration.processes import Child, temporary
from tests.skips import leave_out

SOURCE = Path(__file__).with_name("curator") / "CuratorChecks.java"
JARS = [
    Path("/usr/share/java") / f"{name}.jar"
    for name in (
        "curator-client",
        "curator-framework",
        "curator-recipes",
        "guava",
        "slf4j-api",
        "slf4j-simple",
        "zookeeper",
        "zookeeper-jute",
    )
]


def missing(jars: list[Path]) -> str | None:
    """What keeps the program from running here, as a sentence; None if nothing does."""
    if shutil.which("javac") and shutil.which("java") and all(jar.exists() for jar in jars):
        return None
    return (
        "left out: it needs a Java compiler and Curator"
        " (on Debian and Ubuntu: apt install default-jdk-headless libcurator-recipes-java libslf4j-java)"
    )


def require_curator(testcase: SynchronousTestCase, jars: list[Path]) -> None:
    """Skip the test where there is no Curator; with ``SLACKER_REQUIRE_ZOOKEEPER=1`` fail it."""
    reason = missing(jars)
    if reason is not None:
        leave_out(testcase, reason)


class Checks(Child):
    """The running program, which asks for the disturbances it wants to see."""

    def __init__(self) -> None:
        super().__init__()
        self.zookeeper: EmbeddedZooKeeper | None = None
        self._line = ""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Do what complete lines of standard output ask for."""
        super().childDataReceived(childFD, data)
        if childFD != 1 or self.zookeeper is None:
            return
        *lines, self._line = (self._line + data.decode()).split("\n")
        for line in lines:
            if line == "please drop":
                self.zookeeper.drop_connections()
            elif line.startswith("please expire "):
                self.zookeeper.expire_session(int(line.removeprefix("please expire ")))


class CuratorTests(TestCase):
    timeout = 180

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        require_curator(self, JARS)
        self.zookeeper = EmbeddedZooKeeper()
        self.addCleanup(self.zookeeper.stop)
        await self.zookeeper.listen("tcp:0:interface=127.0.0.1")

    async def test_recipes_and_caches_work_through_lost_connections_and_expired_sessions(self) -> None:
        folder = temporary(self)
        class_path = ":".join([folder, *map(str, JARS)])
        compiler = Child.start(
            ["javac", "-proc:none", "-implicit:none", "-nowarn", "-d", folder, "-cp", class_path, str(SOURCE)]
        )
        self.addCleanup(compiler.clean_up)
        self.assertEqual(await compiler.ended(60), 0, compiler.output)

        options = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        checks = Checks.start(["java", *options, "-cp", class_path, "CuratorChecks", self.zookeeper.address])
        assert isinstance(checks, Checks)
        checks.zookeeper = self.zookeeper
        self.addCleanup(checks.clean_up)
        self.assertEqual(await checks.ended(150), 0, checks.output)
        passed = [line for line in checks.output.splitlines() if line.startswith("ok ")]
        self.assertEqual(len(passed), SOURCE.read_text().count('        check("'))


class MissingTests(SynchronousTestCase):
    def test_what_is_missing_is_said_with_how_to_get_it(self) -> None:
        self.assertIn("apt install", str(missing([Path("/no/such.jar")])))

    def test_a_machine_without_curator_skips_and_says_why(self) -> None:
        self.patch(os, "environ", {"PATH": os.environ["PATH"]})
        reason = self.assertRaises(SkipTest, require_curator, self, [Path("/no/such.jar")])
        self.assertIn("apt install", str(reason))

    def test_a_machine_that_must_have_curator_fails_instead(self) -> None:
        self.patch(os, "environ", {"PATH": os.environ["PATH"], "SLACKER_REQUIRE_ZOOKEEPER": "1"})
        self.assertRaises(self.failureException, require_curator, self, [Path("/no/such.jar")])
