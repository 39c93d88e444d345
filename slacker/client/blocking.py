"""Calls for code without a reactor: they wait, and return the result or raise the error.

::

    with blocking.Client("127.0.0.1:2104") as client:
        print(client.namespace("slacker.example.api").rand_ints(5))

They can be made from any thread but the reactor's own, also by many threads with one client. Where no reactor
runs, crochet runs one in a thread of its own, which ends with the program; where one runs already, as in the
worker threads of a Twisted server, it is used. The reactor does not survive a fork, so a process that forks
makes its clients after that.

:class:`slacker.cluster.blocking.ClusterClient` is the client of a cluster. Both need crochet:
``pip install txslacker[blocking]``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from contextlib import suppress
from contextvars import copy_context
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads
from twisted.python import threadable

from slacker.client import client as deferred
from slacker.client.aio import C, installed_reactor
from slacker.client.names import seconds
from slacker.client.remote import Namespace, RemoteFunction
from slacker.errors import CallTimeout, ConfigurationError, ConnectionLost, NotSent

try:
    import crochet
except ImportError:
    raise ImportError("slacker.client.blocking needs crochet: pip install 'txslacker[blocking]'") from None

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

#: Seconds that a caller waits longer than the call may take: an answer that is late ends in the client's own
#: error, and a reactor that does nothing for so long does not keep its callers.
GRACE = 1.0

_FORKED = (
    "the reactor runs in the process from which this one was forked, and does not run here: "
    "make clients after the fork, each process its own"
)
_ENDED = "the reactor has stopped, as it does when the program ends"


class ReactorThread:
    """The reactor as other threads see it: what it is asked to do, and the threads that wait for that."""

    def __init__(self, reactor: object) -> None:
        self.reactor = reactor
        self._threads = cast(IReactorFromThreads, reactor)
        self._pid = os.getpid()
        self._lock = threading.Lock()  # of the two below
        self._ended = False
        self._waiting: set[futures.Future[Any]] = set()
        core = cast(IReactorCore, reactor)
        self._threads.callFromThread(core.addSystemEventTrigger, "after", "shutdown", self._end)

    @property
    def gone(self) -> bool:
        """Whether it does nothing any more for this process."""
        return self._ended or os.getpid() != self._pid

    def run(self, what: str, timeout: float, function: Callable[[], Deferred[T]]) -> T:
        """Call ``function`` on the reactor, in the caller's context, and wait for its result.

        :param what: ``namespace/function``, or what else this is, for messages.
        :param timeout: seconds after which the call ends by itself.
        :raises ConfigurationError: on the reactor's own thread, and in a forked process.
        :raises NotSent: if the reactor has not begun with it in time, or has stopped.
        :raises CallTimeout: if the reactor has not come to its end.
        """
        if os.getpid() != self._pid:  # first: a lock may have been held during the fork
            raise ConfigurationError(_FORKED)
        if threadable.isInIOThread():
            raise ConfigurationError(
                f"{what} was called on the reactor's thread, where it would wait for itself: "
                "use slacker.Client and await it, or call from another thread (deferToThread)"
            )
        waiting: futures.Future[T] = futures.Future()
        with self._lock:
            if self._ended:
                raise NotSent(f"{what} was not sent: {_ENDED}", function=what)
            self._waiting.add(waiting)
        running: list[Deferred[T]] = []
        context = copy_context()

        def start() -> None:
            if waiting.set_running_or_notify_cancel():
                running.append(maybeDeferred(context.run, function))
                running[0].addCallbacks(
                    waiting.set_result, lambda failed: waiting.set_exception(failed.value)
                )

        def cancel() -> None:
            for one in running:
                one.cancel()

        self._threads.callFromThread(start)
        try:
            return waiting.result(min(max(0, timeout) + GRACE, threading.TIMEOUT_MAX))
        except futures.TimeoutError:
            if waiting.cancel():
                text = f"{what} was not sent: the reactor's thread has done nothing for {timeout + GRACE} s"
                raise NotSent(text, function=what) from None
            if waiting.done():  # at the last moment; or the call has ended in an error of this class
                return waiting.result()
            text = f"{what}: the reactor's thread has not ended it within {timeout + GRACE} s"
            raise CallTimeout(text, function=what) from None
        finally:
            with self._lock:
                self._waiting.discard(waiting)
            if not (waiting.done() or waiting.cancel()):  # nobody waits any more: also Ctrl-C
                self._threads.callFromThread(cancel)

    def _end(self) -> None:
        """The reactor has stopped: nobody shall wait for it."""
        with self._lock:
            self._ended = True
            waiting = list(self._waiting)
        for one in waiting:
            error = ConnectionLost if one.running() else NotSent
            with suppress(futures.InvalidStateError):  # it has just ended
                one.set_exception(error(f"no answer came before the end: {_ENDED}"))


def reactor_thread() -> ReactorThread:
    """The reactor that runs, or that runs from now on.

    :raises ConfigurationError: if it runs in the process from which this one was forked.
    """
    installed_reactor()  # so that none is taken whose event loop has ended
    from twisted.internet import reactor

    if not reactor.running:
        crochet.setup()
    elif threadable.ioThread not in [thread.ident for thread in threading.enumerate()]:
        raise ConfigurationError(_FORKED)
    thread = _thread_of(reactor)
    if thread.gone and reactor.running:  # one that was told to end and goes on, as under trial
        _thread_of.cache_clear()
        thread = _thread_of(reactor)
    return thread


_thread_of = lru_cache(maxsize=1)(ReactorThread)


class Caller(Generic[C]):
    """A client whose calls return results.

    Names, options, timeouts and errors are those of the client that is wrapped. Callables that it is given
    run on the reactor's thread, and may not call it.

    :param make: makes the client, on the reactor, as soon as it runs.
    :param timeout: seconds that a call may take, unless it says otherwise.
    """

    def __init__(self, make: Callable[..., C], *args: Any, timeout: float, **options: Any) -> None:
        self._timeout = seconds("timeout", timeout)
        self._thread = reactor_thread()
        make = partial(make, *args, timeout=timeout, reactor=self._thread.reactor, **options)
        self._client = self._ask("the making of a client", lambda: succeed(make()))

    def _ask(self, what: str, function: Callable[[], Deferred[T]]) -> T:
        return self._thread.run(what, self._timeout, function)

    def call(self, namespace: str, function: str, args: Sequence[Any] = (), **options: Any) -> Any:
        """Call ``namespace/function``, a name taken verbatim, with positional arguments."""
        timeout = options.get("timeout")
        return self._thread.run(
            f"{namespace}/{function}",
            self._timeout if timeout is None else seconds("timeout", timeout),
            partial(self._client.call, namespace, function, args, **options),
        )

    def namespace(self, name: str) -> Namespace[Any]:
        """The functions of a namespace as attributes and items."""
        return Namespace(self.call, name)

    def function(self, name: str, **options: Any) -> RemoteFunction[Any]:
        """``namespace/function`` as a Python callable; the options are those of :meth:`call`."""
        return RemoteFunction.named(self.call, name, options)

    def functions(self, prefix: str | None = None) -> list[str]:
        """``namespace/function`` of all functions whose name begins so."""
        return self._ask("the question for functions", partial(self._client.functions, prefix))

    def meta(self, name: str) -> dict[Any, Any]:
        """What is known of ``namespace/function``: ``:name``, ``:doc``, ``:arglists``, if anything."""
        return self._ask(f"the question for {name}", partial(self._client.meta, name))

    def close(self) -> None:
        """Close all connections, and fail what is pending."""
        if not self._thread.gone:
            self._ask("the closing of a client", self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Client(Caller[deferred.Client]):
    """:class:`slacker.Client` for code that waits.

    :param address: ``host:port``.
    :param timeout: seconds that a call may take, unless it says otherwise.
    :param options: those of :class:`slacker.Client`.
    :raises ConfigurationError: if one of these is wrong, or in a process that was forked from one with a
        reactor.
    """

    def __init__(self, address: str, *, timeout: float = 10.0, **options: Any) -> None:
        super().__init__(deferred.Client, address, timeout=timeout, **options)

    def clients(self) -> dict[Any, Any]:
        """The server's clients, its version, and since when it runs."""
        return self._ask("the question for clients", self._client.clients)

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        return self._client.address

    @property
    def connected(self) -> bool:
        """Whether a call made now would leave now."""
        return self._client.connected

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer, or for a connection."""
        return self._client.in_flight

    def connect(self) -> None:
        """Connect, if that has not begun; does not wait for it."""
        self._ask("the connecting", lambda: maybeDeferred(self._client.connect))
