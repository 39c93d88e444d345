"""A program that knows asyncio.run() and nothing of Twisted; twice, as test suites do."""

from __future__ import annotations

import asyncio
import sys
import threading

from slacker.client import aio
from slacker.errors import CallTimeout, NotSent, RemoteError


async def served(client: aio.Client) -> None:
    """Return once the server answers: on a busy machine it may be too slow for the first attempt."""
    while True:
        try:
            await client.functions()
        except NotSent:
            await asyncio.sleep(0.05)
        else:
            return


async def main(address: str) -> None:
    async with aio.Client(address) as client:
        await served(client)
        math = client.namespace("math")
        assert await asyncio.gather(*[math.add_up(number, 1) for number in range(100)]) == [*range(1, 101)]
        try:
            await math.fail()
        except RemoteError as error:
            assert error.remote_message == "ValueError: no"
        else:
            raise AssertionError("fail has not failed")
        before = await math.cancelled()
        try:
            await asyncio.wait_for(math.wait(), 0.1)
        except asyncio.TimeoutError:  # in Python 3.10 it is a class of its own
            pass
        else:
            raise AssertionError("wait has not waited")
        assert await math.cancelled() == before + 1
        try:
            await client.call("math", "wait", timeout=0.1, interrupt_on_timeout=True)
        except CallTimeout:
            pass
        else:
            raise AssertionError("wait has not waited")


for _ in range(2):
    # By name, so that the reactor's threads are at work: they must not keep the process alive.
    asyncio.run(main(sys.argv[1].replace("127.0.0.1", "localhost")))
    assert threading.active_count() == 1, threading.enumerate()
print("done")
