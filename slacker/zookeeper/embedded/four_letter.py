"""The words of four letters that an operator may send instead of a handshake; text is the answer."""

from __future__ import annotations

import platform
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slacker.zookeeper.embedded.server import EmbeddedZooKeeper

# Clients compare it with what they need: this server does what 3.8 does.
ZOOKEEPER_VERSION = "3.8.0-slacker"

WORDS = frozenset({b"ruok", b"stat", b"srvr", b"envi", b"isro"})


def answer(word: bytes, server: EmbeddedZooKeeper) -> str:
    """What one of :data:`WORDS` is answered."""
    if word == b"ruok":
        return "imok"
    if word == b"isro":
        return "rw"
    if word == b"envi":
        return "Environment:\n" + "".join(f"{name}={value}\n" for name, value in _environment())
    lines = [f"Zookeeper version: {ZOOKEEPER_VERSION}, built for tests"]
    if word == b"stat":
        lines += ["Clients:", *(f" {client}" for client in server.clients()), ""]
    lines += [
        f"Connections: {len(server.clients())}",
        f"Sessions: {len(server.sessions)}",
        f"Zxid: {server.processor.zxid:#x}",
        "Mode: standalone",
        f"Node count: {len(server.processor.tree)}",
    ]
    return "\n".join(lines) + "\n"


def _environment() -> list[tuple[str, str]]:
    return [
        ("zookeeper.version", f"{ZOOKEEPER_VERSION}, built for tests"),
        ("host.name", socket.gethostname()),
        ("python.version", platform.python_version()),
        ("python.implementation", sys.implementation.name),
        ("os.name", platform.system()),
        ("os.arch", platform.machine()),
        ("os.version", platform.release()),
    ]
