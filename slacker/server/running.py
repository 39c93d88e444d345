"""Calls that did not end in the reactor turn in which they came."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextvars import Context
from types import CoroutineType
from typing import Any, NoReturn, Protocol, TypeVar

from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from slacker.errors import Canceled
from slacker.interceptors.context import incoming
from slacker.server.context import CurrentCall
from slacker.server.peer import PeerInfo
from slacker.server.pipeline import EXCEPTION, Outcome
from slacker.server.workers import Workers
from slacker.wire import Request, ResultCode

T = TypeVar("T")

#: What a function may return instead of a result, on the reactor.
LATER = (Deferred, CoroutineType)

#: What is none of these, without asking further: Deferred is an abstract class, which takes long to say no.
NOW = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict})

CANCELED: Outcome = (int(ResultCode.CANCELED), b"")

#: An exception of which nothing can be told.
UNTOLD: Outcome = (EXCEPTION, b"")


class Caller(Protocol):
    """Who wants a call's outcome: a connection, or an HTTP request."""

    peer: PeerInfo
    calls: dict[object, RunningCall]

    def call_finished(self, call: RunningCall, *, in_batch: bool = False) -> None:
        """The call, which did not end in the turn it came in, has an outcome; ``in_batch``: flushed soon."""


@define(eq=False, kw_only=True)
class RunningCall:
    """A call that did not end in the reactor turn in which it came.

    :ivar key: where it stands in its caller's table.
    :ivar view: what the function knows of it.
    :ivar answered: whether the caller has heard of its end; what comes later is dropped.
    """

    caller: Caller
    request: Request
    key: object
    view: CurrentCall
    outcome: Outcome = CANCELED
    answered: bool = False

    @abstractmethod
    def cancel(self) -> None:
        """End it as soon as that is possible."""


@define(eq=False, kw_only=True)
class AwaitedCall(RunningCall):
    """One whose outcome is a Deferred."""

    log = Logger()
    deferred: Deferred[Outcome]

    def wait(self) -> None:
        """Tell the caller when the Deferred has fired."""
        self.deferred.addBoth(self._ended)

    def cancel(self) -> None:
        self.view.interrupted = True
        self.deferred.cancel()

    def _ended(self, outcome: Outcome | Failure) -> None:
        if isinstance(outcome, Failure):  # whatever it is, the caller has to hear of the end
            self.log.failure("{function!r} ended without an outcome", outcome, function=self.request.function)
            self.outcome = UNTOLD
        else:
            self.outcome = outcome
        self.caller.call_finished(self)


@define(eq=False, kw_only=True)
class PoolCall(RunningCall):
    """One that runs in a worker thread, decoding and encoding too: a large value takes its time.

    :ivar work: makes the outcome; it raises nothing.
    """

    pool: Workers
    work: Callable[[], Outcome]
    queued_at: float = 0.0

    def cancel(self) -> None:
        self.view.interrupted = True
        if self.pool.remove(self):
            self.caller.call_finished(self)

    def run(self) -> None:
        """In the thread."""
        self.outcome = run_for(self.view, self.work)

    @property
    def weight(self) -> int:
        return len(self.outcome[1])

    def finish(self) -> None:
        """On the reactor, afterwards."""
        self.caller.call_finished(self, in_batch=True)


@define(eq=False)
class PoolJob:
    """Only a function, in a worker thread: the interceptors of its call run on the reactor."""

    call: Callable[[], Any]
    view: CurrentCall
    seconds: Callable[[], float]
    done: Deferred[Any]
    result: Any = None
    dropped: bool = False
    queued_at: float = 0.0
    weight: int = 0  # nobody knows before the result is encoded, on the reactor

    def run(self) -> None:
        """In the thread."""
        deadline = self.view.deadline
        if deadline is not None and self.seconds() >= deadline:
            self.result = Failure(
                Canceled(f"{self.view.function} was past its deadline when a worker took it up")
            )
            return
        try:
            self.result = run_for(self.view, self.call)
            if type(self.result) not in NOW and isinstance(self.result, LATER):
                refuse_later(self.result)
        except BaseException as error:  # whatever a function raises, SystemExit too, belongs to its caller
            self.result = Failure(Raised(error))

    def finish(self) -> None:
        """On the reactor, afterwards."""
        if not self.dropped:
            self.done.callback(self.result)  # or errback, where it is a Failure


def run_for(view: CurrentCall, work: Callable[[], T]) -> T:
    """Do a call's work, in a worker thread and in a context of its own.

    What it sets there is not for the next call, and an idle thread keeps nothing of it alive.
    """
    context = Context()
    context.run(incoming.set, view)
    return context.run(work)


class Raised(Exception):
    """What a function raised, told apart from what an interceptor raised."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def refuse_later(result: Any, *_: object) -> NoReturn:
    """In a worker thread nobody waits for a Deferred or a coroutine."""
    if isinstance(result, CoroutineType):
        result.close()
    raise TypeError(
        f"a function in a worker thread returned a {type(result).__name__}: "
        "mark it @nonblocking, so that it runs on the reactor"
    )


def key_of(caller: Caller, request: Request) -> object:
    """The transaction id, or where a peer uses one twice at a time, something else that is unique."""
    return object() if request.tid in caller.calls else request.tid
