"""One connection: frames however they are cut, the handshake, bad bytes, and clients that do not read."""

from __future__ import annotations

from struct import pack
from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from slacker.zookeeper.embedded import EmbeddedZooKeeper
from slacker.zookeeper.embedded.codes import Code, Event
from slacker.zookeeper.embedded.connection import MAX_FRAME, MAX_UNREAD
from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.memory import MemoryClient, framed


class ConnectionTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = EmbeddedZooKeeper(self.clock)
        self.logged: list[LogEvent] = []
        logged = self.logged

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_level") in (LogLevel.warn, LogLevel.error, LogLevel.critical):
                logged.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def stranger(self) -> MemoryClient:
        return MemoryClient(self.server, self.clock)

    def client(self) -> MemoryClient:
        client = self.stranger()
        client.handshake()
        return client


class FrameTests(ConnectionTestCase):
    def test_frames_may_come_byte_by_byte_or_all_at_once(self) -> None:
        data = framed(rq.connect()) + b"".join(
            framed(pack(">ii", xid, 1) + rq.create(f"/{xid}").body) for xid in range(1, 6)
        )
        for size in (1, 3, len(data)):
            self.setUp()
            client = self.stranger()
            for start in range(0, len(data), size):
                client.send(data[start : start + size])
            welcome, *answers = client.frames()
            self.assertEqual(rq.read_welcome(welcome).timeout, 10_000)
            self.assertEqual(
                [rq.read_answer(frame, 1).values for frame in answers], [(f"/{xid}",) for xid in range(1, 6)]
            )

    def test_answers_are_sent_at_once(self) -> None:
        self.assertTrue(self.stranger().transport.no_delay)

    def test_the_largest_frame_passes_and_one_byte_more_does_not(self) -> None:
        client = self.client()
        room = MAX_FRAME - 8 - len(rq.create("/a").body)
        self.assertEqual(client.ask(rq.create("/a", b"x" * room)).code, Code.OK)
        client.send(pack(">i", MAX_FRAME + 1))
        self.assertFalse(client.open)
        self.assertEqual(len(self.logged), 1)

    def test_a_length_below_nothing_closes_the_connection(self) -> None:
        client = self.stranger()
        client.send(b"\xff\xff\xff\xff")
        self.assertFalse(client.open)

    def test_bytes_after_the_end_are_ignored(self) -> None:
        client = self.client()
        client.send(b"\xff\xff\xff\xff")
        client.send(framed(pack(">ii", 1, 11)))
        self.assertEqual((client.frames(), len(self.logged)), ([], 1))

    def test_garbage_closes_its_own_connection_only_with_one_line_in_the_log(self) -> None:
        other, client = self.client(), self.client()
        client.send(framed(pack(">ii", 1, 1) + b"\x7f\xff\xff\xff/a"))
        self.clock.advance(0)
        self.assertFalse(client.transport.open)
        self.assertEqual(client.frames(), [])
        self.assertEqual(other.ask(rq.get_children("/")).values, (["zookeeper"],))
        (event,) = self.logged
        self.assertIn("127.0.0.1:40000", str(event["client"]))
        self.assertIn("needs", str(event["error"]))

    @given(st.binary(max_size=60), st.booleans(), st.booleans())
    @settings(derandomize=True, deadline=None, database=None, max_examples=500)
    def test_any_bytes_are_answered_or_close_the_connection(
        self, data: bytes, known: bool, whole: bool
    ) -> None:
        self.setUp()
        other = self.client()
        client = self.client() if known else self.stranger()
        client.send(framed(data) if whole else data)
        self.assertEqual(len(self.logged), 0 if client.open or client.transport.value() else 1)
        self.assertEqual(other.ask(rq.ping()).code, Code.OK)


class HandshakeTests(ConnectionTestCase):
    def test_a_new_session_has_an_id_a_password_and_the_nearest_timeout(self) -> None:
        for asked, given_ in ((10_000, 10_000), (1, 1_000), (-5, 1_000), (10**9, 40_000)):
            welcome = self.stranger().handshake(timeout=asked)
            assert welcome is not None
            self.assertEqual((welcome.timeout, len(welcome.password)), (given_, 16))
            self.assertGreater(welcome.session, 0)

    def test_a_client_that_does_not_know_read_only_does_not_get_it(self) -> None:
        for sent in (b"\0", b""):
            client = self.stranger()
            client.send(framed(rq.connect(read_only=sent)))
            (frame,) = client.frames()
            self.assertEqual(rq.read_welcome(frame).read_only, sent)

    def test_the_password_brings_a_session_back_and_cuts_its_old_connection(self) -> None:
        old, new = self.client(), self.stranger()
        old.ask(rq.create("/mine", b"", 1))
        old.ask(rq.get_data("/mine", True))
        welcome = new.again(old)
        assert welcome is not None
        self.assertEqual((welcome.session, welcome.timeout), (old.session, 10_000))
        self.assertTrue(old.transport.aborted)
        self.clock.advance(0)
        new.ask(rq.set_data("/mine", b""))
        self.assertEqual((new.heard(), old.frames()), ([], []))
        self.assertEqual(new.ask(rq.exists("/mine")).values[0]["ephemeral_owner"], old.session)

    def test_a_wrong_password_gets_timeout_0_and_does_not_disturb_the_owner(self) -> None:
        owner, thief = self.client(), self.stranger()
        welcome = thief.handshake(session=owner.session, password=b"x" * 16)
        self.assertEqual(welcome, (0, 0, bytes(16), b"\0"))
        self.assertFalse(thief.open)
        self.assertEqual(owner.ask(rq.ping()).code, Code.OK)

    def test_a_session_that_is_gone_gets_timeout_0(self) -> None:
        old, new = self.client(), self.stranger()
        self.assertTrue(self.server.expire_session(old.session))
        self.assertEqual(new.again(old), (0, 0, bytes(16), b"\0"))
        self.assertFalse(new.open)

    def test_a_client_from_the_future_is_closed_without_an_answer(self) -> None:
        now = self.client().ask(rq.ping()).zxid
        self.assertIsNone(self.stranger().handshake(zxid=now + 1))
        self.assertIn("another server", str(self.logged[-1]["error"]))
        self.assertIsNotNone(self.stranger().handshake(zxid=now))


class EndTests(ConnectionTestCase):
    def test_close_is_answered_and_takes_the_sessions_nodes_along(self) -> None:
        client, other = self.client(), self.client()
        client.ask(rq.create("/mine", b"", 1))
        other.ask(rq.exists("/mine", True))
        self.assertEqual(client.ask(rq.close()).code, Code.OK)
        self.assertFalse(client.open)
        self.assertEqual(other.heard(), [(Event.DELETED, "/mine")])
        self.assertEqual(self.stranger().again(client), (0, 0, bytes(16), b"\0"))

    def test_credentials_of_an_unknown_scheme_are_answered_and_end_the_connection(self) -> None:
        client = self.client()
        self.assertEqual(client.ask(rq.auth("sasl", b"x")).code, Code.AUTH_FAILED)
        self.assertFalse(client.open)

    def test_a_lost_connection_leaves_the_session_and_its_nodes(self) -> None:
        client, other = self.client(), self.client()
        client.ask(rq.create("/mine", b"", 1))
        client.transport.lost()
        self.assertEqual(other.ask(rq.exists("/mine")).code, Code.OK)
        self.assertEqual(self.server.clients(), [f"127.0.0.1:40000 session {other.session:#x}"])


class FlowTests(ConnectionTestCase):
    def test_nothing_more_is_read_from_a_client_that_does_not_read(self) -> None:
        client = self.client()
        client.protocol.pauseProducing()
        self.assertEqual(client.transport.producerState, "paused")
        client.send(framed(pack(">ii", 1, 11)) * 3)
        self.assertEqual(client.frames(), [])
        client.protocol.resumeProducing()
        self.assertEqual(len(client.frames()), 3)
        self.assertEqual(client.transport.producerState, "producing")

    def test_a_pause_in_the_middle_of_a_read_keeps_the_rest_for_later(self) -> None:
        client = self.client()
        write = client.transport.write

        def full_after_each(data: bytes) -> None:
            write(data)
            client.protocol.pauseProducing()

        client.transport.write = full_after_each  # type: ignore[method-assign]  # as a full socket does
        client.send(framed(pack(">ii", 1, 11)) * 3)
        for _ in range(3):
            self.assertEqual(len(client.frames()), 1)
            client.protocol.resumeProducing()
        self.assertEqual(client.frames(), [])

    def test_a_client_that_leaves_too_many_events_unread_is_cut(self) -> None:
        client, other = self.client(), self.client()
        client.ask(rq.add_watch("/", 1))
        client.protocol.pauseProducing()
        name = "/" + "x" * 1_000_000
        for number in range(MAX_UNREAD // len(name)):
            other.ask(rq.create(name[: -2 - number]))
        self.assertFalse(client.transport.aborted)
        other.ask(rq.create(name))
        self.assertTrue(client.transport.aborted)
        self.assertIn("unread", self.logged[-1]["log_format"])
        self.assertEqual(other.ask(rq.ping()).code, Code.OK)

    def test_what_was_read_in_time_does_not_count(self) -> None:
        client, other = self.client(), self.client()
        client.ask(rq.add_watch("/", 1))
        name = "/" + "x" * 1_000_000
        for number in range(2 * MAX_UNREAD // len(name)):
            client.protocol.pauseProducing()
            other.ask(rq.create(name[: -2 - number]))
            client.protocol.resumeProducing()
        self.assertTrue(client.open)

    def test_a_frame_in_small_pieces_is_not_copied_with_each(self) -> None:
        """45,000 pieces: 0.1 s of work, and 20 GB of copying if each piece made the whole frame move."""
        client = self.client()
        data = framed(pack(">ii", 1, 1) + rq.create("/a", bytes(900_000)).body)
        start = process_time()
        for at in range(0, len(data), 20):
            client.send(data[at : at + 20])
        self.assertLess(process_time() - start, 1.5)
        (frame,) = client.frames()
        self.assertEqual(rq.read_answer(frame, 1).code, Code.OK)


class FourLetterTests(ConnectionTestCase):
    def answer(self, word: bytes) -> str:
        client = self.stranger()
        for letter in word:
            client.send(bytes([letter]))
        self.assertFalse(client.open)
        return str(client.transport.value(), "ascii")

    def test_words_are_answered_and_the_connection_closed(self) -> None:
        self.assertEqual(self.answer(b"ruok"), "imok")
        self.assertEqual(self.answer(b"isro"), "rw")

    def test_stat_and_srvr_count_what_there_is(self) -> None:
        client = self.client()
        client.ask(rq.create("/a"))
        for word in (b"stat", b"srvr"):
            text = self.answer(word)
            self.assertTrue(text.startswith("Zookeeper version: 3.8.0"), text)
            for line in ("Sessions: 1", "Mode: standalone", "Node count: 5", "Zxid: 0x2"):
                self.assertIn(f"\n{line}\n", text)
        self.assertIn(f"session {client.session:#x}", self.answer(b"stat"))
        self.assertNotIn("session 0x", self.answer(b"srvr"))

    def test_envi_tells_clients_the_version(self) -> None:
        self.assertIn("\nzookeeper.version=3.8.0", self.answer(b"envi"))

    def test_within_a_session_a_word_is_a_frame_that_is_too_long(self) -> None:
        client = self.client()
        client.send(b"ruok")
        self.assertEqual((client.open, client.frames()), (False, []))
