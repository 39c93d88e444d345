"""Bytes to frames and back: the binary protocol that every slacker peer speaks, versions 5 and 6.

:func:`encode` writes one frame; a :class:`Decoder` per connection reads them. Nothing here knows a reactor
or a socket.
"""

from slacker.wire.decoder import Decoder
from slacker.wire.encoder import encode, encode_request, encode_response
from slacker.wire.frames import (
    DEFAULT_MAX_FRAME,
    AuthAck,
    AuthRequest,
    ClientHello,
    ContentType,
    Error,
    Frame,
    InspectAck,
    InspectCommand,
    InspectRequest,
    Interrupt,
    Malformed,
    PacketType,
    Ping,
    Pong,
    Request,
    Response,
    ResultCode,
    ServerHello,
)

__all__ = [
    "DEFAULT_MAX_FRAME",
    "AuthAck",
    "AuthRequest",
    "ClientHello",
    "ContentType",
    "Decoder",
    "Error",
    "Frame",
    "InspectAck",
    "InspectCommand",
    "InspectRequest",
    "Interrupt",
    "Malformed",
    "PacketType",
    "Ping",
    "Pong",
    "Request",
    "Response",
    "ResultCode",
    "ServerHello",
    "encode",
    "encode_request",
    "encode_response",
]
