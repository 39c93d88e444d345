"""Other libraries, each in an environment of its own (``make bench-peers``), where nothing of ours is.

A module here is run by that environment's interpreter, once as a server and once as a client.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_VENV = Path(__file__).parents[2] / ".venv"


@dataclass(frozen=True)
class Peer:
    """One library.

    :ivar name: of its module here, and of its environment.
    :ivar packages: to install.
    :ivar form: how several calls are in flight at once.
    """

    name: str
    packages: tuple[str, ...]
    form: str

    @property
    def folder(self) -> Path:
        """Of its environment."""
        return _VENV / f"peers-{self.name}"

    @property
    def python(self) -> Path:
        """The interpreter there."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> Path:
        """A file that is there once everything is installed."""
        return self.folder / "ready"


PEERS = [
    Peer("grpcio", ("grpcio", "protobuf"), "its asyncio API, one channel, a task for each call in flight"),
    Peer("rpyc", ("rpyc",), "its async_() API, one connection"),
    Peer("pyro5", ("Pyro5", "msgpack"), "a thread with a proxy and connection for each call in flight"),
    Peer("zerorpc", ("zerorpc",), "a greenlet for each call in flight, one client"),
    Peer("thriftpy2", ("thriftpy2",), "a thread with a client and connection for each call in flight"),
    Peer("msgpackrpc", ("msgpack-rpc-python",), "its call_async() API, one connection"),
]
