"""Connections to servers: as many as are wanted, a few at a time."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from slacker.client import Client
from slacker.client.pace import Pace
from slacker.cluster.connections import Connections
from slacker.errors import ConfigurationError


class FakeClient:
    """Notes what is done with it."""

    def __init__(self, log: list[str], address: str) -> None:
        self.in_flight = 0
        self._log = log
        self._address = address

    def connect(self) -> None:
        self._log.append(f"+{self._address}")

    def close(self) -> Deferred[None]:
        self._log.append(f"-{self._address}")
        return succeed(None)


def addresses(count: int) -> list[str]:
    return [f"10.0.0.{number}:1" for number in range(count)]


class ConnectionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log: list[str] = []
        self.connections = Connections(
            lambda address, _: cast(Client, FakeClient(self.log, address)), self.clock
        )
        self.addCleanup(lambda: self.assertEqual(self.clock.getDelayedCalls(), []))

    def test_an_address_that_no_client_can_be_made_for_keeps_nobody_else_waiting(self) -> None:
        def connect(address: str, _: Pace) -> Client:
            if address == "bad:1":
                raise ConfigurationError("no such host can be")
            return cast(Client, FakeClient(self.log, address))

        self.connections = Connections(connect, self.clock)
        with capturedLogs() as events:
            self.connections.change(["a:1", "bad:1", "c:1"], ())
        self.assertEqual(self.done(), ["+a:1", "+c:1"])
        self.assertEqual(list(map(formatEvent, events)), ["ignoring server bad:1: no such host can be"])
        self.connections.change((), ["bad:1"])

    def client(self, address: str) -> Any:
        return self.connections.clients[address]

    def done(self) -> list[str]:
        """What was done since it was asked last."""
        done, self.log[:] = [*self.log], []
        return done

    def test_ten_are_connected_at_once_and_ten_every_20_milliseconds_in_their_order(self) -> None:
        servers = addresses(25)
        self.connections.change(servers, ())
        self.assertEqual(self.done(), [f"+{server}" for server in servers[:10]])
        self.clock.advance(0.019)
        self.assertEqual(self.done(), [])
        self.clock.advance(0.001)
        self.assertEqual(self.done(), [f"+{server}" for server in servers[10:20]])
        self.clock.advance(0.02)
        self.assertEqual([*self.connections.clients], servers)

    def test_those_that_leave_are_closed_a_few_at_a_time(self) -> None:
        servers = addresses(20)
        self.connections.change(servers, ())
        self.clock.pump([0.02, 0.02])
        self.done()
        self.connections.change((), servers)
        self.assertEqual(len(self.done()), 10)
        self.clock.advance(0.02)
        self.assertEqual(self.connections.clients, {})

    def test_one_that_leaves_before_its_turn_is_never_connected(self) -> None:
        servers = addresses(11)
        self.connections.change(servers, ())
        self.connections.change((), servers[10:])
        self.clock.advance(0.02)
        self.assertNotIn(f"+{servers[10]}", self.done())

    def test_one_that_leaves_and_comes_back_before_its_turn_keeps_its_connection(self) -> None:
        one, *others = addresses(12)
        self.connections.change([one], ())
        self.connections.change(others, ())
        client = self.client(one)
        self.connections.change((), [one])
        self.connections.change([one], ())
        self.clock.advance(0.02)
        self.assertIs(self.client(one), client)
        self.assertNotIn(f"-{one}", self.done())

    def test_one_that_two_want_stays_until_neither_does(self) -> None:
        self.connections.change(["a:1"], ())
        self.connections.change(["a:1"], ())
        self.connections.change((), ["a:1"])
        self.assertEqual(self.done(), ["+a:1"])
        self.connections.change((), ["a:1"])
        self.assertEqual(self.done(), ["-a:1"])

    def test_one_that_leaves_is_closed_when_it_has_answered_its_last_call(self) -> None:
        self.connections.change(["a:1"], ())
        self.client("a:1").in_flight = 1
        self.connections.change((), ["a:1"])
        self.clock.advance(0.5)
        self.assertEqual(self.done(), ["+a:1"])
        self.client("a:1").in_flight = 0
        self.clock.advance(0.5)
        self.assertEqual((self.done(), self.connections.clients), (["-a:1"], {}))

    def test_one_that_comes_back_with_calls_in_flight_stays(self) -> None:
        self.connections.change(["a:1"], ())
        self.client("a:1").in_flight = 1
        for new, gone in (((), ["a:1"]), (["a:1"], ()), ((), ["a:1"]), (["a:1"], ())):
            self.connections.change(new, gone)
        self.client("a:1").in_flight = 0
        self.clock.advance(0.5)
        self.assertEqual(self.done(), ["+a:1"])

    def test_closing_ends_everything_and_takes_turns(self) -> None:
        servers = addresses(70)
        self.connections.change(servers, ())
        self.clock.pump([0.02] * 6)
        self.connections.change(["late:1"], ())
        self.client(servers[0]).in_flight = 1
        self.connections.change((), servers[:1])
        self.clock.advance(0.02)
        self.connections.change(addresses(200)[100:], ())
        self.done()
        closed = self.connections.close()
        self.assertEqual(len(self.done()), 50)
        self.assertNoResult(closed)
        self.connections.change(["later:1"], ())
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(closed), None)
        self.assertEqual({entry[0] for entry in self.done()}, {"-"})
