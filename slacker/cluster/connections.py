"""One connection for each server in use, opened and closed a few at a time.

So a thousand servers that join, leave, die or come back within seconds neither hold the reactor up nor use up
the process's sockets in connecting state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from slacker.client import Client
from slacker.client.pace import Pace
from slacker.errors import ConfigurationError

_log = Logger()

# Seconds between two looks at whether a server that left the cluster has answered its last call.
_RETIRE_PAUSE = 0.5
# Connections closed in one turn of the reactor at the end.
_CLOSE_AT_ONCE = 50


class Connections:
    """What is wanted is counted here at once; what is there follows.

    :param connect: makes the client of an address; the second argument is for its ``pace``.
    :ivar clients: by address. A server whose turn has not come yet is not among them; one that nobody wants
        any more is, until it has answered its last call.
    """

    def __init__(self, connect: Callable[[str, Pace], Client], clock: IReactorTime) -> None:
        self.clients: dict[str, Client] = {}
        self._connect = connect
        self._clock = clock
        self._changes = Pace(clock)
        self._attempts = Pace(clock)  # also those after a broken connection
        self._wanted: dict[str, int] = {}  # address → by how many
        self._due: dict[str, None] = {}  # addresses to look at, in order
        self._working: Deferred[None] = succeed(None)
        self._retiring: dict[str, IDelayedCall] = {}
        self._closed = False

    def change(self, new: Iterable[str], gone: Iterable[str]) -> None:
        """Somebody wants these servers now, and does not want those any more."""
        for address in new:
            self._wanted[address] = self._wanted.get(address, 0) + 1
            self._due[address] = None
        for address in gone:
            count = self._wanted.pop(address) - 1
            if count:
                self._wanted[address] = count
            self._due[address] = None
        if self._working.called and not self._closed:
            self._working = Deferred.fromCoroutine(self._work())

    def close(self) -> Deferred[None]:
        """Close all of them; fires when that is done."""
        self._closed = True
        self._due.clear()
        for timer in self._retiring.values():
            timer.cancel()
        self._working.addErrback(lambda _: None).cancel()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        clients = [*self.clients.values()]
        closing: list[Deferred[None]] = []
        for start in range(0, len(clients), _CLOSE_AT_ONCE):
            if start:
                await deferLater(self._clock, 0)
            closing += [client.close() for client in clients[start : start + _CLOSE_AT_ONCE]]
        await DeferredList(closing)

    async def _work(self) -> None:
        """Put right what is due, each in its turn."""
        while self._due:
            await self._changes.turn()
            address = next(iter(self._due))
            del self._due[address]
            try:
                self._put_right(address)
            except (
                ConfigurationError
            ) as error:  # for one, no certificate can name every host that there may be
                _log.warn("ignoring server {address}: {error}", address=address, error=error)

    def _put_right(self, address: str) -> None:
        client = self.clients.get(address)
        if address in self._wanted:
            if client is None:
                client = self.clients[address] = self._connect(address, self._attempts)
                client.connect()
        elif client is not None and address not in self._retiring:
            if client.in_flight:
                self._retiring[address] = self._clock.callLater(_RETIRE_PAUSE, self._look_again, address)
            else:
                del self.clients[address]
                client.close()

    def _look_again(self, address: str) -> None:
        del self._retiring[address]
        self._put_right(address)
