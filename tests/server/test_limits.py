"""What a server bears of a peer, and what it does beyond."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from slacker.server.connection import UNSENT_FACTOR
from slacker.server.functions import nonblocking
from slacker.server.limits import Limits
from slacker.wire import Error, Request, Response, encode
from tests.server.peers import CLJ, Peer, ServerTestCase


class LimitTests(ServerTestCase):
    def test_a_full_pool_refuses_and_the_connection_lives(self) -> None:
        peer = self.serve(threads=1, queue_size=1)
        self.server.workers.held = True  # type: ignore[attr-defined]
        peer.send(*[Request(tid, CLJ, "n/echo", b"[1]") for tid in (1, 2, 3, 4)])
        self.assertEqual(peer.answers(), [Error(3, 13), Error(4, 13)])
        self.server.workers.run()  # type: ignore[attr-defined]
        peer.pump()
        self.assertEqual(peer.answers(), [Response(1, CLJ, 0, b"1"), Response(2, CLJ, 0, b"1")])

    def test_calls_in_flight_are_limited_per_connection(self) -> None:
        peer = self.serve(limits=Limits(max_in_flight=2))
        self.server.workers.held = True  # type: ignore[attr-defined]
        peer.send(*[Request(tid, CLJ, "n/echo", b"[1]") for tid in (1, 2, 3)])
        self.assertEqual(peer.answers(), [Error(3, 13)])
        other = Peer(self.server)
        other.send(Request(1, CLJ, "n/echo", b"[1]"))
        self.assertEqual(other.answers(), [])

    def test_a_peer_that_does_not_read_is_not_read(self) -> None:
        peer = self.serve(nonblocking({"r": {"big": lambda: "x" * 100_000}}))
        peer.transport.reading = False
        for tid in range(1, 4):
            peer.send(Request(tid, CLJ, "r/big", b""))
        self.assertFalse(peer.transport.other.reading)
        self.assertEqual(len(peer.transport.other._written), 1)
        peer.transport.reading = True
        peer.pump()
        self.assertEqual(len(peer.answers()), 3)

    def test_a_peer_whose_arguments_wait_for_workers_is_not_read_beyond_a_limit(self) -> None:
        peer = self.serve(limits=Limits(max_unanswered=1000))
        self.server.workers.held = True  # type: ignore[attr-defined]
        data = b'["' + b"x" * 600 + b'"]'
        peer.send(Request(1, CLJ, "n/echo", data))
        self.assertTrue(peer.transport.other.reading)
        peer.send(Request(2, CLJ, "n/echo", data))
        self.assertFalse(peer.transport.other.reading)
        self.server.workers.run()  # type: ignore[attr-defined]
        self.assertTrue(peer.transport.other.reading)
        peer.pump()
        self.assertEqual(len(peer.answers()), 2)

    def test_extensions_and_names_of_calls_count_as_well(self) -> None:
        for request in (
            Request(1, CLJ, "n/echo", b"[1]", tuple((number, b"x" * 65_000) for number in range(120))),
            Request(1, CLJ, "m/" + "x" * 60_000, b""),
        ):
            peer = self.serve(
                {"m": {"-slacker-function-not-found": lambda *_: 1}}, limits=Limits(max_unanswered=50_000)
            )
            self.server.workers.held = True  # type: ignore[attr-defined]
            peer.send(request)
            self.assertFalse(peer.far.reading)
            self.server.workers.run()  # type: ignore[attr-defined]
            peer.pump()
            self.assertTrue(peer.far.reading)
            self.assertEqual(len(peer.answers()), 1)

    def with_answers(self, count: int, max_unsent: int) -> Peer:
        """A peer that does not read, and for which so many answers of 100,000 bytes wait."""
        waiting: list[Deferred[Any]] = []

        @nonblocking
        def wait() -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        peer = self.serve({"m": {"wait": wait}}, limits=Limits(max_unsent=max_unsent, frame_timeout=30.0))
        peer.transport.reading = False
        peer.send(*[Request(tid, CLJ, "m/wait", b"") for tid in range(count)])
        for deferred in waiting:
            deferred.callback("x" * 100_000)
        self.assertEqual(self.server.calls_running, 0)
        return peer

    def test_a_peer_that_takes_nothing_of_too_many_answers_is_closed_in_time(self) -> None:
        peer = self.with_answers(10, max_unsent=500_000)
        for _ in range(2):
            self.network.advance(15)
            self.assertFalse(peer.lost)
        self.network.advance(15)
        self.assertTrue(peer.lost)

    def test_one_that_takes_some_now_and_then_gets_all(self) -> None:
        peer = self.with_answers(12, max_unsent=300_000)
        for _ in range(4):
            for _ in range(2):
                peer.far.other.reading = True
                peer.far.step()
                peer.far.other.reading = False
            self.network.advance(15)
        peer.transport.reading = True
        peer.pump()
        self.assertEqual(len(peer.answers()), 12)
        self.assertFalse(peer.lost)

    def test_one_that_takes_nothing_of_few_answers_is_left_alone(self) -> None:
        peer = self.with_answers(4, max_unsent=500_000)
        for _ in range(10):
            self.network.advance(15)
        self.assertFalse(peer.lost)

    def test_a_peer_for_which_several_times_as_many_wait_is_closed_at_once(self) -> None:
        self.assertFalse(self.with_answers(UNSENT_FACTOR * 5, max_unsent=500_000).lost)
        self.assertTrue(self.with_answers(UNSENT_FACTOR * 5 + 2, max_unsent=500_000).lost)

    def test_a_peer_that_says_nothing_is_closed_in_time_and_not_before(self) -> None:
        first = self.serve(limits=Limits(frame_timeout=30.0))
        self.network.advance(14.9)
        late = Peer(self.server)
        self.network.advance(0.1)
        self.network.advance(15)
        self.assertFalse(first.lost)
        self.network.advance(14.8)
        self.assertFalse(late.lost)
        self.network.advance(0.2)
        self.assertTrue(first.lost)
        self.assertTrue(late.lost)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_a_peer_that_does_not_end_its_frame_is_closed_in_time_and_not_before(self) -> None:
        peer = self.serve(limits=Limits(frame_timeout=30.0))
        peer.send(encode(Request(1, CLJ, "n/echo", b"[1]")))
        for _ in range(3):
            self.network.advance(15)
        peer.send(encode(Request(2, CLJ, "n/echo", b"[1]"))[:-1])
        for _ in range(2):
            self.network.advance(15)
            self.assertFalse(peer.lost)
        self.network.advance(15)
        self.assertTrue(peer.lost)

    def test_a_peer_that_does_not_let_its_connection_close_is_cut_in_time(self) -> None:
        peer = self.serve(limits=Limits(frame_timeout=30.0))
        self.patch(type(peer.far), "loseConnection", lambda _: None)  # as TLS waits for the peer's last word
        peer.send(b"no frame")
        for _ in range(3):
            self.assertFalse(peer.lost)
            self.network.advance(15)
        self.assertTrue(peer.lost)

    def test_a_peer_that_trickles_is_closed_and_one_that_goes_on_is_not(self) -> None:
        trickler, honest = self.serve(limits=Limits(frame_timeout=30.0)), Peer(self.server)
        frame = encode(Request(1, CLJ, "n/echo", b"[1]"))
        for index in range(12):
            if not trickler.lost:
                trickler.send(frame[index : index + 1])
            honest.send(frame[10:] + frame[:10] if index else frame[:10])
            self.network.advance(5)
        self.assertTrue(trickler.lost)
        self.assertFalse(honest.lost)
        self.assertEqual(len(honest.answers()), 11)

    def test_connections_are_limited(self) -> None:
        self.serve(limits=Limits(max_connections=1))
        self.assertTrue(Peer(self.server).lost)
        self.server.connections.clear()
        self.assertFalse(Peer(self.server).lost)
