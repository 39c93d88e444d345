"""One connection for each server in use, opened and closed a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from slacker.client import Client

# Servers are connected, or let go, so many at a time, so that a thousand of them that join or leave within
# seconds neither block the reactor nor use up the process's sockets in connecting state: 10 every 20 ms are
# 500 in a second, and a millisecond or two each time.
_AT_ONCE = 10
_PAUSE = 0.02
# Seconds between two looks at whether a server that left the cluster has answered its last call.
_RETIRE_PAUSE = 0.5
# Connections closed in one turn of the reactor at the end.
_CLOSE_AT_ONCE = 50


class Connections:
    """What is wanted is counted here at once; what is there follows.

    :param connect: makes the client of an address.
    :ivar clients: by address. A server whose turn has not come yet is not among them; one that nobody wants
        any more is, until it has answered its last call.
    """

    def __init__(self, connect: Callable[[str], Client], clock: IReactorTime) -> None:
        self.clients: dict[str, Client] = {}
        self._connect = connect
        self._clock = clock
        self._wanted: dict[str, int] = {}  # address → by how many
        self._due: dict[str, None] = {}  # addresses to look at, in order
        self._timer: IDelayedCall | None = None
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
        if self._timer is None and not self._closed:
            self._go_on()

    def close(self) -> Deferred[None]:
        """Close all of them; fires when that is done."""
        self._closed = True
        self._due.clear()
        timers = [*self._retiring.values(), *([] if self._timer is None else [self._timer])]
        for timer in timers:
            timer.cancel()
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        clients = [*self.clients.values()]
        closing: list[Deferred[None]] = []
        for start in range(0, len(clients), _CLOSE_AT_ONCE):
            if start:
                await deferLater(self._clock, 0)
            closing += [client.close() for client in clients[start : start + _CLOSE_AT_ONCE]]
        await DeferredList(closing)

    def _go_on(self) -> None:
        self._timer = None
        for _ in range(min(_AT_ONCE, len(self._due))):
            address = next(iter(self._due))
            del self._due[address]
            self._put_right(address)
        if self._due:
            self._timer = self._clock.callLater(_PAUSE, self._go_on)

    def _put_right(self, address: str) -> None:
        client = self.clients.get(address)
        if address in self._wanted:
            if client is None:
                client = self.clients[address] = self._connect(address)
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
