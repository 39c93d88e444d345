"""The client for asyncio, against a server in memory, in an event loop that the test turns."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import slacker
from slacker.client import aio
from slacker.errors import CallTimeout, ConfigurationError, FunctionNotFound, NotSent, RemoteError
from slacker.server import nonblocking
from slacker.testing import Network

ADDRESS = "10.0.0.1:2104"
MOST_TURNS = 1000  # of an event loop, in one test
T = TypeVar("T")


def public_names(kind: type) -> set[str]:
    """The methods and properties that users see, and ``address``, which an instance may have."""
    return {name for name in dir(kind) if not name.startswith("_")} | {"address"}


class AsyncioTestCase(SynchronousTestCase):
    """Coroutines that run on a network in memory."""

    def setUp(self) -> None:
        self.network = Network()
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)
        self.patch(aio, "running_reactor", lambda: self.network.reactor)

    def run_in_loop(self, coroutine: Coroutine[Any, Any, T], *, advance: float = 0) -> T:
        """Turn loop and network until the coroutine has ended."""
        task = self.loop.create_task(coroutine)
        for _ in range(MOST_TURNS):
            self.loop.run_until_complete(asyncio.sleep(0))
            if task.done():
                return task.result()
            self.network.advance(advance)
        raise AssertionError(f"{coroutine} has not ended")


class CallTests(AsyncioTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cancelled = 0
        self.network.serve(
            ADDRESS,
            [{"n": {"echo": lambda x: x, "fails": self.fails}}, nonblocking({"r": {"wait": self.wait}})],
        )

    def fails(self) -> None:
        raise ValueError("no")

    def wait(self) -> Deferred[None]:
        def count(_: object) -> None:
            self.cancelled += 1

        return Deferred(count)

    def test_a_call_is_a_future_however_it_is_made(self) -> None:
        async def main() -> None:
            async with aio.Client(ADDRESS, endpoint=self.network.endpoint(ADDRESS)) as client:
                future = client.call("n", "echo", ["x"])
                self.assertIsInstance(future, asyncio.Future)
                self.assertEqual(await future, "x")
                api = client.namespace("n")
                self.assertEqual(await asyncio.gather(api.echo(1), api["echo"](2)), [1, 2])
                self.assertEqual(await client.function("n/echo", timeout=1.0)([3]), [3])

        self.run_in_loop(main())

    def test_a_server_is_asked_about_itself(self) -> None:
        async def main() -> None:
            client = aio.Client(ADDRESS, endpoint=self.network.endpoint(ADDRESS))
            self.assertEqual((client.address, client.connected, client.in_flight), (ADDRESS, False, 0))
            client.connect()
            self.assertEqual(await client.functions("n"), ["n/echo", "n/fails"])
            self.assertEqual((client.connected, client.in_flight), (True, 0))
            self.assertTrue(await client.meta("n/echo"))
            self.assertTrue(await client.clients())
            await client.close()

        self.run_in_loop(main())

    def test_errors_are_those_of_every_client(self) -> None:
        async def main() -> None:
            client = aio.Client(ADDRESS, endpoint=self.network.endpoint(ADDRESS))
            with self.assertRaises(RemoteError) as caught:
                await client.call("n", "fails")
            self.assertEqual(caught.exception.remote_message, "ValueError: no")
            with self.assertRaises(FunctionNotFound):
                await client.call("n", "nothing")
            with self.assertRaises(ConfigurationError):
                client.function("no-slash")
            await client.close()
            with self.assertRaises(NotSent):
                await client.call("n", "echo", [1])

        self.run_in_loop(main())

    def test_a_call_ends_at_its_timeout(self) -> None:
        async def main() -> None:
            async with aio.Client(ADDRESS, endpoint=self.network.endpoint(ADDRESS), timeout=50.0) as client:
                with self.assertRaises(CallTimeout):
                    await client.call("r", "wait", timeout=2.0)
                self.assertLess(self.network.reactor.seconds(), 50)

        self.run_in_loop(main(), advance=0.5)

    def test_cancelling_the_task_cancels_the_call_on_the_server(self) -> None:
        async def main() -> None:
            client = aio.Client(ADDRESS, endpoint=self.network.endpoint(ADDRESS))
            await client.functions()
            task = asyncio.ensure_future(client.call("r", "wait"))
            await asyncio.sleep(0)
            self.assertEqual(client.in_flight, 1)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            await client.functions()
            self.assertEqual((client.in_flight, self.cancelled), (0, 1))
            await client.close()

        self.run_in_loop(main())


class ReactorTests(SynchronousTestCase):
    """Under a reactor that is not asyncio's, as trial's is."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        if isinstance(reactor, AsyncioSelectorReactor):
            raise SkipTest("trial runs on asyncioreactor")

    def test_a_client_outside_of_a_coroutine_is_refused(self) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            aio.Client(ADDRESS)
        self.assertIn("inside a coroutine", str(caught.exception))

    def test_another_reactor_is_refused_by_its_name(self) -> None:
        async def main() -> None:
            with self.assertRaises(ConfigurationError) as caught:
                aio.Client(ADDRESS)
            name = type(sys.modules["twisted.internet.reactor"]).__name__
            self.assertIn(f"needs asyncioreactor, but {name} is", str(caught.exception))

        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        loop.run_until_complete(main())

    def test_nothing_is_installed_over_another_reactor(self) -> None:
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        before = sys.modules["twisted.internet.reactor"]
        self.assertRaises(ConfigurationError, aio.install, loop)
        self.assertIs(sys.modules["twisted.internet.reactor"], before)


class NamesTests(SynchronousTestCase):
    def test_it_has_the_names_of_the_client_for_deferreds(self) -> None:
        self.assertEqual(public_names(aio.Client), public_names(slacker.Client))


if TYPE_CHECKING:
    from typing_extensions import assert_type

    async def _types(client: aio.Client, other: slacker.Client) -> None:
        """What mypy has to find."""
        assert_type(client.call("n", "f"), asyncio.Future[Any])
        assert_type(client.namespace("n").f(1), asyncio.Future[Any])
        assert_type(client.namespace("n")["f"](1), asyncio.Future[Any])
        assert_type(client.function("n/f").with_options(timeout=1.0)(), asyncio.Future[Any])
        assert_type(await client.functions(), list[str])
        assert_type(other.namespace("n").f(1), Deferred[Any])
        assert_type(other.function("n/f")(), Deferred[Any])
