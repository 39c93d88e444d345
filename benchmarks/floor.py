"""The floor: the least that an RPC on Twisted can do.

A bare Protocol at both ends exchanges slacker's frames (version 6, msgpack, no extensions): a struct for the
header, a reused Packer, ``unpackb``, a dict of pending ids, one write per read. There is no Deferred per
call, no timeout, no limit, no error handling: what any of those costs shows as the distance from here.
"""

from __future__ import annotations

import struct
from typing import Any

import msgpack
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from benchmarks.worker import NAMESPACE, Call, Finish, echo, main, rand_ints

_REQUEST = struct.Struct(">biBbH")
_RESPONSE = struct.Struct(">biBbbI")
_LENGTH = struct.Struct(">I")

_MSGPACK = 30

_FUNCTIONS = {f"{NAMESPACE}/echo": echo, f"{NAMESPACE}/rand-ints": rand_ints}


class FloorServer(Protocol):
    """Answers requests."""

    def __init__(self) -> None:
        self._rest = b""
        self._pack = msgpack.Packer().pack

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if self._rest:
            data = self._rest + data
        pos, end = 0, len(data)
        out: list[bytes] = []
        pack = self._pack
        while end - pos >= 9:
            _, tid, _, _, size = _REQUEST.unpack_from(data, pos)
            name_end = pos + 9 + size
            if end < name_end + 4:
                break
            body = name_end + 4
            stop = body + _LENGTH.unpack_from(data, name_end)[0]
            if end <= stop:
                break
            function = _FUNCTIONS[data[pos + 9 : name_end].decode()]
            result = pack(function(*msgpack.unpackb(data[body:stop])))
            out.append(_RESPONSE.pack(6, tid, 1, _MSGPACK, 0, len(result)) + result + b"\0")
            pos = stop + 1
        self._rest = data[pos:]
        self.transport.write(b"".join(out))


class FloorClient(Protocol):
    """Makes requests, and knows them by their ids when the answers come."""

    def __init__(self) -> None:
        self._rest = b""
        self._pack = msgpack.Packer().pack
        self._tid = 0
        self._pending: dict[int, tuple[Finish, float]] = {}
        self._out: list[bytes] = []
        self._reading = False

    def call(self, function: str, args: list[Any], finish: Finish, started: float) -> None:
        self._tid = tid = self._tid + 1
        self._pending[tid] = finish, started
        name = f"{NAMESPACE}/{function}".encode()
        data = self._pack(args)
        head = _REQUEST.pack(6, tid, 0, _MSGPACK, len(name))
        self._out.append(head + name + _LENGTH.pack(len(data)) + data + b"\0")
        if not self._reading:
            self._flush()

    def dataReceived(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        pos, end = 0, len(data)
        self._reading = True
        while end - pos >= 12:
            _, tid, _, _, _, size = _RESPONSE.unpack_from(data, pos)
            stop = pos + 12 + size
            if end <= stop:
                break
            finish, started = self._pending.pop(tid)
            finish(msgpack.unpackb(data[pos + 12 : stop]), started)
            pos = stop + 1
        self._reading = False
        self._rest = data[pos:]
        self._flush()

    def _flush(self) -> None:
        assert self.transport is not None
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()


class Floor:
    """See the module's docstring."""

    def serve(self) -> Deferred[int]:
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        listening: Deferred[Any] = endpoint.listen(Factory.forProtocol(FloorServer))
        return listening.addCallback(lambda port: port.getHost().port)

    def connect(self, port: int) -> Deferred[Call]:
        from twisted.internet import reactor

        connecting: Deferred[FloorClient] = connectProtocol(
            TCP4ClientEndpoint(reactor, "127.0.0.1", port), FloorClient()
        )
        return connecting.addCallback(lambda client: client.call)


if __name__ == "__main__":
    main({"floor": Floor})
