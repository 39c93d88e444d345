"""The process of one worker: a server as twistd runs it, but it logs to its supervisor, and ends with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from threading import Thread
from typing import cast

from twisted.application.reactors import installReactor
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import globalLogBeginner

from slacker.errors import ConfigurationError
from slacker.tap.options import Options
from slacker.tap.records import recorder
from slacker.tap.server import Member
from slacker.tap.starting import end_process


class Worker(Member):
    """A server that says when it is up. (Why it is not, its supervisor puts into the log.)"""

    async def begin(self) -> None:
        await super().begin()
        self.log.info("up, as process {pid}", pid=os.getpid(), worker_up=True)

    def report(self, reason: str) -> None:
        """Leave that to the supervisor."""


def main(*, reactor_name: str | None, folder: str, patience: float) -> None:
    """Run a worker with the command line's options until its standard input ends.

    :param reactor_name: that of twistd's ``--reactor``.
    :param folder: where functions run; the options name files in the one where the process starts.
    :param patience: seconds from being told to stop until it has ended in any case.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback, until the server handles it
    if reactor_name is not None:
        installReactor(reactor_name)
    options = Options()
    options.parseOptions(sys.argv[1:])
    os.chdir(folder)
    from twisted.internet import reactor

    try:
        worker = Worker(options)
    except ConfigurationError as error:
        sys.exit(f"twistd slacker: {error}")
    globalLogBeginner.beginLoggingTo([recorder(sys.stdout)])
    worker.startService()
    reactor.addSystemEventTrigger("before", "shutdown", worker.stopService)
    Thread(target=_end_with_supervisor, args=(reactor, patience), daemon=True).start()
    reactor.run()


def _end_with_supervisor(reactor: object, patience: float) -> None:
    # In a thread, since an orphan shall end even if a function keeps the reactor busy.
    while os.read(0, 1024):
        pass
    cast(IReactorFromThreads, reactor).callFromThread(end_process)
    time.sleep(patience)
    os._exit(1)
