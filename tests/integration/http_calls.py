"""Calls over HTTP from threads, on sockets that block."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

from twisted.trial.unittest import TestCase

HERE = "tcp:0:interface=127.0.0.1"
PATIENCE = 30.0  # seconds that a socket of these tests waits
MEGABYTE = 1024 * 1024

FUNCTIONS = """\
def echo(x):
    return x

def big():
    return "x" * 1_000_000
"""


def folder_with(test: TestCase, files: Mapping[str, str] | None = None) -> Path:
    """A new folder with these files."""
    folder = Path(test.mktemp()).resolve()
    folder.mkdir()
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    return folder


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        if self.status >= 400:
            assert {"error", "message"} <= json.loads(self.body).keys()


def ask(
    port: int,
    path: str,
    body: bytes | Iterator[bytes] | None = None,
    *,
    headers: dict[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """One call on a connection of its own, in a thread."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)
    try:
        connection.request("POST", path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionError:
        return True
    return False


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"POST /functions/echo.json HTTP/1.1", b"Host: x", *lines, b"", b""])


def received(client: socket.socket) -> bytes:
    """All that comes before the server closes."""
    data = b""
    try:
        while piece := client.recv(65_536):
            data += piece
    except ConnectionError:
        pass  # with a reset
    return data
