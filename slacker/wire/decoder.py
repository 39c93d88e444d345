"""Bytes to frames. No reactor, no clock: whoever owns the connection feeds.

A frame has no outer length prefix; its end is known only by walking its length fields. So there are two
ways through the decoder. The requests and responses that make nearly all the traffic (version 6, no
extensions, whole in one read) are unpacked in one pass straight from the read. Everything else is first
*measured*, one length field after the other, against the frame limit and before anything is kept, and
parsed once it is whole. What a frame that a read cuts carries, which may be large, is collected apart, as the
bytes that the frame will have.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import repeat

from slacker.errors import ProtocolError
from slacker.wire.frames import (
    DEFAULT_MAX_FRAME,
    MAX_EXTENSIONS,
    AuthAck,
    AuthRequest,
    ClientHello,
    Error,
    Extensions,
    Frame,
    InspectAck,
    InspectRequest,
    Interrupt,
    Malformed,
    Ping,
    Pong,
    Request,
    Response,
    ResultCode,
    ServerHello,
)
from slacker.wire.memory import LARGE, keep_freed

_HEADER = struct.Struct(">biB")  # version, tid, type
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_INT = struct.Struct(">i")
_EXTENSION = struct.Struct(">hH")  # identifier, length of the value

# Bound once for the hot path: the header with content type and length of the name; with content type, result
# code and length of the result.
_unpack_request = struct.Struct(">biBbH").unpack_from
_unpack_response = struct.Struct(">biBbbI").unpack_from
_unpack_u32 = _U32.unpack_from


class Decoder:
    """Turns what one connection receives into frames, whatever way it was cut into reads.

    At most one unfinished frame is kept, so that a decoder never holds more than ``max_frame`` bytes.

    :param max_frame: the largest frame to accept, in bytes.
    """

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self.limit(max_frame)
        self._refused = ""
        self._partial = bytearray()  # the frame whose end has not come yet, save its body; grows in place
        self._start_frame()

    def limit(
        self,
        max_frame: int,
        advice: str = "send less, or raise max_frame on the receiving side",
        code: ResultCode = ResultCode.INVALID_PACKET,
    ) -> None:
        """Accept frames of so many bytes, from the next :meth:`feed` on.

        :param advice: what the refusal of a larger one says to do about it.
        :param code: what an error packet about that should carry.
        """
        self._max_frame = max_frame
        self._advice = advice
        self._code = code

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes, in order; what is left is kept until more comes.

        :raises ProtocolError: when the bytes cannot be a frame, or announce one above the limit. Its
            ``frames`` are the good ones before; ``version``, ``tid`` and ``code`` what an error packet
            should carry. Where the next frame begins is unknown then: close the connection; further feeding
            raises again.
        """
        if self._refused:
            raise ProtocolError(f"nothing can be read after a frame that was refused: {self._refused}")
        frames: list[Frame] = []
        try:
            self._decode(data, self._complete(data, 0, frames) if self._partial else 0, frames)
        except ProtocolError as error:
            self._refused = str(error)
            self._partial.clear()
            self._start_frame()
            error.frames = frames
            raise
        return frames

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun that has not ended."""
        return bool(self._partial)

    def _decode(self, data: bytes, pos: int, frames: list[Frame]) -> None:
        """Read ``data`` from ``pos`` on, where a frame begins; keep an unfinished one at its end."""
        end = len(data)
        limit = self._max_frame
        while pos < end:
            # The hot path: it recognises a plain frame that is whole, and leaves all else, errors too, to
            # measuring.
            try:
                kind = data[pos + 5]
                if kind == 0:
                    version, tid, _, content_type, size = _unpack_request(data, pos)
                    name = pos + 9
                    name_end = name + size
                    body = name_end + 4
                    stop = body + _unpack_u32(data, name_end)[0]
                    if version == 6 and data[stop] == 0 and stop - pos < limit:
                        function = str(data[name:name_end], "utf-8")
                        frames.append(Request(tid, content_type, function, data[body:stop]))
                        pos = stop + 1
                        continue
                elif kind == 1:
                    version, tid, _, content_type, code, size = _unpack_response(data, pos)
                    body = pos + 12
                    stop = body + size
                    if version == 6 and data[stop] == 0 and stop - pos < limit:
                        frames.append(Response(tid, content_type, code, data[body:stop]))
                        pos = stop + 1
                        continue
            except (IndexError, struct.error, UnicodeDecodeError):
                pass
            if self._measure(data, pos):
                frames.append(_parse(data, pos, None))
                pos += self._need
                self._start_frame()
            else:
                self._start_frame()
                pos = self._complete(data, pos, frames)

    def _complete(self, data: bytes, pos: int, frames: list[Frame]) -> int:
        """Add to the unfinished frame no more than belongs to it; where in ``data`` that ends.

        Each byte is copied here once, however small the reads, since measuring goes on where it stopped.
        """
        while self._missing or not self._measure(self._partial, 0):
            piece = data[pos : pos + (self._missing or self._need - len(self._partial))]
            if not piece:
                return pos
            pos += len(piece)
            if self._missing:
                assert self._body is not None
                self._body.write(piece)
                self._missing -= len(piece)
            else:
                self._partial += piece
        body = None if self._body is None else self._body.getvalue()  # what was written, and no copy of it
        with memoryview(self._partial) as rest:
            frames.append(_parse(rest, 0, body))
        self._partial.clear()
        self._start_frame()
        return pos

    def _start_frame(self) -> None:
        # So many bytes must be here before more is known of the frame, the last _width of them a length;
        # _fields are the length fields after that one, None before the type is known.
        self._need = _HEADER.size
        self._width = 0
        self._fields: Iterator[tuple[int, int]] | None = None
        # What it carries, if that is collected apart: so many bytes, of which so many are missing.
        self._body: BytesIO | None = None
        self._apart = 0
        self._missing = 0

    def _measure(self, buffer: bytes | bytearray, start: int) -> bool:
        """Whether the frame that begins at ``start`` is whole; ``_need`` is its size then, save a body apart.

        :raises ProtocolError: as soon as a length is known that makes the frame exceed the limit.
        """
        have = len(buffer) - start
        while have >= self._need:
            if self._fields is None:
                self._fields = _length_fields(buffer, start)
                length = 0
            elif self._width:
                end = start + self._need
                length = int.from_bytes(buffer[end - self._width : end], "big")
                if self._width == 1:  # the number of extensions
                    if length > MAX_EXTENSIONS:
                        message = f"the number of extensions is negative ({length - 256})"
                        raise _refusal(message, buffer, start)
                    self._fields = repeat((2, 2), length)
                    length = 0
                elif self._width == 4 and buffer is self._partial:  # the size of a body, which comes next
                    self._apart, length = length, 0
            else:
                return True
            gap, self._width = next(self._fields, (0, 0))
            self._need += length + gap + self._width
            if self._need + self._apart > self._max_frame:
                message = (
                    f"a frame of {self._need + self._apart} bytes or more exceeds the limit of "
                    f"{self._max_frame} bytes; {self._advice}"
                )
                raise _refusal(message, buffer, start, self._code)
            if self._apart and self._body is None:
                if self._apart >= LARGE:
                    keep_freed()
                self._body = BytesIO()
                self._missing = self._apart
                return False
        return False


# Each type's length fields in order, as (bytes before it, its own size). Size 0 ends a frame that has no
# more of them; size 1 is the number of extensions, each of which has a length field of its own.
_LENGTH_FIELDS: dict[int, tuple[tuple[int, int], ...]] = {
    0: ((1, 2), (0, 4)),
    1: ((2, 4),),
    2: (),
    3: (),
    4: ((1, 0),),
    5: ((0, 2),),
    6: ((1, 0),),
    7: ((1, 2),),
    8: ((0, 2),),
    9: ((4, 0),),
}
_LENGTH_FIELDS_V6 = {
    **_LENGTH_FIELDS,
    0: ((1, 2), (0, 4), (0, 1)),
    1: ((2, 4), (0, 1)),
    10: ((0, 2), (0, 2)),
    11: ((0, 2),),
}


def _length_fields(buffer: bytes | bytearray, start: int) -> Iterator[tuple[int, int]]:
    version, _, kind = _HEADER.unpack_from(buffer, start)
    if version == 6:
        table = _LENGTH_FIELDS_V6
    elif version == 5:
        table = _LENGTH_FIELDS
    else:
        message = f"protocol version {version} is unknown; there are 5 and 6"
        raise _refusal(message, buffer, start, ResultCode.PROTOCOL_MISMATCH)
    if kind not in table:
        raise _refusal(f"packet type {kind} is unknown in protocol version {version}", buffer, start)
    return iter(table[kind])


def _refusal(
    message: str, buffer: bytes | bytearray, start: int, code: ResultCode = ResultCode.INVALID_PACKET
) -> ProtocolError:
    version, tid, _ = _HEADER.unpack_from(buffer, start)
    return ProtocolError(message, version=5 if version == 5 else 6, tid=tid, code=int(code))


def _parse(data: bytes | memoryview, pos: int, body: bytes | None) -> Frame:
    """The frame at ``pos``, which is known to be whole and of a known version and type.

    :param body: what it carries, where that is not in ``data``.
    """
    version, tid, kind = _HEADER.unpack_from(data, pos)
    pos += _HEADER.size
    try:
        if kind == 0:
            return _parse_request(data, pos, tid, version, body)
        if kind == 1:
            return _parse_response(data, pos, tid, version, body)
        return _PARSERS[kind](data, pos, tid, version)
    except UnicodeDecodeError as error:
        reason = f"a text in a packet of type {kind} is not {error.encoding.upper()}: {error.reason}"
        return Malformed(tid, reason, version)


def _parse_request(data: bytes | memoryview, pos: int, tid: int, version: int, body: bytes | None) -> Request:
    function, end = _read_blob16(data, pos + 1)
    body, end = _read_body(data, end, body)
    extensions = _parse_extensions(data, end, version)
    return Request(tid, _signed(data[pos]), str(function, "utf-8"), body, extensions, version)


def _parse_response(
    data: bytes | memoryview, pos: int, tid: int, version: int, body: bytes | None
) -> Response:
    body, end = _read_body(data, pos + 2, body)
    extensions = _parse_extensions(data, end, version)
    return Response(tid, _signed(data[pos]), _signed(data[pos + 1]), body, extensions, version)


def _read_body(data: bytes | memoryview, pos: int, body: bytes | None) -> tuple[bytes, int]:
    begin = pos + 4
    if body is not None:
        return body, begin
    end = begin + _U32.unpack_from(data, pos)[0]
    return bytes(data[begin:end]), end


def _parse_extensions(data: bytes | memoryview, pos: int, version: int) -> Extensions:
    if version == 5:
        return ()
    extensions = []
    count = data[pos]
    pos += 1
    for _ in range(count):
        identifier, size = _EXTENSION.unpack_from(data, pos)
        pos += 4 + size
        extensions.append((identifier, bytes(data[pos - size : pos])))
    return tuple(extensions)


def _parse_client_hello(data: bytes | memoryview, pos: int, tid: int, version: int) -> Frame:
    software, end = _read_blob16(data, pos)
    name, _ = _read_blob16(data, end)
    return ClientHello(str(software, "utf-8"), str(name, "utf-8"), tid, version)


def _read_blob16(data: bytes | memoryview, pos: int) -> tuple[bytes, int]:
    begin = pos + 2
    end = begin + _U16.unpack_from(data, pos)[0]
    return bytes(data[begin:end]), end


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


_PARSERS: dict[int, Callable[[bytes | memoryview, int, int, int], Frame]] = {
    2: lambda data, pos, tid, version: Ping(tid, version),
    3: lambda data, pos, tid, version: Pong(tid, version),
    4: lambda data, pos, tid, version: Error(tid, _signed(data[pos]), version),
    5: lambda data, pos, tid, version: AuthRequest(tid, str(_read_blob16(data, pos)[0], "ascii"), version),
    6: lambda data, pos, tid, version: AuthAck(tid, _signed(data[pos]), version),
    7: lambda data, pos, tid, version: InspectRequest(
        tid, _signed(data[pos]), _read_blob16(data, pos + 1)[0], version
    ),
    8: lambda data, pos, tid, version: InspectAck(tid, _read_blob16(data, pos)[0], version),
    9: lambda data, pos, tid, version: Interrupt(_INT.unpack_from(data, pos)[0], tid, version),
    10: _parse_client_hello,
    11: lambda data, pos, tid, version: ServerHello(str(_read_blob16(data, pos)[0], "utf-8"), tid, version),
}
