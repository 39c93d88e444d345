"""A client of one server: ``python -m examples.client [HOST:PORT]``."""

from __future__ import annotations

import sys

from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react

from slacker import Client, RemoteError


async def main(reactor: IReactorCore, address: str = "127.0.0.1:2104") -> None:
    client = Client(address, timeout=5.0)
    api = client.namespace("slacker.example.api")
    try:
        print("timestamp  ", await api.timestamp())
        print("rand_ints  ", await api.rand_ints(5))
        print("inc_m      ", await api.inc_m(10))
        print("return_nil ", await api.return_nil())
        print(
            "echo2      ", await client.call("slacker.example.api2", "echo2", [{"any": ["value", 1.5, None]}])
        )
        print("functions  ", await client.functions("slacker.example"))
        print("meta       ", await client.meta("slacker.example.api/inc-m"))
        try:
            await api.make_error()
        except RemoteError as error:
            print("make_error ", error)
    finally:
        await client.close()


if __name__ == "__main__":
    react(main, sys.argv[1:])
