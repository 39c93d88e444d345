"""Clients of an embedded server without sockets: what they send and see, on a clock of the test's."""

from __future__ import annotations

from struct import pack, unpack_from

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from slacker.zookeeper.embedded import EmbeddedZooKeeper
from slacker.zookeeper.embedded.connection import Connection
from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.requests import Answer, Event, Question, Welcome


class MemoryTransport(StringTransport):
    """Ends a turn of the clock after it was told to, as a socket does."""

    def __init__(self, clock: Clock, protocol: Connection, host: str) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 40_000))
        self.clock = clock
        self.protocol = protocol
        self.open = True
        self.aborted = False
        self.no_delay = False

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def loseConnection(self) -> None:
        self.disconnecting = True
        self.clock.callLater(0, self.lost)

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()

    def lost(self) -> None:
        """The protocol hears of the end, once."""
        if self.open:
            self.open = False
            self.protocol.connectionLost(Failure(ConnectionDone()))


class MemoryClient:
    """One client, with or without a handshake."""

    def __init__(self, server: EmbeddedZooKeeper, clock: Clock, host: str = "127.0.0.1") -> None:
        self.protocol = server.factory.buildProtocol(None)
        self.transport = MemoryTransport(clock, self.protocol, host)
        self.protocol.makeConnection(self.transport)
        self.xid = 0
        self.welcome: Welcome | None = None

    @property
    def open(self) -> bool:
        """Whether the server has kept the connection."""
        return self.transport.open and not self.transport.disconnecting

    def send(self, data: bytes) -> None:
        """Bytes, as they are."""
        self.protocol.dataReceived(data)

    def frames(self) -> list[bytes]:
        """What the server wrote since the last look."""
        data, frames = self.transport.value(), []
        self.transport.clear()
        while data:
            (length,) = unpack_from(">i", data)
            frames.append(data[4 : 4 + length])
            assert len(frames[-1]) == length
            data = data[4 + length :]
        return frames

    def handshake(
        self, timeout: int = 10_000, session: int = 0, password: bytes = bytes(16), zxid: int = 0
    ) -> Welcome | None:
        """The answer; None if the server closed the connection instead."""
        self.send(framed(rq.connect(timeout, session, password, zxid)))
        frames = self.frames()
        self.welcome = rq.read_welcome(frames[0]) if frames else None
        return self.welcome

    def again(self, old: MemoryClient) -> Welcome | None:
        """A handshake with another's session."""
        assert old.welcome is not None
        return self.handshake(session=old.welcome.session, password=old.welcome.password)

    @property
    def session(self) -> int:
        """The session's id."""
        assert self.welcome is not None
        return self.welcome.session

    def ask(self, question: Question) -> Answer:
        """The answer, before which no event came."""
        events, answer = self.ask_and_hear(question)
        assert events == [], events
        return answer

    def ask_and_hear(self, question: Question) -> tuple[list[Event], Answer]:
        """The events that came before the answer, and the answer, the last of what came."""
        self.xid += 1
        self.send(framed(pack(">ii", self.xid, question.op) + question.body))
        *earlier, last = self.frames()
        answer = rq.read_answer(last, question.op)
        assert answer.xid == self.xid
        return [_event(frame) for frame in earlier], answer

    def heard(self) -> list[Event]:
        """The events that came since the last look."""
        return [_event(frame) for frame in self.frames()]


def framed(body: bytes) -> bytes:
    """The bytes behind their length."""
    return pack(">i", len(body)) + body


def _event(frame: bytes) -> Event:
    event = rq.read_event(frame)
    assert event is not None, frame
    return event
