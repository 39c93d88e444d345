"""``--workers``: a process that starts the servers, each a process of its own, and keeps them running.

Twisted's ``ProcessMonitor`` goes on starting what has never come up, and does not wait at the end; so the
rules are here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred, FirstError, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.logger import Logger

from slacker.errors import SlackerError
from slacker.tap.process import PIPES, WorkerProcess
from slacker.tap.starting import StartedService, end_process, listening, one_line
from slacker.zookeeper.embedded import EmbeddedZooKeeper

#: The most workers: more than the cores of nearly all machines. Each holds all modules, and a connection of
#: every client.
MOST_WORKERS = 64
#: Seconds from the end of a worker to the next, doubled each time up to the second number: one that always
#: dies shall not keep the machine busy.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
#: Seconds after which a worker counts as well, so that the pauses begin anew.
WELL_AFTER = 60.0
#: Seconds beyond --drain-timeout until a worker that was told to stop is killed: a member leaves ZooKeeper,
#: waits for the last calls and closes in fourteen at most.
KILL_MARGIN = 15.0


class Backoff:
    """How long to wait until a worker that has ended is replaced."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE

    def next(self, up_for: float) -> float:
        """Seconds to wait, after one that was up for so many."""
        pause = FIRST_PAUSE if up_for >= WELL_AFTER else self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        return pause


class Slot:
    """The place of one worker: a process, and after its end the next one.

    :param number: from 1 on, in the log.
    :param command: of its processes.
    :param patience: seconds that one has to stop.
    :param on_retired: called if its process ended well without being stopped from here, as the manager's
        ``shutdown`` has it do. There is no next one then.
    """

    log = Logger()

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        folder: str,
        *,
        patience: float,
        on_retired: Callable[[Slot], object],
        reactor: object,
    ) -> None:
        self._name = f"worker {number}"
        self._command = command
        self._folder = folder
        self._patience = patience
        self._on_retired = on_retired
        self._reactor = cast(IReactorProcess, reactor)
        self._clock = cast(IReactorTime, reactor)
        self._process: WorkerProcess | None = None
        self._up_since: float | None = None
        self._first_up: Deferred[None] | None = None  # until the first is up
        self._backoff = Backoff()
        self._next: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None

    def start(self) -> Deferred[None]:
        """Fires when the first process is up; fails with :class:`SlackerError` if it ends before."""
        first_up: Deferred[None] = Deferred()
        self._first_up = first_up
        self._spawn()
        return first_up

    def stop(self) -> Deferred[None]:
        """Let its process finish; fires when there is none, killed if need be."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._process is None:
            self._stopped = succeed(None)
        else:
            self._stopped = Deferred()
            self._process.stop()
            self._next = self._clock.callLater(self._patience, self._lose_patience)
        return self._stopped

    def kill(self) -> None:
        """End its process at once."""
        if self._process is not None:
            self._process.kill()

    def _spawn(self) -> None:
        self._next = None
        self._up_since = None
        self._process = WorkerProcess(self._name, self._clock, self._is_up, self._ended)
        try:
            self._reactor.spawnProcess(
                self._process, self._command[0], self._command, env=None, path=self._folder, childFDs=PIPES
            )
        except OSError as error:
            self._ended(f"before it began: {one_line(error)}")

    def _is_up(self) -> None:
        self._up_since = self._clock.seconds()
        if self._first_up is not None:
            first_up, self._first_up = self._first_up, None
            first_up.callback(None)

    def _ended(self, how: str | None) -> None:
        self._process = None
        if self._stopped is not None:
            if self._next is not None:
                self._next.cancel()
                self._next = None
            self._stopped.callback(None)
        elif self._first_up is not None:
            first_up, self._first_up = self._first_up, None
            first_up.errback(SlackerError(f"{self._name}: {how or 'ended before it served'}"))
        elif how is None:
            self.log.info("{name} has ended, as it was told", name=self._name)
            self._on_retired(self)
        else:
            up_for = 0.0 if self._up_since is None else self._clock.seconds() - self._up_since
            pause = self._backoff.next(up_for)
            self.log.warn(
                "{name} ended: {how}; the next in {pause:g} seconds", name=self._name, how=how, pause=pause
            )
            self._next = self._clock.callLater(pause, self._spawn)

    def _lose_patience(self) -> None:
        self._next = None
        self.log.warn(
            "{name} did not stop in {patience:g} seconds: killed", name=self._name, patience=self._patience
        )
        self.kill()


class Supervisor(StartedService):
    """Starts the workers, and the embedded ZooKeeper if it was asked for; serves nothing itself.

    The first worker is started alone: what keeps all from starting is said once.

    :param workers: how many.
    :param arguments: those of the command line for worker ``index``, from 0 on, and the address of the
        embedded ZooKeeper.
    :param zookeeper: the embedded ZooKeeper's port.
    :param drain_timeout: seconds that a worker waits for running calls at its end.
    :param twistd_reactor: the name of the reactor that twistd was told to use.
    """

    command = "slacker"

    def __init__(
        self,
        workers: int,
        arguments: Callable[[int, str | None], list[str]],
        *,
        zookeeper: int | None,
        drain_timeout: float,
        twistd_reactor: str | None = None,
        reactor: object | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self._reactor = reactor
        self._workers = workers
        self._arguments = arguments
        self._zookeeper_port = zookeeper
        self._zookeeper: EmbeddedZooKeeper | None = None
        self._patience = drain_timeout + KILL_MARGIN
        self._twistd_reactor = twistd_reactor
        self._folder = os.getcwd()  # in which options name files; twistd may change to another
        self._slots: list[Slot] = []
        self._serving = 0

    async def begin(self) -> None:
        zk = None
        if self._zookeeper_port is not None:
            self._zookeeper = EmbeddedZooKeeper()
            endpoint = f"tcp:{self._zookeeper_port}:interface=127.0.0.1"
            await listening(self._zookeeper.listen, endpoint, "--zk embedded, at")
            zk = self._zookeeper.address
        self._slots = [
            Slot(
                index + 1,
                self._command_of(self._arguments(index, zk)),
                self._folder,
                patience=self._patience,
                on_retired=self._retired,
                reactor=self._reactor,
            )
            for index in range(self._workers)
        ]
        self._serving = len(self._slots)
        first, *others = self._slots
        await first.start()
        try:
            await gatherResults([slot.start() for slot in others], consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()
        self.log.info("{count} workers serve", count=self._workers)

    async def end(self) -> None:
        await gatherResults([slot.stop() for slot in self._slots])
        if self._zookeeper is not None:
            await self._zookeeper.stop()

    def end_at_once(self) -> None:
        for slot in self._slots:
            slot.kill()

    def _command_of(self, arguments: Sequence[str]) -> list[str]:
        """Python, with the modules that are found here, and with what this process alone knows."""
        settings: dict[str, Any] = {
            "reactor_name": self._twistd_reactor,
            "folder": os.getcwd(),
            "patience": self._patience,
        }
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from slacker.tap.worker import main; main(**{settings!r})"
        )
        return [sys.executable, "-c", program, *arguments]

    def _retired(self, slot: Slot) -> None:
        self._serving -= 1
        if not self._serving:
            end_process()
