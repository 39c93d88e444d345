"""What surrounds a call, through real sockets and real worker threads."""

from __future__ import annotations

import time
from threading import Event
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, DeferredList
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import blockingCallFromThread
from twisted.trial.unittest import TestCase

from slacker import Canceled, Client, RemoteError, ServerBusy, SlackerServer
from slacker.interceptors import CallStatistics, Deadline, Interceptor, SlowCalls, with_extensions
from slacker.server import current_call
from slacker.server.functions import Exposable
from tests.integration.processes import until

PATIENCE = 20.0


class FeatureTests(TestCase):
    timeout = 60.0

    async def serve(self, functions: dict[str, Any], *more: Exposable, **options: Any) -> str:
        exposed: list[Exposable] = [{"n": functions}, *more]
        self.server = SlackerServer(exposed, **options)
        self.addCleanup(self.server.stop)
        port = await self.server.listen("tcp:0:interface=127.0.0.1")
        at = port.getHost()
        assert isinstance(at, IPv4Address)
        return f"127.0.0.1:{at.port}"

    def client(self, address: str, **options: Any) -> Client:
        client = Client(address, **options)
        self.addCleanup(client.close)
        return client

    async def test_extensions_travel_through_worker_threads_into_the_calls_made_there(self) -> None:
        from twisted.internet import reactor

        def tell() -> Any:
            return current_call().extensions

        def ask_on() -> Any:
            # In a worker thread, on the way of blocking code to the reactor.
            with with_extensions({17: "more"}):
                extensions = {**current_call().extensions, 17: "more"}
                return blockingCallFromThread(
                    cast(IReactorFromThreads, reactor), lambda: inner.call("n", "tell", extensions=extensions)
                )

        address = await self.serve({"tell": tell, "ask-on": ask_on})
        inner, outer = self.client(address), self.client(address)
        with with_extensions({16: "request-7"}):
            told = await outer.call("n", "ask-on")
        self.assertEqual(told, {16: "request-7", 17: "more"})

    async def test_interceptors_on_both_sides_see_each_call(self) -> None:
        here, there = CallStatistics(), CallStatistics()

        class Doubles(Interceptor):
            def after(self, call: Any) -> None:
                call.result *= 2

        address = await self.serve({"echo": lambda x: x}, interceptors=[there, Doubles(), SlowCalls()])
        client = self.client(address, interceptors=[here])
        calls = DeferredList([client.call("n", "echo", [number]) for number in range(100)])
        self.assertEqual([value for _, value in await calls], [2 * number for number in range(100)])
        for statistics in (here, there):
            counted = statistics.functions["n/echo"]
            self.assertEqual((counted.calls, counted.errors, counted.in_flight), (100, 0, 0))

    async def test_a_queued_call_whose_deadline_passed_is_canceled_and_never_runs(self) -> None:
        gate = Event()
        ran: list[int] = []

        def wait() -> bool:
            return gate.wait(PATIENCE)

        address = await self.serve({"wait": wait, "run": ran.append}, threads=1, interceptors=[Deadline()])
        plain, hurried = self.client(address), self.client(address, interceptors=[Deadline()])
        waiting = plain.call("n", "wait", timeout=PATIENCE)
        await until(lambda: self.server.pools()["*"].running == 1, "the thread being busy")
        # The client itself gives up at its deadline; this one has extensions only.
        late = plain.call("n", "run", [1], extensions={-2: 50}, timeout=PATIENCE)
        await until(lambda: self.server.pools()["*"].oldest > 0.1, "the call waiting too long")
        gate.set()
        with self.assertRaises(Canceled):
            await late
        self.assertTrue(await waiting)
        await hurried.call("n", "run", [2])
        self.assertEqual(ran, [2])

    async def test_a_running_worker_sees_the_interrupt_of_a_cancelled_call(self) -> None:
        began, seen = Event(), Event()

        def work() -> None:
            began.set()
            deadline = time.monotonic() + PATIENCE
            while not current_call().interrupted and time.monotonic() < deadline:
                time.sleep(0.001)
            if current_call().interrupted:
                seen.set()

        client = self.client(await self.serve({"work": work}))
        call = client.call("n", "work")
        await until(began.is_set, "the function running")
        call.cancel()
        with self.assertRaises(CancelledError):
            await call
        await until(seen.is_set, "the function seeing the interrupt")

    async def test_a_full_pool_refuses_at_once_and_a_namespaces_own_pool_is_not_touched_by_it(self) -> None:
        gate = Event()

        def wait() -> bool:
            return gate.wait(PATIENCE)

        self.addCleanup(gate.set)
        other = {"m": {"echo": lambda x: x}}
        address = await self.serve({"wait": wait}, other, threads=1, queue_size=0, executors={"m": (1, 0)})
        client = self.client(address)
        waiting = client.call("n", "wait", timeout=PATIENCE)
        await until(lambda: self.server.calls_running == 1, "the thread being busy")
        with self.assertRaises(ServerBusy):
            await client.call("n", "wait")
        self.assertEqual(await client.call("m", "echo", [1]), 1)
        gate.set()
        self.assertTrue(await waiting)

    async def test_debug_mode_tells_the_stack_trace(self) -> None:
        def fails() -> None:
            raise ValueError("no")

        client = self.client(await self.serve({"fails": fails}, debug=True))
        with self.assertRaises(RemoteError) as caught:
            await client.call("n", "fails")
        self.assertEqual(caught.exception.remote_message, "ValueError: no")
        self.assertIn("in fails", caught.exception.remote_traceback)

    async def test_fire_and_forget_runs_and_nobody_waits(self) -> None:
        ran: list[int] = []
        client = self.client(await self.serve({"run": ran.append}))
        self.assertIsNone(await client.call("n", "run", [1], fire_and_forget=True))
        await until(lambda: ran == [1], "the call running")
        self.assertEqual(client.in_flight, 0)

    async def test_a_client_of_version_5_is_served(self) -> None:
        client = self.client(await self.serve({"echo": lambda x: x}), version=5)
        self.assertEqual(await client.call("n", "echo", [[1, "a"]]), [1, "a"])
        self.assertEqual(await client.functions(), ["n/echo"])
