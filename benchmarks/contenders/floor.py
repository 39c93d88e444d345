"""The floor: the least that an RPC on Twisted can do.

A bare Protocol at both ends exchanges slacker's frames (version 6, msgpack, no extensions): a struct for the
header, a reused Packer, ``unpackb``, a dict of pending ids, one write per read, no byte copied that need not
be. There is no Deferred per call, no timeout, no limit, no error handling: what any of those costs shows as
the distance from here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgpack
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from benchmarks.worker import Call, Contender, Finish, main
from benchmarks.workloads import NAMESPACE, echo, rand_ints

_REQUEST = struct.Struct(">biBbH")
_RESPONSE = struct.Struct(">biBbbI")
_LENGTH = struct.Struct(">I")

_MSGPACK = 30

#: Bytes from which on a copy costs more than what avoids it.
_LARGE = 1 << 14

_FUNCTIONS = {f"{NAMESPACE}/echo": echo, f"{NAMESPACE}/rand-ints": rand_ints}


class FloorServer(Protocol):
    """Answers requests."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a frame that has begun
        self._missing = 0  # bytes of it, at least
        self._pack = msgpack.Packer().pack

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if self._rest:
            self._rest.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._rest)
        pos, end, missing = 0, len(data), 1
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
                missing = stop + 1 - end
                break
            function = _FUNCTIONS[data[pos + 9 : name_end].decode()]
            args = data[body:stop] if stop - body < _LARGE else memoryview(data)[body:stop]
            result = pack(function(*msgpack.unpackb(args)))
            head = _RESPONSE.pack(6, tid, 1, _MSGPACK, 0, len(result))
            if len(result) < _LARGE:
                out.append(head + result + b"\0")
            else:
                out += (head, result, b"\0")
            pos = stop + 1
        self._rest = [data[pos:]] if pos < end else []
        self._missing = missing
        if out:
            self.transport.write(b"".join(out))


class FloorClient(Protocol):
    """Makes requests, and knows them by their ids when the answers come."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._missing = 0
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
        head = _REQUEST.pack(6, tid, 0, _MSGPACK, len(name)) + name + _LENGTH.pack(len(data))
        if len(data) < _LARGE:
            self._out.append(head + data + b"\0")
        else:
            self._out += (head, data, b"\0")
        if not self._reading:
            self._flush()

    def dataReceived(self, data: bytes) -> None:
        if self._rest:
            self._rest.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._rest)
        pos, end, missing = 0, len(data), 1
        self._reading = True
        while end - pos >= 12:
            _, tid, _, _, _, size = _RESPONSE.unpack_from(data, pos)
            stop = pos + 12 + size
            if end <= stop:
                missing = stop + 1 - end
                break
            finish, started = self._pending.pop(tid)
            result = data[pos + 12 : stop] if size < _LARGE else memoryview(data)[pos + 12 : stop]
            finish(msgpack.unpackb(result), started)
            pos = stop + 1
        self._reading = False
        self._rest = [data[pos:]] if pos < end else []
        self._missing = missing
        self._flush()

    def _flush(self) -> None:
        assert self.transport is not None
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()


class Floor:
    """See the module's docstring."""

    def serve(self) -> Deferred[Any]:
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        listening: Deferred[Any] = endpoint.listen(Factory.forProtocol(FloorServer))
        return listening.addCallback(lambda port: port.getHost().port)

    def connect(self, where: Any) -> Deferred[Call]:
        from twisted.internet import reactor

        connecting: Deferred[FloorClient] = connectProtocol(
            TCP4ClientEndpoint(reactor, "127.0.0.1", where), FloorClient()
        )
        return connecting.addCallback(lambda client: client.call)


CONTENDERS: dict[str, Callable[[], Contender]] = {"floor": Floor}

if __name__ == "__main__":
    main(CONTENDERS)
