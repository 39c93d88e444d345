"""What travels between slacker peers: the numbers of the format, and one small value class per packet.

Every frame carries ``version`` (5 or 6, and an answer has its request's) and ``tid``, the transaction id: a
signed 32-bit number that an answer repeats. Numbers are plain ints: a peer may send a content type, result
code or inspect command that nobody has named, and its frame must still arrive. The enums below name the
known ones and compare equal.

The classes are not frozen because that makes them cheaper to build, and one is built per call.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeAlias

from attrs import define, field

#: The largest frame, in bytes, that is accepted unless told otherwise: the format itself has no limit below
#: 4 GiB, so that one length field could make a peer keep that much.
DEFAULT_MAX_FRAME = 8 * 1024 * 1024

#: How many extensions one frame can have: their number is a signed byte.
MAX_EXTENSIONS = 127

#: The version that is written unless a frame says otherwise.
DEFAULT_VERSION = 6

#: Identifiers and serialised values, in the order of the wire. A negative identifier marks a built-in
#: extension.
Extensions: TypeAlias = tuple[tuple[int, bytes], ...]


class PacketType(IntEnum):
    """The sixth byte of every frame."""

    REQUEST = 0
    RESPONSE = 1
    PING = 2
    PONG = 3
    ERROR = 4
    AUTH_REQUEST = 5
    AUTH_ACK = 6
    INSPECT_REQUEST = 7
    INSPECT_ACK = 8
    INTERRUPT = 9
    CLIENT_HELLO = 10
    SERVER_HELLO = 11


class ResultCode(IntEnum):
    """How a call ended."""

    SUCCESS = 0
    NOT_FOUND = 11
    EXCEPTION = 12
    THREAD_POOL_FULL = 13
    CANCELED = 14
    PROTOCOL_MISMATCH = 20
    INVALID_PACKET = 21
    ACL_REJECT = 22


class ContentType(IntEnum):
    """How a payload is serialised. The deflated ones are numbered upstream, but no peer implements them."""

    CARB = 0
    JSON = 1
    CLJ = 2
    NIPPY = 3
    TRANSIT_JSON = 4
    TRANSIT_MSGPACK = 5
    DEFLATE_CARB = 10
    DEFLATE_JSON = 11
    DEFLATE_CLJ = 12
    DEFLATE_NIPPY = 13
    #: This project's own. A Clojure peer waits for ever on it: send it to peers of this project only.
    MSGPACK = 30


class InspectCommand(IntEnum):
    """What an inspect request asks for."""

    FUNCTIONS = 0
    META = 1
    CLIENTS = 2


@define
class Request:
    """Call ``function`` (``namespace/function``) with ``data``, one serialised sequence of arguments.

    Extensions are kept in order, duplicates too; the last of a duplicate counts. Version 5 has none.
    """

    tid: int
    content_type: int
    function: str
    data: bytes
    extensions: Extensions = ()
    version: int = DEFAULT_VERSION


@define
class Response:
    """The end of a call: ``data`` is its serialised result, or with code 12 what the function raised."""

    tid: int
    content_type: int
    code: int
    data: bytes
    extensions: Extensions = ()
    version: int = DEFAULT_VERSION


@define
class Ping:
    """Are you there?"""

    tid: int = 0
    version: int = DEFAULT_VERSION


@define
class Pong:
    """I am."""

    tid: int = 0
    version: int = DEFAULT_VERSION


@define
class Error:
    """A call that ended without a payload; ``code`` is a :class:`ResultCode`."""

    tid: int
    code: int
    version: int = DEFAULT_VERSION


@define
class AuthRequest:
    """The client's token, in ASCII; a secret, so it is left out of the frame's repr."""

    tid: int
    token: str = field(repr=False)
    version: int = DEFAULT_VERSION


@define
class AuthAck:
    """Code 0: the token is accepted; 1: rejected."""

    tid: int
    code: int
    version: int = DEFAULT_VERSION


@define
class InspectRequest:
    """A question about the server: an :class:`InspectCommand` with ``data``, its argument in EDN."""

    tid: int
    command: int
    data: bytes
    version: int = DEFAULT_VERSION


@define
class InspectAck:
    """The answer to an inspect request, in EDN; at most 65,535 bytes."""

    tid: int
    data: bytes
    version: int = DEFAULT_VERSION


@define
class Interrupt:
    """Stop the call whose transaction id is ``target``."""

    target: int
    tid: int = 0
    version: int = DEFAULT_VERSION


@define
class ClientHello:
    """What a client is (``software``, for example ``0.18.0``) and calls itself. Version 6 only."""

    software: str
    name: str
    tid: int = 0
    version: int = DEFAULT_VERSION


@define
class ServerHello:
    """The answer to a client's hello. Version 6 only."""

    software: str
    tid: int = 0
    version: int = DEFAULT_VERSION


@define
class Malformed:
    """A frame with a clear end and wrong content; ``reason`` is a sentence for the log.

    Only the decoder makes it. Answer invalid-packet with its ``tid`` and ``version``; the connection can
    live on.
    """

    tid: int
    reason: str
    version: int = DEFAULT_VERSION


Frame: TypeAlias = (
    Request
    | Response
    | Ping
    | Pong
    | Error
    | AuthRequest
    | AuthAck
    | InspectRequest
    | InspectAck
    | Interrupt
    | ClientHello
    | ServerHello
    | Malformed
)
