"""A program that has its own event loop, and imports the reactor before it makes a client."""

from __future__ import annotations

import asyncio
import sys

from slacker.client import aio
from slacker.errors import ConfigurationError

loop = asyncio.new_event_loop()
aio.install(loop)

from twisted.internet import reactor  # noqa: E402  # after it is installed

assert type(reactor).__name__ == "_GuestReactor"


async def main() -> None:
    async with aio.Client(sys.argv[1]) as client:
        assert await client.call("math", "add-up", [1, 2]) == 3


async def elsewhere() -> None:
    try:
        aio.Client(sys.argv[1])
    except ConfigurationError as error:
        assert "belongs to another event loop" in str(error)
    else:
        raise AssertionError("a client is in an event loop without a reactor")


loop.run_until_complete(main())
asyncio.run(elsewhere())
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
asyncio.run(main())
print("done")
