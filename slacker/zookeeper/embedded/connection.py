"""One client's connection: frames, the handshake, and the requests in the order they came."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IConsumer, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker.errors import ZookeeperError
from slacker.zookeeper.embedded import four_letter
from slacker.zookeeper.embedded.acl import Identity
from slacker.zookeeper.embedded.codes import Code, Event, Op
from slacker.zookeeper.embedded.jute import MalformedRequest, Reader
from slacker.zookeeper.embedded.records import (
    pack_connected,
    pack_event,
    pack_reply,
    read_connect,
    read_request,
)

if TYPE_CHECKING:
    from slacker.zookeeper.embedded.server import EmbeddedZooKeeper
    from slacker.zookeeper.embedded.sessions import Session

# The real server's jute.maxbuffer: a request may have 1 MiB less one byte.
MAX_FRAME = 0xFFFFF

# What may wait for a client that does not read. Requests are not worked on while the transport holds more
# than its 64 KiB, but the events of watches come unasked. Sixteen times the largest data of a node is far
# beyond a slow client.
MAX_UNREAD = 16 * 1024 * 1024

_INT = Struct(">i")
_NO_PASSWORD = bytes(16)


class IStreamTransport(ITCPTransport, IConsumer, IPushProducer):
    """What every stream transport of Twisted provides, and its interfaces spread over three."""


@implementer(IPushProducer)
class Connection(Protocol):
    """A client's connection. It stands in the watch table itself, and its watches go with it."""

    log = Logger()

    def __init__(self, server: EmbeddedZooKeeper) -> None:
        self._server = server
        self._buffer = bytearray()
        self._paused = False
        self._closing = False
        self._unread = 0  # bytes written since the transport asked for a pause
        self._peer = "?"
        self.session: Session | None = None
        self.session_id = 0
        self.identities: list[Identity] = []
        self._since = server.seconds()

    def __str__(self) -> str:
        return f"{self._peer} session {self.session_id:#x}"

    # -- the transport's side ----------------------------------------------------------------------

    def connectionMade(self) -> None:
        """Take the client's address as its first identity."""
        assert self.transport is not None
        self._transport = cast(IStreamTransport, self.transport)
        peer = self._transport.getPeer()
        if isinstance(peer, (IPv4Address, IPv6Address)):
            self._peer = f"{peer.host}:{peer.port}"
            self.identities.append(("ip", peer.host))
            self._transport.setTcpNoDelay(True)  # answers are small, and the client waits for each
        self._transport.registerProducer(self, True)
        self._server.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The session lives on until its timeout."""
        self._closing = True
        self._buffer.clear()
        self._server.disconnected(self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._closing:
            self._buffer += data
            self._work()

    def pauseProducing(self) -> None:
        """The client does not read its answers: take no more requests from it."""
        self._paused = True
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read its answers."""
        self._paused = False
        self._unread = 0
        self._work()
        if not self._paused and not self._closing:
            self._transport.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost, which connectionLost hears as well."""

    # -- the server's side -------------------------------------------------------------------------

    def notify(self, event: Event, path: str) -> None:
        """Tell the client that a watch of its fired."""
        self._send(pack_event(event, path))

    def overdue(self, before: float) -> bool:
        """Whether it has been without a session, or waiting for its end, since before this time."""
        return (self.session is None or self._closing) and self._since < before

    def abort(self) -> None:
        """Cut the connection, whatever waits to be written."""
        self._closing = True
        self._transport.abortConnection()

    def close(self) -> None:
        """Close the connection once everything is written, and read nothing more from it."""
        self._closing = True
        self._since = self._server.seconds()
        self._buffer.clear()
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    # -- frames ------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Take the frames that are complete, as long as the client reads the answers."""
        buffer = self._buffer
        at = 0
        try:
            while not self._paused and not self._closing and len(buffer) - at >= 4:
                head = bytes(buffer[at : at + 4])
                if self.session is None and head in four_letter.WORDS:
                    text = four_letter.answer(head, self._server)
                    self._transport.write(text.encode())
                    self.close()
                    break
                (length,) = _INT.unpack(head)
                if not 0 <= length <= MAX_FRAME:
                    raise MalformedRequest(f"a frame of {length} bytes; 0 to {MAX_FRAME} are allowed")
                end = at + 4 + length
                if end > len(buffer):
                    break
                frame = bytes(buffer[at + 4 : end])
                at = end
                if self.session is None:
                    self._handshake(Reader(frame))
                else:
                    self._request(self.session, Reader(frame))
        except ZookeeperError as exc:
            self.log.warn("closed the connection of {client}: {error}", client=str(self), error=exc)
            self.close()
        if not self._closing:
            del buffer[:at]  # once per read; a bytearray drops its front without moving the rest

    def _handshake(self, reader: Reader) -> None:
        connect = read_connect(reader)
        session = self._server.open_session(self, connect)
        if session is None:
            self._send(pack_connected(0, 0, _NO_PASSWORD, read_only=connect.knows_read_only))
            self.close()
            return
        self.session = session
        self.session_id = session.id
        self._send(
            pack_connected(
                round(session.timeout * 1000), session.id, session.password, read_only=connect.knows_read_only
            )
        )

    def _request(self, session: Session, reader: Reader) -> None:
        self._server.heard_of(session)
        xid, op, request = read_request(reader)
        processor = self._server.processor
        if op is Op.CLOSE:
            self._server.end_session(session)
            self._reply(xid, Code.OK)
            self.close()
            return
        code, body = processor.handle(self, op, request)
        self._reply(xid, code, body)
        if code is Code.AUTH_FAILED:
            self.close()

    # -- writing -----------------------------------------------------------------------------------

    def _reply(self, xid: int, code: Code, body: bytes = b"") -> None:
        self._send(pack_reply(xid, self._server.processor.zxid, code, body))

    def _send(self, frame: bytes) -> None:
        if self._closing:
            return
        self._transport.write(_INT.pack(len(frame)) + frame)
        if self._paused:
            self._unread += len(frame)
            if self._unread > MAX_UNREAD:
                self.log.warn(
                    "cut {client}: it left {unread} bytes unread", client=str(self), unread=self._unread
                )
                self.abort()
