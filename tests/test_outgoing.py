"""What a connection writes: kept while the peer does not read, and sent early while there is a lot to do."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport, IUNIXTransport, IWriteDescriptor
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import directlyProvides

from slacker import SlackerServer
from slacker.content import dumps
from slacker.outgoing import Outgoing
from slacker.server import nonblocking
from slacker.testing import MemoryTransport
from slacker.wire import Decoder, Request, encode

BIG = b"x" * 100_000  # more than may wait in a transport before it pauses who writes


class Reader(Protocol):
    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class SocketLike(MemoryTransport):
    """A transport in memory that can write at once, as a socket can."""

    connected = True
    pushed = 0
    no_delay: bool | None = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def doWrite(self) -> None:
        self.pushed += 1


class EncryptedSocketLike(SocketLike):
    def getPeerCertificate(self) -> None:
        pass


class OutgoingTests(SynchronousTestCase):
    def connect(self, kind: type[MemoryTransport] = SocketLike) -> None:
        here = IPv4Address("TCP", "10.0.0.1", 1)
        self.peer = Reader()
        self.near = kind(Reader(), here, here)
        self.far = MemoryTransport(self.peer, here, here)
        self.near.other, self.far.other = self.far, self.near
        if isinstance(self.near, SocketLike):
            directlyProvides(self.near, IWriteDescriptor)
        self.changes: list[bool] = []
        self.outgoing = Outgoing(self.near, lambda: self.changes.append(self.outgoing.paused))

    def setUp(self) -> None:
        self.connect()

    def step(self) -> None:
        while self.near.step() or self.far.step():
            pass

    def test_pieces_go_out_in_their_order(self) -> None:
        self.outgoing.write([b"a", b"b"])
        self.outgoing.write([BIG, b"c"])
        self.step()
        self.assertEqual(self.peer.received, b"ab" + BIG + b"c")

    def test_what_a_peer_does_not_take_waits_and_is_counted(self) -> None:
        self.outgoing.write([BIG])
        self.outgoing.write([b"abc", b"d"])
        self.outgoing.write([b"e"])
        self.assertEqual((self.outgoing.paused, self.outgoing.unsent), (True, 5))
        self.step()
        self.assertEqual((self.outgoing.paused, self.outgoing.unsent), (False, 0))
        self.assertEqual(self.peer.received, BIG + b"abcde")
        self.assertEqual(self.changes, [True, False])

    def test_what_waits_is_handed_over_no_faster_than_it_is_taken(self) -> None:
        for _ in range(3):
            self.outgoing.write([BIG])
        self.near.step()
        self.assertEqual((self.outgoing.paused, self.outgoing.unsent), (True, 100_000))
        self.step()
        self.assertEqual(len(self.peer.received), 300_000)

    def test_before_it_closes_everything_is_sent(self) -> None:
        self.outgoing.write([BIG])
        self.outgoing.write([b"last"])
        self.outgoing.close()
        self.assertEqual((self.outgoing.paused, self.outgoing.unsent), (False, 0))
        self.step()
        self.assertEqual(self.peer.received, BIG + b"last")
        self.assertTrue(self.near.disconnected)

    def test_of_a_large_read_an_eighth_is_enough_to_push_and_eight_always(self) -> None:
        self.assertEqual([self.outgoing.enough(frames) for frames in (1, 40, 64, 500)], [8, 8, 8, 62])

    def test_a_socket_is_pushed_while_it_is_open(self) -> None:
        assert isinstance(self.near, SocketLike)
        self.outgoing.push()
        self.near.disconnecting = True
        self.outgoing.push()
        self.near.connected = self.near.disconnecting = False
        self.outgoing.push()
        self.assertEqual(self.near.pushed, 1)

    def test_over_no_other_transport_a_push_is_due(self) -> None:
        for kind in (EncryptedSocketLike, MemoryTransport):
            self.connect(kind)
            self.assertGreater(self.outgoing.enough(500), 500)

    def told_of_delay(self, *interfaces: Any, kind: type[SocketLike] = SocketLike) -> list[bool | None]:
        """What the transport was told before anything is written, after little, and after a large frame."""
        here = IPv4Address("TCP", "10.0.0.1", 1)
        transport = kind(Reader(), here, here)
        directlyProvides(transport, *interfaces)
        outgoing = Outgoing(transport, lambda: None)
        told = [transport.no_delay]
        for size in (1, 100_000):
            outgoing.write([b"x" * size])
            told.append(transport.no_delay)
        return told

    def test_over_tcp_the_end_of_a_large_frame_does_not_wait_for_an_acknowledgement(self) -> None:
        self.assertEqual(self.told_of_delay(ITCPTransport), [None, None, True])

    def test_over_what_has_no_such_delay_nothing_is_said_of_it(self) -> None:
        self.assertEqual(self.told_of_delay(), [None] * 3)
        # As Twisted's UNIX sockets have it.
        self.assertEqual(self.told_of_delay(ITCPTransport, IUNIXTransport), [None] * 3)

    def test_a_large_frame_that_has_to_wait_counts_too(self) -> None:
        directlyProvides(self.near, ITCPTransport)
        outgoing = Outgoing(self.near, lambda: None)
        outgoing.pauseProducing()
        outgoing.write([BIG])
        assert isinstance(self.near, SocketLike)
        self.assertTrue(self.near.no_delay)

    def test_a_connection_that_has_just_broken_may_refuse_that(self) -> None:
        class Broken(SocketLike):
            def setTcpNoDelay(self, enabled: bool) -> None:
                raise OSError(errno.EINVAL, "Invalid argument")

        self.told_of_delay(ITCPTransport, kind=Broken)  # and connectionLost comes next


class SocketTests(TestCase):
    timeout = 30.0

    async def test_answers_reach_the_peer_while_later_calls_still_run(self) -> None:
        came: list[int] = []

        def look(number: int) -> None:
            if number == 15:
                came.extend(frame.tid for frame in Decoder().feed(peer.recv(65_536)))
                finished.callback(None)

        server = SlackerServer([nonblocking({"n": {"look": look}})])
        self.addCleanup(server.stop)
        port: Any = await server.listen("tcp:0:interface=127.0.0.1")
        finished: Deferred[None] = Deferred()
        peer = socket.create_connection(("127.0.0.1", port.getHost().port), 10.0)
        self.addCleanup(peer.close)
        calls = [Request(tid, 30, "n/look", dumps("msgpack", [tid])) for tid in range(16)]
        peer.sendall(b"".join(encode(call) for call in calls))
        await finished
        self.assertEqual(came, [0, 1, 2, 3, 4, 5, 6, 7])
