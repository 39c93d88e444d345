"""An HTTP client in memory, and a gateway for it."""

from __future__ import annotations

import json
from typing import Any
from unittest import skipUnless

from attrs import define
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from slacker.server import http_site
from slacker.server.auth import Identity
from slacker.server.functions import Exposable
from slacker.server.http import site
from slacker.testing import MemoryTransport, Network

#: For tests of several requests on one connection.
keeping_connections = skipUnless(http_site.KEEPS_ORDER, "with this Twisted, connections end with the answer")


def echo(x: Any, y: Any = None) -> Any:
    return x if y is None else [x, y]


def count(*arguments: Any) -> int:
    return len(arguments)


def make_error() -> None:
    raise RuntimeError("Expected exception.")


def rand_ints(n: int) -> list[int]:
    return list(range(n))


@define
class Answer:
    """One answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """The other end of a gateway's connection; ``ask`` makes a new one if that was closed."""

    def __init__(self, factory: Site, host: str = "127.0.0.1") -> None:
        self.factory = factory
        self.host = host
        self.received = b""
        self.connect()

    def connect(self) -> None:
        self.lost = False
        local, remote = IPv4Address("TCP", "10.0.0.1", 8080), IPv4Address("TCP", self.host, 40_001)
        channel = self.factory.buildProtocol(remote)
        self.transport = MemoryTransport(self, remote, local)  # type: ignore[arg-type]  # as much as it needs
        self.far = MemoryTransport(channel, local, remote)
        self.transport.other, self.far.other = self.far, self.transport
        channel.makeConnection(self.far)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: object) -> None:
        self.lost = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)
        self.pump()

    def pump(self) -> None:
        while self.transport.step() or self.far.step():
            pass

    def answers(self, *, head: bool = False) -> list[Answer]:
        """All that have come as a whole; ``head``: they have no bodies."""
        found = []
        while b"\r\n\r\n" in self.received:
            top, _, rest = self.received.partition(b"\r\n\r\n")
            status, *lines = top.decode("ascii").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            size = 0 if head else int(headers.get("content-length", "0"))
            if len(rest) < size:
                break
            found.append(Answer(int(status.split(" ")[1]), headers, rest[:size]))
            self.received = rest[size:]
        return found

    def ask(self, path: str, body: bytes | None = None, method: str = "POST", **headers: str) -> Answer:
        if self.lost:
            self.connect()
        self.send(request(path, body, method, **headers))
        [answer] = self.answers(head=method == "HEAD")
        return answer


def request(path: str, body: bytes | None = None, method: str = "POST", **headers: str) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: x"]
    head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


class GatewayTestCase(SynchronousTestCase):
    """``serve`` makes a server with the namespace ``n``, and gives a client of its gateway."""

    def serve(self, *exposed: Exposable, **options: Any) -> Client:
        functions: list[Exposable] = [
            {"n": {"echo": echo, "count": count, "make-error": make_error, "rand-ints": rand_ints}}
        ]
        self.network = Network()
        self.server = self.network.serve("10.0.0.1:2104", [*functions, *exposed], **options)
        self.site = site(self.server)
        return Client(self.site)


def chunked(body: bytes, size: int) -> bytes:
    """The body in chunks of this size, and the last one."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def authenticate(token: str) -> Identity | None:
    namespaces = {"good": "n", "other": "m"}.get(token)
    return Identity(token, (namespaces,)) if namespaces else None
