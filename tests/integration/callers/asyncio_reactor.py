"""A program that runs Twisted's reactor, which is asyncioreactor, with asyncio tasks in it."""

from __future__ import annotations

import asyncio
import sys

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.internet.task import react

loop = asyncio.new_event_loop()
asyncioreactor.install(loop)

from slacker.client import aio  # noqa: E402  # after the reactor


async def task(address: str) -> None:
    """In asyncio."""
    async with aio.Client(address) as client:
        assert await client.call("math", "add-up", [1, 2]) == 3
        try:
            await Deferred()
        except RuntimeError:  # why this client is needed
            pass
        else:
            raise AssertionError("asyncio awaits Deferreds now")


async def main(reactor: object) -> None:
    """In Twisted."""
    await Deferred.fromFuture(loop.create_task(task(sys.argv[1])))
    print("done")


react(main)
