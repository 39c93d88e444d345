"""A reactor that starts no processes, but remembers which ones were asked for."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from slacker.tap.records import written


class FakeProcess:
    """A process and its transport: what a test lets it do, and what is done to it."""

    def __init__(self, protocol: ProcessProtocol, command: Sequence[str]) -> None:
        self.protocol = protocol
        self.command = command
        self.told: list[str] = []  # to stop, or the names of signals
        self.over = False
        protocol.makeConnection(self)

    # What is done to it

    def closeStdin(self) -> None:
        self.told.append("stop")

    def signalProcess(self, name: str) -> None:
        if self.over:
            raise ProcessExitedAlready
        self.told.append(name)

    def loseConnection(self) -> None:
        """Of its pipes, after its end."""
        self.protocol.processEnded(self._reason)

    # What it does

    def say(self, text: str, fd: int = 1) -> None:
        self.protocol.childDataReceived(fd, text.encode())

    def come_up(self) -> None:
        event = {"log_format": "up", "log_time": 0.0, "log_level": LogLevel.info, "worker_up": True}
        self.say(written(event))

    def end(self, status: int = 0, by: str | int | None = None, *, holding_pipes: bool = False) -> None:
        """Exit with a status, or by a signal."""
        self.over = True
        if by is not None:
            number = by if isinstance(by, int) else signal.Signals[by]
            self._reason = Failure(ProcessTerminated(signal=number))
        else:
            self._reason = Failure(ProcessTerminated(exitCode=status) if status else ProcessDone(0))
        self.protocol.processExited(self._reason)
        if not holding_pipes:
            self.protocol.processEnded(self._reason)


class FakeReactor(Clock):
    """A clock that starts :class:`FakeProcess` es."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[FakeProcess] = []
        self.refusal: OSError | None = None  # of the next ones

    def spawnProcess(
        self, protocol: ProcessProtocol, executable: str, args: Sequence[str], **options: Any
    ) -> FakeProcess:
        if self.refusal is not None:
            raise self.refusal
        self.processes.append(FakeProcess(protocol, args))
        return self.processes[-1]

    def running(self) -> list[FakeProcess]:
        return [process for process in self.processes if not process.over]
