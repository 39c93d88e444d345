"""Requests on their way to kazoo and back, and the watches that wait for their events.

Reactor thread only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from kazoo.exceptions import ConnectionClosedError, ConnectionLoss
from twisted.internet.defer import Deferred

from slacker.zookeeper.errors import (
    ConnectionLossException,
    TooManyRequestsException,
    ZookeeperError,
    from_code,
    is_connection_exception,
)
from slacker.zookeeper.events import ClientEvent, EventType, State
from slacker.zookeeper.handler import Mailbox

# kazoo writes one byte per request to a socket pair that holds 278 while its thread is busy (connecting,
# say). Every break of the connection may leave as many bytes behind as requests were on their way.
_MAX_IN_FLIGHT = 64
# Requests that wait for one of those places. A thousand servers' data, read at once, fit ten times.
_MAX_WAITING = 10_000
# Watches that wait for their event: what a client of a thousand namespaces and servers needs, several times
# over.
_MAX_WATCHES = 20_000


class Watchpoint:
    """What kazoo calls when something happens at one path; shared by all who wait for that."""

    def __init__(self, watches: Watches, key: tuple[str, str]) -> None:
        self._watches = watches
        self.key = key
        self.waiting: dict[Deferred[ClientEvent], None] = {}

    def __call__(self, event: Any) -> None:
        """:param event: kazoo's ``WatchedEvent``; its type is NONE when the connection was lost."""
        self._watches.forget(self)
        waiting, self.waiting = self.waiting, {}
        kind = EventType.SESSION if event.type == "NONE" else EventType[event.type]
        state = State.CONNECTED if event.state == "CONNECTED" else State.CONNECTING
        for deferred in waiting:
            self._watches.fire(deferred, ClientEvent(kind, state, self.key[1]))


class Watches:
    """All watches of a client: by kind (``data`` or ``child``) and path, so that kazoo holds one for each."""

    def __init__(self) -> None:
        self._points: dict[tuple[str, str], Watchpoint] = {}
        self._pending: dict[Deferred[ClientEvent], Watchpoint] = {}

    def open(self, kind: str, path: str) -> tuple[Watchpoint, Deferred[ClientEvent]]:
        """A Deferred for one event, and what to give to kazoo for it; :meth:`begin` makes the one wait for
        the other.

        :raises TooManyRequestsException: if 20,000 wait already.
        """
        if len(self._pending) >= _MAX_WATCHES:
            raise TooManyRequestsException(
                f"watch {path}: {_MAX_WATCHES:,} watches are waiting on this client already"
            )
        key = (kind, path)
        point = self._points.get(key) or Watchpoint(self, key)
        deferred: Deferred[ClientEvent] = Deferred(self._cancel)
        self._pending[deferred] = point
        return point, deferred

    def begin(self, point: Watchpoint, deferred: Deferred[ClientEvent]) -> None:
        """The read succeeded: ZooKeeper watches from now on."""
        if deferred in self._pending:
            point.waiting[deferred] = None
            self._points.setdefault(point.key, point)

    def fire(self, deferred: Deferred[ClientEvent], event: ClientEvent) -> None:
        """Fire a watch's Deferred, unless it has fired."""
        if self._pending.pop(deferred, None) is not None:
            deferred.callback(event)

    def fire_all(self, state: State) -> None:
        """The client is closed: no event will come any more."""
        pending, self._pending = self._pending, {}
        self._points.clear()
        for deferred, point in pending.items():
            point.waiting.clear()
            deferred.callback(ClientEvent(EventType.SESSION, state, point.key[1]))

    def forget(self, point: Watchpoint) -> None:
        """kazoo has called this one, and will not again."""
        if self._points.get(point.key) is point:
            del self._points[point.key]

    def _cancel(self, deferred: Deferred[ClientEvent]) -> None:
        point = self._pending.get(deferred)
        if point is not None:
            point.waiting.pop(deferred, None)
            self.fire(deferred, ClientEvent(EventType.NOTWATCHING, State.CONNECTED, point.key[1]))


class Request:
    """One operation: what it is called in errors, how kazoo is asked, what becomes of the answer."""

    __slots__ = ("alone", "call", "convert", "deferred", "on_failure", "what")

    def __init__(
        self,
        what: str,
        call: Callable[[Any], Any],
        convert: Callable[[Any], Any],
        *,
        on_failure: Callable[[], None] | None = None,
        alone: bool = False,
    ) -> None:
        self.what = what
        self.call = call
        self.convert = convert
        self.deferred: Deferred[Any] = Deferred()
        self.on_failure = on_failure
        self.alone = alone


class Requests:
    """A queue in front of kazoo: so many requests in flight, the next in order as soon as one is answered.

    :param failed: makes the result of a request that the connection broke.
    """

    def __init__(self, failed: Callable[[ZookeeperError], Deferred[Any]]) -> None:
        self._failed = failed
        self._waiting: deque[Request] = deque()
        self._in_flight: dict[Request, None] = {}
        self._kazoo: Any = None
        self._mailbox: Mailbox | None = None

    def attach(self, kazoo: Any, mailbox: Mailbox) -> None:
        """From now on requests go to this one."""
        self._kazoo, self._mailbox = kazoo, mailbox

    def submit(self, request: Request) -> Deferred[Any]:
        """Send it, or let it wait for its turn."""
        if len(self._waiting) >= _MAX_WAITING:
            error = TooManyRequestsException(f"{request.what}: {_MAX_WAITING:,} requests are waiting already")
            self._fail(request, error)
        else:
            self._waiting.append(request)
            self._pump()
        return request.deferred

    def fail_all(self, in_flight: type[ZookeeperError], waiting: type[ZookeeperError], reason: str) -> None:
        """Fail every request:

        those that may have left with one error, those that certainly did not with the other.
        """
        left, self._in_flight = self._in_flight, {}
        unsent, self._waiting = self._waiting, deque()
        for request in left:
            self._fail(request, in_flight(f"{request.what}: {reason}"))
        for request in unsent:
            self._fail(request, waiting(f"{request.what}: {reason}; it did not leave"))

    def _pump(self) -> None:
        while self._waiting and len(self._in_flight) < _MAX_IN_FLIGHT:
            # An "alone" request (auth) is answered out of order, which kazoo takes for the answer of another.
            if self._in_flight and (self._waiting[0].alone or next(iter(self._in_flight)).alone):
                return
            request = self._waiting.popleft()
            if request.deferred.called:  # cancelled meanwhile
                continue
            assert self._mailbox is not None
            self._in_flight[request] = None
            try:
                with self._mailbox.held():
                    request.call(self._kazoo).rawlink(partial(self._mailbox.put, self._completed, request))
            except Exception as error:  # kazoo on arguments of a wrong type
                del self._in_flight[request]
                self._fail(request, from_code(-8, f"{request.what} ({error})"))

    def _completed(self, request: Request, result: Any) -> None:
        if request not in self._in_flight:
            return  # it failed with the connection already, or kazoo tells it twice
        del self._in_flight[request]
        if result.exception is None:
            request.deferred.callback(request.convert(result.value))
        else:
            self._fail(request, self._translate(request, result.exception))
            if isinstance(result.exception, ConnectionLoss):
                return  # the state change follows, and what waits has not left
        self._pump()

    @staticmethod
    def _translate(request: Request, error: BaseException) -> ZookeeperError:
        if isinstance(error, ConnectionClosedError):  # kazoo could not wake its thread
            return ConnectionLossException(
                f"{request.what}: the connection broke; it may or may not be carried out"
            )
        code = getattr(error, "code", None)
        if isinstance(code, int):
            return from_code(code, request.what)
        return ZookeeperError(f"{request.what}: {str(error) or type(error).__name__}")

    def _fail(self, request: Request, error: ZookeeperError) -> None:
        if is_connection_exception(error):
            self._failed(error).chainDeferred(request.deferred)
        else:
            request.deferred.errback(error)
        if request.on_failure is not None:
            request.on_failure()
