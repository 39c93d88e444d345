"""Ends in one line: what is wrong with the command line, and what keeps a service from starting."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.interfaces import IListeningPort, IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from slacker.errors import ConfigurationError, SlackerError


class OneLineOptions(UsageOptions):
    """Options whose errors are one line; twistd itself would print its whole help around it."""

    command = ""

    def parseOptions(self, options: list[str] | None = None) -> None:
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted's has no types
        except UsageError as error:
            sys.exit(f"twistd {self.command}: {error}; --help lists the options")

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise UsageError(f"unexpected argument {arguments[0]!r}")


class NotStarted(Exception):
    """Why the service did not start, for twistd alone."""

    # A daemon's parent gets 100 bytes of Python's own line about the exception: the module's name, which that
    # leaves away for built-in ones, would take a third of them.
    __module__ = "builtins"


class StartedService(Service):
    """A service that starts and stops asynchronously; if it cannot start, the process ends with status 1.

    (By itself twistd would go on without it, or print a traceback.)
    """

    log = Logger()
    command = ""
    _begun: Deferred[None] | None = None
    _reason = ""

    async def begin(self) -> None:
        """Start; what this raises is the reason for not starting. Every such service has its own."""
        raise NotImplementedError

    async def end(self) -> None:
        """Stop, however far ``begin`` came. Every such service has its own."""
        raise NotImplementedError

    def end_at_once(self) -> None:
        """Called on a second signal, before this process ends whatever is still running."""

    def report(self, reason: str) -> None:
        """Put into the log why it did not start."""
        self.log.error("twistd {command}: {reason}", command=self.command, reason=reason)

    def startService(self) -> None:
        from twisted.internet import reactor

        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no types
        if not reactor.running:
            reactor.callWhenRunning(_end_well_on_signals, self)
        self._begun = Deferred.fromCoroutine(self.begin())
        self._begun.addErrback(self._failed)
        if self._reason:
            # An exception lets twistd remove its pid file and, as a daemon, tell the process that started it
            # (which would wait for ever after a SystemExit); only the traceback is too much.
            sys.excepthook = partial(_tell_reason, self.command)
            raise NotStarted(self._reason)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's has no types
        if self._begun is not None:
            self._begun.cancel()
        return Deferred.fromCoroutine(self.end())

    def _failed(self, failure: Failure) -> None:
        from twisted.internet import reactor

        if not self.running:  # stopped while it was starting
            return
        if not isinstance(failure.value, (SlackerError, CannotListenError, OSError)):
            self.log.failure("twistd {command} cannot start", failure, command=self.command)
        self._reason = one_line(failure.value)
        self.report(self._reason)
        if reactor.running:
            # twistd ends with status 0 whatever happened; this comes after its own clean-up.
            atexit.register(_exit_with_one, f"twistd {self.command}: {self._reason}")
            reactor.stop()


async def listening(
    listen: Callable[[str], Awaitable[IListeningPort]], endpoint: str, option: str = "--listen"
) -> IListeningPort:
    """What ``listen(endpoint)`` gives.

    :raises ConfigurationError: if that is no endpoint, or nobody can listen there; it names the option.
    """
    try:
        return await listen(endpoint)
    except ConfigurationError as error:
        raise ConfigurationError(f"{option}: {error}") from None
    except (CannotListenError, OSError) as error:
        cause = error.socketError if isinstance(error, CannotListenError) else error
        reason = getattr(cause, "strerror", None) or one_line(cause)
        if endpoint.startswith("ssl:") and getattr(cause, "filename", None):
            reason += f": {cause.filename}"  # of the certificate
        raise ConfigurationError(f"{option} {endpoint!r}: {reason}") from None
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ConfigurationError(
            f"{option}: endpoint {endpoint!r} should be like tcp:2104 or tcp:2104:interface=127.0.0.1 "
            f"({one_line(error)})"
        ) from None


def one_line(error: object) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _end_well_on_signals(service: StartedService) -> None:
    """Being asked to end is no failure: stop as always, with status 0, not twistd's of the signal.

    Being asked again, by whoever does not want to wait, is to end at once.
    """
    from twisted.internet import reactor

    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) > 1:
            # No print, whose buffer the signal may have found in use.
            os.write(2, b"a second signal: ending at once, whatever is still running\n")
            service.end_at_once()
            os._exit(128 + number)
        cast(IReactorFromThreads, reactor).callFromThread(end_process)

    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as the shell sets it for what runs behind it
            signal.signal(number, ask)


def end_process() -> None:
    """Stop the reactor, and with it all services, as twistd does."""
    from twisted.internet import reactor

    if reactor.running:  # and not stopping already
        with suppress(ReactorNotRunning):
            reactor.stop()


def _tell_reason(command: str, kind: type[BaseException], error: BaseException, traceback: object) -> None:
    _tell(f"twistd {command}: {error}")


def _tell(reason: str) -> None:
    # sys.stderr belongs to twistd's log by now.
    print(reason, file=sys.__stderr__, flush=True)


def _exit_with_one(reason: str) -> None:
    _tell(reason)
    sys.stdout.flush()
    os._exit(1)
