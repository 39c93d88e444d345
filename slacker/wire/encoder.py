"""Frames to bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from attrs import fields

from slacker.errors import ProtocolError
from slacker.wire.frames import (
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
    ServerHello,
)
from slacker.wire.memory import LARGE, keep_freed

_HEADER = struct.Struct(">biB")  # version, tid, type
_REQUEST = struct.Struct(">biBbH")  # ..., content type, length of the function's name
_RESPONSE = struct.Struct(">biBbbI")  # ..., content type, result code, length of the result
_INSPECT = struct.Struct(">biBbH")  # ..., command, length of the argument
_HEADER_BYTE = struct.Struct(">biBb")
_HEADER_INT = struct.Struct(">biBi")
_HEADER_U16 = struct.Struct(">biBH")
_BYTE = struct.Struct(">b")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_EXTENSION = struct.Struct(">hH")  # identifier, length of the value

#: The signed fields and their sizes; all other numbers on the wire are lengths.
_BITS = {"tid": 32, "target": 32, "content_type": 8, "code": 8, "command": 8}


def encode(frame: Frame) -> bytes:
    """The bytes of one frame.

    Version 5 has no extensions and drops them silently, as every peer does.

    :raises ProtocolError: when the format cannot hold the frame: a number out of range, a name or block too
        long, more than 127 extensions, a token that is not ASCII, a hello in version 5.
    """
    try:
        return _ENCODERS[frame.__class__](frame)
    except (struct.error, UnicodeError):
        raise ProtocolError(f"{type(frame).__name__} cannot be encoded: {_fault(frame)}") from None


def encode_request(tid: int, content_type: int, function: bytes, data: bytes) -> list[bytes]:
    """The hot path: a request of version 6 without extensions, with no frame built for it.

    :param function: the name in UTF-8, at most 65,535 bytes.
    :return: the frame in one piece, or around ``data`` if that is large.
    :raises struct.error: when a number or length is out of range; the caller makes sure of both.
    """
    size = len(data)
    pieces = [_REQUEST.pack(6, tid, 0, content_type, len(function)), function, _U32.pack(size), data, b"\0"]
    if size < LARGE:
        return [b"".join(pieces)]
    keep_freed()
    return pieces


def encode_response(tid: int, content_type: int, code: int, data: bytes) -> list[bytes]:
    """The hot path: a response of version 6 without extensions, with no frame built for it.

    :return: the frame in one piece, or around ``data`` if that is large.
    :raises struct.error: when a number or length is out of range; the caller makes sure of both.
    """
    size = len(data)
    pieces = [_RESPONSE.pack(6, tid, 1, content_type, code, size), data, b"\0"]
    if size < LARGE:
        return [b"".join(pieces)]
    keep_freed()
    return pieces


def _encode_request(frame: Request) -> bytes:
    name = frame.function.encode()
    data = frame.data
    head = _REQUEST.pack(_version(frame), frame.tid, 0, frame.content_type, len(name))
    return head + name + _U32.pack(len(data)) + data + _encode_extensions(frame)


def _encode_response(frame: Response) -> bytes:
    data = frame.data
    head = _RESPONSE.pack(_version(frame), frame.tid, 1, frame.content_type, frame.code, len(data))
    return head + data + _encode_extensions(frame)


def _encode_extensions(frame: Request | Response) -> bytes:
    if frame.version == 5:
        return b""
    if not frame.extensions:
        return b"\0"
    pieces = [_BYTE.pack(len(frame.extensions))]
    for identifier, value in frame.extensions:
        pieces.append(_EXTENSION.pack(identifier, len(value)))
        pieces.append(value)
    return b"".join(pieces)


def _encode_inspect_request(frame: InspectRequest) -> bytes:
    head = _INSPECT.pack(_version(frame), frame.tid, 7, frame.command, len(frame.data))
    return head + frame.data


def _encode_client_hello(frame: ClientHello) -> bytes:
    name = frame.name.encode()
    return _blob16(frame, 10, frame.software.encode()) + _U16.pack(len(name)) + name


def _blob16(frame: AuthRequest | InspectAck | ClientHello | ServerHello, kind: int, blob: bytes) -> bytes:
    return _HEADER_U16.pack(_version(frame), frame.tid, kind, len(blob)) + blob


def _version(frame: Frame) -> int:
    if frame.version == 6 or (frame.version == 5 and not isinstance(frame, (ClientHello, ServerHello))):
        return frame.version
    raise struct.error


def _refuse(frame: Malformed) -> bytes:
    raise struct.error


_ENCODERS: dict[type[Any], Callable[[Any], bytes]] = {
    Request: _encode_request,
    Response: _encode_response,
    Ping: lambda frame: _HEADER.pack(_version(frame), frame.tid, 2),
    Pong: lambda frame: _HEADER.pack(_version(frame), frame.tid, 3),
    Error: lambda frame: _HEADER_BYTE.pack(_version(frame), frame.tid, 4, frame.code),
    AuthRequest: lambda frame: _blob16(frame, 5, frame.token.encode("ascii")),
    AuthAck: lambda frame: _HEADER_BYTE.pack(_version(frame), frame.tid, 6, frame.code),
    InspectRequest: _encode_inspect_request,
    InspectAck: lambda frame: _blob16(frame, 8, frame.data),
    Interrupt: lambda frame: _HEADER_INT.pack(_version(frame), frame.tid, 9, frame.target),
    ClientHello: _encode_client_hello,
    ServerHello: lambda frame: _blob16(frame, 11, frame.software.encode()),
    Malformed: _refuse,
}


def _fault(frame: Frame) -> str:
    """Why ``frame``, which could not be encoded, could not: the first field the format has no room for."""
    if isinstance(frame, Malformed):
        return "it stands for a frame that could not be read"
    if frame.version not in (5, 6):
        return f"version {frame.version!r} is unknown; there are 5 and 6"
    for field in fields(frame.__class__):
        value = getattr(frame, field.name)
        if field.name in _BITS:
            if not _fits(value, _BITS[field.name]):
                return f"{field.name} {value!r} is no signed number of {_BITS[field.name]} bits"
        elif isinstance(value, str):
            charset = "ascii" if isinstance(frame, AuthRequest) else "utf-8"
            try:
                size = len(value.encode(charset))
            except UnicodeError:
                return f"{field.name} cannot be written in {charset.upper()}"  # unquoted: a token is secret
            if size > 0xFFFF:
                return f"{field.name} has {size} bytes; there is room for 65535"
        elif field.name == "data":
            room = 0xFFFFFFFF if isinstance(frame, (Request, Response)) else 0xFFFF
            if len(value) > room:
                return f"data has {len(value)} bytes; there is room for {room}"
        elif field.name == "extensions":
            return _extension_fault(value)
    return "a hello needs version 6"


def _extension_fault(extensions: Extensions) -> str:
    if len(extensions) > MAX_EXTENSIONS:
        return f"it has {len(extensions)} extensions; there is room for {MAX_EXTENSIONS}"
    for identifier, _ in extensions:
        if not _fits(identifier, 16):
            return f"extension id {identifier!r} is no signed number of 16 bits"
    return (
        f"extension values have {[len(value) for _, value in extensions]} bytes; there is room for 65535 each"
    )


def _fits(value: object, bits: int) -> bool:
    return isinstance(value, int) and -(1 << bits - 1) <= value < 1 << bits - 1
