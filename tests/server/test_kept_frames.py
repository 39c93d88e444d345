"""What one read brings is dealt with as fast as the peer takes its answers, and no faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slacker.content import dumps
from slacker.server.functions import nonblocking
from slacker.server.limits import Limits
from slacker.wire import Error, InspectAck, InspectRequest, Ping, Pong, Request, Response, encode
from tests.server.peers import CLJ, Peer, ServerTestCase

LARGE = "x" * 50_000
FEW = 4  # calls whose results are more than a transport takes at once


class KeptFramesTests(ServerTestCase):
    def setUp(self) -> None:
        self.ran: list[int] = []

    def large(self, number: int) -> str:
        self.ran.append(number)
        return LARGE

    async def large_at_once(self, number: int) -> str:
        return self.large(number)

    def abort(self, number: int) -> str:
        self.peer.far.abortConnection()
        return self.large(number)

    def serve_large(self, **options: Any) -> Peer:
        functions = {"large": self.large, "large-at-once": self.large_at_once, "abort": self.abort}
        self.peer = self.serve(nonblocking({"r": functions}), **options)
        return self.peer

    def calls(self, count: int, function: str = "large") -> bytes:
        return b"".join(encode(Request(n, CLJ, f"r/{function}", b"[%d]" % n)) for n in range(count))

    def numbers(self, peer: Peer) -> list[int]:
        return [answer.tid for answer in peer.answers()]

    def test_of_a_peer_that_does_not_read_no_more_calls_run_than_its_transport_takes(self) -> None:
        for function in ("large", "large-at-once"):
            self.ran.clear()
            peer = self.serve_large()
            peer.transport.reading = False
            peer.send(self.calls(2_000, function))
            self.assertLess(len(self.ran), FEW)
            self.assertFalse(peer.far.reading)
            self.assertLess(peer.far._size + peer.connection._outgoing.unsent, 200_000)

    def test_frames_that_cannot_be_dealt_with_end_the_connection_in_a_later_turn_too(self) -> None:
        def allow(peer: object) -> bool:
            raise ValueError("no")

        peer = self.serve_large()
        peer.connection._server.functions.add({"guarded": {"f": self.large}}, on_reactor=True, allow=allow)
        peer.send(encode(InspectRequest(1, 0, b"nil")) + encode(Request(2, CLJ, "guarded/f", b"[2]")))
        self.assertTrue(peer.lost)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_the_others_run_when_it_reads_again_in_their_order(self) -> None:
        peer = self.serve_large()
        peer.transport.reading = False
        peer.send(self.calls(100))
        peer.transport.reading = True
        peer.pump()
        self.assertEqual(self.ran, list(range(100)))
        self.assertEqual(self.numbers(peer), list(range(100)))
        self.assertTrue(peer.far.reading)

    def test_a_peer_that_reads_gets_more_than_may_wait_for_it(self) -> None:
        for function in ("large", "large-at-once"):
            peer = self.serve_large(limits=Limits(max_unsent=500_000))
            peer.send(self.calls(200, function))
            self.assertEqual(self.numbers(peer), list(range(200)))
            self.assertFalse(peer.lost)

    def test_what_comes_although_it_is_not_read_waits_in_its_turn(self) -> None:
        """A TLS connection hands over the rest of what it has read, whether it is paused or not."""
        peer = self.serve_large()
        peer.transport.reading = False
        peer.send(self.calls(10))
        peer.connection.dataReceived(encode(Ping(10)))
        peer.connection.dataReceived(encode(Request(11, CLJ, "n/echo", b"[1]"))[:-1])
        peer.connection.dataReceived(b"\0" + encode(Ping(12)))
        self.assertLess(len(self.ran), FEW)
        peer.transport.reading = True
        peer.pump()
        # The call runs in a worker, which answers after what came with it.
        self.assertEqual(self.numbers(peer), [*range(11), 12, 11])

    def test_bytes_that_are_no_frame_are_answered_after_the_frames_before_them(self) -> None:
        peer = self.serve_large()
        peer.transport.reading = False
        peer.send(self.calls(10) + bytes.fromhex("06000000630c"))
        peer.connection.dataReceived(encode(Ping(10)))
        self.assertLess(len(self.ran), FEW)
        self.assertFalse(peer.lost)
        peer.transport.reading = True
        peer.pump()
        answers = peer.answers()
        self.assertEqual([answer.tid for answer in answers], [*range(10), 99])
        self.assertEqual(answers[-1], Error(99, 21))
        self.assertTrue(peer.lost)

    def test_also_where_nothing_but_them_comes_while_the_peer_does_not_read(self) -> None:
        peer = self.serve_large()
        peer.transport.reading = False
        peer.send(self.calls(2))
        peer.connection.dataReceived(bytes.fromhex("06000000630c"))
        peer.transport.reading = True
        peer.pump()
        self.assertEqual(self.numbers(peer), [0, 1, 99])
        self.assertTrue(peer.lost)

    def test_a_server_that_stops_refuses_what_has_not_run_and_closes_then(self) -> None:
        peer = self.serve_large()
        peer.transport.reading = False
        peer.send(self.calls(10))
        ran = len(self.ran)
        stopped = self.server.stop()
        self.network.advance(0.25)
        self.assertTrue(peer.connection._closing)
        self.assertFalse(peer.lost)
        peer.transport.reading = True
        peer.pump()
        answers = peer.answers()
        self.assertEqual([answer.tid for answer in answers], list(range(10)))
        self.assertEqual(answers[ran:], [Error(tid, 13) for tid in range(ran, 10)])
        self.assertTrue(peer.lost)
        self.assertIsNone(self.successResultOf(stopped))

    def test_of_a_connection_that_is_cut_nothing_more_runs(self) -> None:
        peer = self.serve_large()
        peer.send(self.calls(2) + self.calls(10, "abort"))
        self.assertEqual(self.ran.count(0), 2)
        self.assertLess(len(self.ran), 2 + FEW)
        peer = self.serve_large()
        self.ran.clear()
        peer.transport.reading = False
        peer.send(self.calls(10))
        ran = len(self.ran)
        peer.transport.abortConnection()
        peer.connection.dataReceived(self.calls(10))
        self.network.advance(1)
        self.assertEqual(len(self.ran), ran)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_of_a_connection_that_is_given_up_nothing_more_is_written(self) -> None:
        """A socket that is aborted is gone in the reactor's next turn only."""
        peer = self.serve_large()
        self.patch(type(peer.far), "abortConnection", lambda _: None)
        peer.connection.dataReceived(encode(InspectRequest(1, 0, b"")) + self.calls(1))  # which wait a turn
        peer.connection._give_up("for a test")
        peer.connection.dataReceived(self.calls(10))
        peer.pump()
        self.assertEqual(self.ran, [])
        self.assertEqual([type(answer) for answer in peer.answers()], [InspectAck])


class InspectionFloodTests(ServerTestCase):
    def test_of_many_inspections_one_is_made_in_a_turn_of_the_reactor(self) -> None:
        peer = self.serve()
        turns: list[Callable[[], None]] = []
        self.patch(self.server, "call_later", lambda _, function: turns.append(function))
        inspections = [encode(InspectRequest(n, n % 3, dumps("clj", "n/echo"))) for n in range(30)]
        peer.connection.dataReceived(b"".join([*inspections, encode(Ping(30))]))
        for turn in range(30):
            self.assertFalse(peer.far.reading)
            peer.far.step()
            self.assertEqual([(type(a), a.tid) for a in peer.answers()], [(InspectAck, turn)])
            turns.pop()()
        peer.far.step()
        self.assertEqual(peer.answers(), [Pong(30)])
        self.assertTrue(peer.far.reading)

    def test_a_connection_that_goes_meanwhile_leaves_nothing_behind(self) -> None:
        peer = self.serve()
        peer.connection.dataReceived(encode(InspectRequest(1, 0, b"")) * 10)
        self.assertNotEqual(self.network.reactor.getDelayedCalls(), [])
        peer.transport.abortConnection()
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_calls_beside_them_are_answered_in_their_turn(self) -> None:
        peer = self.serve(nonblocking({"r": {"one": lambda: 1}}))
        self.assertEqual(
            [type(a) for a in peer.ask(InspectRequest(1, 0, b""), Request(2, CLJ, "r/one", b""))],
            [InspectAck, Response],
        )
