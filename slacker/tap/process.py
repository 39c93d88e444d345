"""The process of one worker as its supervisor sees it: what it says, and how it ended."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger, globalLogPublisher
from twisted.python.failure import Failure

from slacker.tap.records import Lines, read

#: Where its standard input, output and error are: pipes, all of them.
PIPES: dict[int, int | str] = {0: "w", 1: "r", 2: "r"}
# Seconds after the end of a process in which its pipes are read. Processes of its own may hold them for ever.
_LAST_WORDS = 0.5


class WorkerProcess(ProcessProtocol):
    """Puts what a worker says into the log, with its name, and tells when it is up and when it has ended.

    The end of its standard input is what tells a worker to stop: by :meth:`stop`, or because the supervisor
    is no more.

    :param on_up: called when it serves.
    :param on_end: called once, with None if it ended well, or else with how it ended.
    """

    log = Logger()
    transport: Any

    def __init__(
        self,
        name: str,
        clock: IReactorTime,
        on_up: Callable[[], object],
        on_end: Callable[[str | None], object],
    ) -> None:
        self._name = name
        self._clock = clock
        self._on_up = on_up
        self._on_end = on_end
        self._lines = {1: Lines(), 2: Lines()}
        self._last_words = ""  # of standard error, which are the reason if it does not come up
        self._up = False
        self._closing: IDelayedCall | None = None

    def stop(self) -> None:
        """Let it finish its calls and end."""
        self.transport.closeStdin()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        for line in self._lines[childFD].feed(data):
            self._said(childFD, line)

    def _said(self, fd: int, line: str) -> None:
        event = read(line, self._name)
        if event is not None:
            globalLogPublisher(event)
            if event["worker_up"] and not self._up:
                self._up = True
                self._print_last_words()
                self._on_up()
        elif fd == 2 and not self._up:
            self._print_last_words()
            self._last_words = line
        else:
            self._print(line)

    def _print_last_words(self) -> None:
        if self._last_words:  # which were not the last
            self._print(self._last_words)
            self._last_words = ""

    def _print(self, line: str) -> None:
        self.log.info("{line}", line=line, log_system=self._name)

    def processExited(self, reason: Failure) -> None:
        self._closing = self._clock.callLater(_LAST_WORDS, self.transport.loseConnection)

    def processEnded(self, reason: Failure) -> None:
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        for fd, lines in self._lines.items():
            for line in lines.end():
                self._said(fd, line)
        self._on_end(self._how(reason.value))

    def _how(self, end: Any) -> str | None:
        """How it ended, of a ``ProcessDone`` or ``ProcessTerminated``."""
        if end.signal is not None:
            return f"by signal {_signal_name(end.signal)}"
        if end.exitCode == 0:
            return None
        words = self._last_words.removeprefix("twistd slacker: ").removesuffix("; --help lists the options")
        return words or f"with status {end.exitCode}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return str(number)
