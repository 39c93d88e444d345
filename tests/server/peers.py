"""Peers of a server, frame by frame, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from slacker.server.functions import Exposable
from slacker.server.service import SlackerServer
from slacker.testing import MemoryTransport, Network
from slacker.wire import Decoder, Frame, encode

CLJ, JSON, MSGPACK = 2, 1, 30


def echo(x: Any, y: Any = None) -> Any:
    return x if y is None else [x, y]


def make_error() -> None:
    raise RuntimeError("Expected exception.")


class Peer:
    """The other end of a server's connection: sends frames or bytes, and collects the answers.

    :param tls: the connection is encrypted; ``certificate`` is the path of the one that it shows.
    """

    def __init__(
        self,
        server: SlackerServer,
        host: str = "10.0.0.9",
        *,
        tls: bool = False,
        certificate: str | None = None,
    ) -> None:
        self.received = b""
        self.lost = False
        self._decoder = Decoder()
        self._clock = cast(Clock, server._reactor)
        local, remote = IPv4Address("TCP", "10.0.0.1", 2104), IPv4Address("TCP", host, 40_001)
        self.connection = server.factory.buildProtocol(remote)
        self.transport = MemoryTransport(self, remote, local)  # type: ignore[arg-type]  # as much as it needs
        kind = _TlsTransport if tls else MemoryTransport
        self.far = kind(self.connection, local, remote)
        self.transport.other, self.far.other = self.far, self.transport
        self.connection.makeConnection(self.far)
        if isinstance(self.far, _TlsTransport):
            self.far.certificate = certificate
            self.connection.handshakeCompleted()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: object) -> None:
        self.lost = True

    def send(self, *frames: Frame | bytes) -> None:
        data = b"".join(frame if isinstance(frame, bytes) else encode(frame) for frame in frames)
        self.transport.write(data)
        self.pump()

    def pump(self) -> None:
        moved = True
        while moved:
            self._clock.advance(0)
            moved = self.transport.step() or self.far.step()

    def answers(self) -> list[Frame]:
        data, self.received = self.received, b""
        return self._decoder.feed(data)

    def ask(self, *frames: Frame | bytes) -> list[Frame]:
        self.send(*frames)
        return self.answers()


class _TlsTransport(MemoryTransport):
    certificate: str | None = None

    def getPeerCertificate(self) -> object:
        return _Shown(self.certificate) if self.certificate is not None else None


class _Shown:
    """A certificate, as pyOpenSSL has it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def to_cryptography(self) -> Any:
        from cryptography import x509

        return x509.load_pem_x509_certificate(Path(self._path).read_bytes())


class ServerTestCase(SynchronousTestCase):
    def serve(self, *exposed: Exposable, **options: Any) -> Peer:
        """A peer of a new server, which exposes these beside a namespace ``n``."""
        self.network = Network()
        functions: list[Exposable] = [{"n": {"echo": echo, "make-error": make_error}}]
        self.server = self.network.serve("10.0.0.1:2104", [*functions, *exposed], **options)
        return Peer(self.server)
