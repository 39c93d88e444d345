"""Child processes for tests: started through the reactor, watched by their output, ended by their own id."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from slacker import Client

ROOT = Path(__file__).resolve().parents[2]
#: The command of this interpreter's environment.
TWISTD = str(Path(sys.executable).with_name("twistd"))
#: Seconds in which a condition has to come true before the test fails; a loaded machine is slow.
PATIENCE = 30.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


def deferred(function: Callable[_P, Coroutine[Deferred[Any], Any, _T]]) -> Callable[_P, Deferred[_T]]:
    """Let an ``async def`` run at once and return a Deferred, which serves code without ``await``, too."""

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> Deferred[_T]:
        return Deferred.fromCoroutine(function(*args, **kwargs))

    return run


@deferred
async def pause(seconds: float) -> None:
    """Wait between two looks at a condition of another process."""
    from twisted.internet import reactor

    await deferLater(reactor, seconds)


@deferred
async def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until ``condition()`` (or what it awaits) is true; else fail, saying ``what`` did not happen."""
    from twisted.internet import reactor

    deadline = reactor.seconds() + patience
    while True:
        result = condition()
        if isinstance(result, Awaitable):
            result = await result
        if result:
            return
        if reactor.seconds() > deadline:
            raise AssertionError(f"{what}: not within {patience:g} seconds")
        await pause(0.05)


@deferred
async def connected(client: Client) -> Client:
    """The client, once it is connected.

    A server that has just started, on a loaded machine, may be too slow to greet: a call made at once would
    fail with NotSent then, and not wait for the next attempt.
    """
    client.connect()
    await until(lambda: client.connected, f"a connection to {client.address}")
    return client


def temporary(test: SynchronousTestCase) -> str:
    """The path of a temporary folder that child processes find, too, wherever they run."""
    folder: str = test.mktemp()
    return os.path.abspath(folder)


def reserve_ports(count: int) -> tuple[int, Callable[[], None]]:
    """The first of so many consecutive TCP ports that are free, and what releases them again.

    Until then no other test is given them, nor a connection: they lie below those that the system gives to
    connections by itself.
    """
    for first in random.sample(range(20_000, 32_000, count), 100):
        with ExitStack() as probes, ExitStack() as reserved:
            try:
                for port in range(first, first + count):
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
                    # The port of this number for datagrams, which nobody uses, is what is kept.
                    held = reserved.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                    held.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first, reserved.pop_all().close
    raise AssertionError(f"no {count} consecutive ports are free")


def free_ports(test: SynchronousTestCase, count: int) -> int:
    """The first of so many consecutive TCP ports, which are this test's until it ends."""
    first, release = reserve_ports(count)
    test.addCleanup(release)
    return first


def free_port(test: SynchronousTestCase) -> int:
    """A TCP port of the loopback interface, which is this test's until it ends."""
    return free_ports(test, 1)


class Child(ProcessProtocol):
    """One child process with all it has printed.

    :ivar output: standard output and standard error so far, in the order of arrival.
    :ivar errors: standard error alone.
    :ivar status: the exit status once it has ended (128 + n after signal n), else None.
    """

    def __init__(self) -> None:
        self.output = ""
        self.errors = ""
        self.status: int | None = None
        self._ended: list[Deferred[int]] = []

    @classmethod
    def start(
        cls,
        arguments: Sequence[str],
        *,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
        output_to: int | None = None,
    ) -> Child:
        """Start ``arguments[0]``; with ``output_to``, an open file descriptor, nothing is read here.

        A child that shall outlive a test class needs ``output_to``: trial takes all pipes from the reactor
        after each.
        """
        from twisted.internet import reactor

        self = cls()
        fds: dict[int, int | str] = {0: "w", 1: "r", 2: "r"}
        devnull = os.open(os.devnull, os.O_RDONLY)
        try:
            fds[0] = devnull
            if output_to is not None:
                fds |= {1: output_to, 2: output_to}
            reactor.spawnProcess(
                self,
                arguments[0],
                list(arguments),
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                path=str(cwd),
                childFDs=fds,
            )
        finally:
            os.close(devnull)
        return self

    @property
    def pid(self) -> int:
        assert self.transport is not None and self.transport.pid is not None, "the process has ended"
        return int(self.transport.pid)

    @property
    def running(self) -> bool:
        return self.status is None

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        self.output += text
        if childFD == 2:
            self.errors += text

    def processEnded(self, reason: Failure) -> None:
        error: Any = reason.value  # ProcessDone or ProcessTerminated
        self.status = error.exitCode if error.signal is None else 128 + error.signal
        waiting, self._ended = self._ended, []
        for one in waiting:
            one.callback(self.status)

    def ended(self, patience: float = PATIENCE) -> Deferred[int]:
        """Fires with the exit status when the process has ended."""
        from twisted.internet import reactor

        done: Deferred[int] = Deferred()
        if self.status is not None:
            done.callback(self.status)
        else:
            self._ended.append(done)
            done.addTimeout(patience, reactor)
        return done

    def printed(self, text: str, times: int = 1, patience: float = PATIENCE) -> Deferred[None]:
        """Fires when ``text`` has been printed (so often); fails at once if the process ends without it."""

        def there() -> bool:
            if self.output.count(text) >= times:
                return True
            if self.status is not None:
                raise AssertionError(f"ended with {self.status} without printing {text!r}:\n{self.output}")
            return False

        return until(there, f"printing {text!r}", patience)

    def signal(self, name: str) -> None:
        """Send the signal ``name`` (``TERM``, ``KILL``, ``STOP``…), unless the process has ended."""
        try:
            assert self.transport is not None
            self.transport.signalProcess(getattr(signal, f"SIG{name}"))
        except ProcessExitedAlready:
            pass

    def stop(self, name: str = "TERM", patience: float = PATIENCE) -> Deferred[int]:
        """Send a signal and wait for the end; the exit status."""
        self.signal(name)
        return self.ended(patience)

    @deferred
    async def clean_up(self) -> None:
        """End it whatever its state; for ``addCleanup``."""
        if self.running:
            self.signal("CONT")
            await self.stop("KILL")


def python(*arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Child:
    """Start this interpreter."""
    return Child.start([sys.executable, *arguments], cwd=cwd, env=env)


def twistd(*arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Child:
    """Start ``twistd -n --pidfile= <arguments>``: in the foreground, its log on standard output."""
    return Child.start([TWISTD, "-n", "--pidfile=", *arguments], cwd=cwd, env=env)


def clean_up_all(children: Sequence[Child]) -> Deferred[Any]:
    """End all of them at once."""
    return DeferredList([child.clean_up() for child in children], fireOnOneErrback=True)
