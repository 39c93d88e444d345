"""What is fuzzed: the wire's decoder, each content type, the embedded ZooKeeper, the HTTP gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import implementer

from fuzz.engine import Target
from slacker import content, wire
from slacker.content import CODECS
from slacker.errors import ContentError, ProtocolError
from slacker.server.http import site
from slacker.testing import Network
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from tests.server.http_client import Client as HttpClient
from tests.server.http_client import echo, make_error
from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.memory import MemoryClient, framed

VECTORS = Path(__file__).parent.parent / "tests" / "vectors"

#: Longer vectors are left out: what they show, shorter ones show as well.
LONGEST = 4000


def _file(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def _kind(error: Exception) -> str:
    """What an error says, without what differs from input to input."""
    return re.sub(r"'.*?'|\".*?\"|[0-9]+", "_", str(error))[:100]


# -- content types ---------------------------------------------------------------------------------

_FILES = {
    "clj": "edn.json",
    "json": "json.json",
    "nippy": "nippy.json",
    "transit-json": "transit_json.json",
    "transit-msgpack": "transit_msgpack.json",
}


def _codec(name: str) -> Target:
    def seeds() -> list[bytes]:
        if name in _FILES:
            found = [
                bytes.fromhex(entry["hex"]) for entry in _file(_FILES[name])["entries"] if "hex" in entry
            ]
        else:  # msgpack is this project's own: what another wrote, in it
            found = []
            for data in _codec("nippy").seeds():
                try:
                    found.append(content.dumps(name, content.loads("nippy", data)))
                except ContentError:
                    continue
        return [data for data in found if len(data) <= LONGEST]

    def run(data: bytes) -> str:
        codec = CODECS[name]
        try:
            value = codec.loads(data)
        except ContentError as error:
            return _kind(error)
        try:
            written = codec.dumps(value)
        except ContentError as error:
            return f"not written: {_kind(error)}"
        again = codec.loads(written)
        if name != "json" and again != value:  # a NaN is not equal to itself, and sets come in any order
            assert len(codec.dumps(again)) == len(written), f"{again!r} came back of {value!r}"
        return type(value).__name__

    return Target(f"codec-{name}", seeds, run)


# -- the wire --------------------------------------------------------------------------------------


def _frames() -> list[bytes]:
    frames = _file("frames.json")
    session = _file("session.json")
    found = [entry.get("hex", "") for entry in (*frames["encode"], *frames["decode_odd"])]
    found += [event["hex"] for event in session["session_normal"]["events"] if "hex" in event]
    for version in ("raw_tcp_0.16", "raw_tcp_0.18"):
        found += [step["sent"] for case in session[version] for step in case["steps"]]
    whole = [each for each in found if re.fullmatch("[0-9a-f]+", each)]  # long ones are cut short there
    return [bytes.fromhex(each) for each in whole if len(each) <= 2 * LONGEST]


def _decoded(pieces: list[bytes]) -> tuple[list[wire.Frame], str]:
    """The frames, and why there are no more of them."""
    decoder = wire.Decoder(max_frame=2**20)
    frames: list[wire.Frame] = []
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
    except ProtocolError as error:
        return frames + error.frames, str(error)
    return frames, "unfinished" if decoder.unfinished else ""


def _wire(data: bytes) -> str:
    whole = _decoded([data])
    for size in (1, 7):
        assert _decoded([data[at : at + size] for at in range(0, len(data), size)]) == whole, size
    for frame in whole[0]:
        if not isinstance(frame, wire.Malformed):
            assert _decoded([wire.encode(frame)]) == ([frame], ""), frame
    kinds = {type(frame).__name__ for frame in whole[0]}
    return f"{sorted(kinds)} {_kind(Exception(whole[1]))}"


# -- servers, in memory ----------------------------------------------------------------------------


@contextmanager
def _no_failure_logged() -> Iterator[None]:
    """What a server logs as a failure of its own is one here."""
    failures: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.critical or "log_failure" in event:
            failures.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(observe)
    for event in failures:
        raise AssertionError(f"logged: {event}")


def _questions() -> list[bytes]:
    path = "/a"
    asked = [
        *(rq.create(path), rq.create("/a/b", b"data", 3), rq.create(path, op=15), rq.create_ttl(path, 1000)),
        *(rq.delete(path), rq.exists(path, True), rq.get_data("/", True), rq.set_data(path, b"x")),
        *(rq.get_acl("/"), rq.set_acl("/", rq.OPEN), rq.get_children("/", True), rq.get_children2("/")),
        *(rq.sync("/"), rq.ping(), rq.auth("digest", b"me:secret"), rq.close(), rq.add_watch("/", 1)),
        *(rq.multi(rq.create(path), rq.check(path, 0), rq.set_data(path, b"y"), rq.delete(path)), rq.multi()),
        *(rq.check_watches("/", 3), rq.remove_watches("/", 3), rq.set_watches(0, ["/"], [path], ["/"])),
    ]
    framed_ones = [framed(pack(">ii", number, each.op) + each.body) for number, each in enumerate(asked, 1)]
    return [*framed_ones, b"".join(framed_ones[:5]), framed(rq.connect()), b"ruok", b"stat", b""]


def _zookeeper(data: bytes) -> str:
    clock = Clock()
    server = EmbeddedZooKeeper(clock)
    stranger, client = MemoryClient(server, clock), MemoryClient(server, clock)
    with _no_failure_logged():
        client.handshake()
        client.send(data)
        stranger.send(data)
        codes = [frame[12:16].hex() for frame in client.frames()]
        clock.advance(60)
        assert MemoryClient(server, clock).handshake() is not None, "it serves nobody any more"
    return f"{client.open} {stranger.open} {codes}"


def _requests() -> list[bytes]:
    found = [case["request"].encode() for case in _file("session.json")["http_0.18"]]
    head = b"POST /n/echo.json HTTP/1.1\r\nHost: a\r\n"
    return [
        *found,
        head + b"Transfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n",
        head + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n[1]",
        head
        + b"Content-Length: 3\r\n\r\n[1]"
        + head.replace(b"json", b"clj")
        + b"Content-Length: 3\r\n\r\n[1]",
        b"POST /n/%65cho.nippy HTTP/1.0\r\nContent-Length: 2\r\n\r\nn\x00",
        b"POST /n/make-error.transit-json HTTP/1.1\r\nHost: a\r\nOrigin: http://a\r\n\r\n",
        b"OPTIONS /n/echo.json HTTP/1.1\r\nHost: a\r\n\r\n",
    ]


def _http(data: bytes) -> str:
    network = Network()
    server = network.serve("10.0.0.1:2104", [{"n": {"echo": echo, "make-error": make_error}}])
    with _no_failure_logged():
        client = HttpClient(site(server))
        client.send(data)
        received = client.received
        network.flush()
        assert HttpClient(client.factory).ask("/n/echo.json", b"[1]").status == 200, (
            "it serves nobody any more"
        )
    return f"{client.lost} {re.findall(rb'HTTP/1.. ([0-9]*)', received)}"


TARGETS = {
    target.name: target
    for target in (
        *map(_codec, CODECS),
        Target("wire", _frames, _wire),
        Target("zookeeper", _questions, _zookeeper),
        Target("http", _requests, _http),
    )
}
