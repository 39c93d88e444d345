"""The client for code that waits: threads of the test wait while the test plays the reactor."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

import slacker
from slacker.client import blocking
from slacker.client.blocking import ReactorThread
from slacker.errors import (
    CallTimeout,
    ConfigurationError,
    ConnectionLost,
    FunctionNotFound,
    NotSent,
    RemoteError,
)
from slacker.server import nonblocking
from slacker.testing import MemoryReactor, Network
from tests.client.test_aio import public_names

ADDRESS = "10.0.0.1:2104"
PATIENCE = 30.0  # seconds, for another thread
T = TypeVar("T")
VARIABLE: ContextVar[int] = ContextVar("VARIABLE", default=0)


class PlayedReactor(MemoryReactor):
    """Runs what other threads ask for when it is told to; knows what to do at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.at_end: list[Callable[[], object]] = []

    def addSystemEventTrigger(self, phase: str, event: str, function: Callable[[], object]) -> None:
        assert (phase, event) == ("after", "shutdown")
        self.at_end.append(function)


class ThreadsTestCase(SynchronousTestCase):
    """Threads that wait for a reactor in memory, and a network on it."""

    def setUp(self) -> None:
        self.network = Network()
        self.network.reactor = self.reactor = PlayedReactor()
        self.thread = ReactorThread(self.reactor)
        self.patch(blocking, "reactor_thread", lambda: self.thread)
        self.patch(blocking, "GRACE", PATIENCE)  # the threads' seconds are not those of the reactor
        self.executor = ThreadPoolExecutor(5)
        self.addCleanup(self.executor.shutdown)

    def ended(self, future: Future[T]) -> Future[T]:
        """What a thread does, in the end; the reactor stands still."""
        wait([future], PATIENCE)
        return future

    def asked(self) -> None:
        """Wait until a thread has asked the reactor for something."""
        for _ in range(int(PATIENCE / 0.001)):
            if self.reactor.getDelayedCalls():
                return
            threading.Event().wait(0.001)
        raise AssertionError("no thread has asked the reactor for anything")

    def meanwhile(self, *functions: Callable[[], T], advance: float = 0) -> list[T]:
        """What these return, each in its thread, while the reactor runs."""
        futures = [self.executor.submit(function) for function in functions]
        for _ in range(int(PATIENCE / 0.001)):
            self.network.advance(advance)
            if not wait(futures, 0.001).not_done:
                return [future.result() for future in futures]
        raise AssertionError("the threads have not ended")


class ReactorThreadTests(ThreadsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(blocking, "GRACE", 0.01)
        self.reactor.advance(0)

    def ask(self, function: Callable[[], Deferred[Any]]) -> Future[Any]:
        return self.executor.submit(self.thread.run, "n/f", 0.01, function)

    def test_a_function_runs_on_the_reactor_and_in_the_callers_context(self) -> None:
        def call() -> tuple[int, int]:
            VARIABLE.set(7)
            return self.thread.run("n/f", PATIENCE, lambda: succeed((VARIABLE.get(), threading.get_ident())))

        self.assertEqual(self.meanwhile(call), [(7, threading.get_ident())])
        self.assertEqual(VARIABLE.get(), 0)

    def test_what_it_raises_is_raised_in_the_caller(self) -> None:
        def function() -> Deferred[None]:
            raise ValueError("no")

        with self.assertRaisesRegex(ValueError, "no"):
            self.meanwhile(lambda: self.thread.run("n/f", PATIENCE, function))

    def test_its_own_timeout_error_is_not_taken_for_a_late_reactor(self) -> None:
        def function() -> Deferred[None]:
            raise TimeoutError("its own")

        with self.assertRaisesRegex(TimeoutError, "its own"):
            self.meanwhile(lambda: self.thread.run("n/f", PATIENCE, function))

    def test_a_stuck_reactor_does_not_begin_later_what_nobody_waits_for(self) -> None:
        begun: list[Deferred[None]] = []

        def begin() -> Deferred[None]:
            begun.append(Deferred())
            return begun[0]

        error = self.ended(self.ask(begin)).exception()
        self.assertIsInstance(error, NotSent)
        self.assertIn("n/f was not sent: the reactor's thread has done nothing for 0.02 s", str(error))
        self.reactor.advance(0)
        self.assertEqual(begun, [])

    def test_a_reactor_that_gets_stuck_does_not_keep_its_callers(self) -> None:
        cancelled: list[object] = []
        call: Deferred[None] = Deferred(cancelled.append)
        self.patch(self.reactor, "callFromThread", lambda function: function())
        error = self.ended(self.ask(lambda: call)).exception()
        self.assertIsInstance(error, CallTimeout)
        self.assertIn("n/f: the reactor's thread has not ended it within 0.02 s", str(error))
        self.assertEqual(cancelled, [call])

    def test_on_the_reactors_own_thread_it_refuses_to_wait_for_itself(self) -> None:
        self.patch(threadable, "ioThread", threading.get_ident())
        with self.assertRaises(ConfigurationError) as caught:
            self.thread.run("n/f", 1.0, lambda: succeed(None))
        self.assertIn("n/f was called on the reactor's thread", str(caught.exception))

    def test_in_a_forked_process_it_refuses(self) -> None:
        self.patch(os, "getpid", lambda: -1)
        self.assertTrue(self.thread.gone)
        with self.assertRaises(ConfigurationError) as caught:
            self.thread.run("n/f", 1.0, lambda: succeed(None))
        self.assertIn("make clients after the fork", str(caught.exception))

    def test_when_the_reactor_stops_nobody_waits_for_it(self) -> None:
        self.patch(blocking, "GRACE", PATIENCE)
        begun = self.ask(Deferred)
        self.asked()
        self.reactor.advance(0)
        waiting = self.ask(Deferred)
        self.asked()
        self.reactor.at_end[0]()
        self.assertIsInstance(self.ended(begun).exception(), ConnectionLost)
        self.assertIsInstance(self.ended(waiting).exception(), NotSent)
        self.assertIsInstance(self.ended(self.ask(Deferred)).exception(), NotSent)
        self.assertTrue(self.thread.gone)


class CallTests(ThreadsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.network.serve(
            ADDRESS,
            [{"n": {"echo": lambda x: x, "fails": self.fails}}, nonblocking({"r": {"wait": Deferred}})],
        )

    def fails(self) -> None:
        raise ValueError("no")

    def client(self, **options: Any) -> blocking.Client:
        return blocking.Client(ADDRESS, endpoint=self.network.endpoint(ADDRESS), **options)

    def test_a_call_returns_the_result_however_it_is_made(self) -> None:
        def work() -> list[Any]:
            with self.client() as client:
                api = client.namespace("n")
                return [
                    client.call("n", "echo", ["x"]),
                    api.echo(1),
                    api["echo"](2),
                    client.function("n/echo", timeout=1.0)([3]),
                ]

        self.assertEqual(self.meanwhile(work), [["x", 1, 2, [3]]])

    def test_a_server_is_asked_about_itself(self) -> None:
        def work() -> None:
            client = self.client()
            self.assertEqual((client.address, client.connected, client.in_flight), (ADDRESS, False, 0))
            client.connect()
            self.assertEqual(client.functions("n"), ["n/echo", "n/fails"])
            self.assertEqual((client.connected, client.in_flight), (True, 0))
            self.assertTrue(client.meta("n/echo"))
            self.assertTrue(client.clients())
            client.close()

        self.meanwhile(work)

    def test_errors_are_those_of_every_client(self) -> None:
        def work() -> None:
            client = self.client()
            with self.assertRaises(RemoteError) as caught:
                client.call("n", "fails")
            self.assertEqual(caught.exception.remote_message, "ValueError: no")
            with self.assertRaises(FunctionNotFound):
                client.call("n", "nothing")
            with self.assertRaises(ConfigurationError):
                client.function("no-slash")
            client.close()
            with self.assertRaises(NotSent):
                client.call("n", "echo", [1])
            client.close()

        self.meanwhile(work)

    def test_wrong_options_are_refused_as_by_every_client(self) -> None:
        with self.assertRaises(ConfigurationError):
            self.meanwhile(lambda: self.client(timeout=-2))

    def test_timeouts_are_those_of_every_client(self) -> None:
        """What is none is refused, and a year or a million of them is not too long for a thread to wait."""
        wrong: list[Any] = ["x", float("inf"), float("nan"), 0, -1, True]

        def work() -> None:
            for timeout in wrong:
                with self.assertRaises(ConfigurationError):
                    self.client(timeout=timeout)
                with self.client() as client, self.assertRaises(ConfigurationError):
                    client.call("n", "echo", [1], timeout=timeout)
            with self.client(timeout=1e12) as client:
                self.assertEqual(client.call("n", "echo", [1]), 1)
                self.assertEqual(client.call("n", "echo", [2], timeout=1e13), 2)
                self.assertEqual(client.functions("n/e"), ["n/echo"])

        self.meanwhile(work)

    def test_a_call_ends_at_its_timeout(self) -> None:
        def work() -> None:
            with self.client(timeout=50.0) as client, self.assertRaises(CallTimeout) as caught:
                client.call("r", "wait", timeout=2.0)
            self.assertIn("did not answer r/wait within 2.0 s", str(caught.exception))
            self.assertLess(self.reactor.seconds(), 50)

        self.meanwhile(work, advance=0.01)

    def test_threads_share_a_client(self) -> None:
        (client,) = self.meanwhile(self.client)

        def work() -> list[Any]:
            return [client.call("n", "echo", [number]) for number in range(20)]

        self.assertEqual(self.meanwhile(*[work] * 5), [list(range(20))] * 5)
        self.meanwhile(client.close)

    def test_a_client_is_closed_quietly_when_its_reactor_has_stopped(self) -> None:
        (client,) = self.meanwhile(self.client)
        self.reactor.at_end[0]()
        client.close()


class NamesTests(SynchronousTestCase):
    def test_it_has_the_names_of_the_client_for_deferreds(self) -> None:
        self.assertEqual(public_names(blocking.Client), public_names(slacker.Client))


if TYPE_CHECKING:
    from typing_extensions import assert_type

    def _types(client: blocking.Client) -> None:
        """What mypy has to find."""
        assert_type(client.call("n", "f"), Any)
        assert_type(client.namespace("n").f(1), Any)
        assert_type(client.functions(), list[str])
        assert_type(client.close(), None)
