"""One request's way: decode its arguments, call the function, encode what came out.

No reactor and no socket, so that it runs the same on the reactor and in a worker thread.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from twisted.logger import Logger

from slacker.content import Codec
from slacker.content.values import Keyword
from slacker.errors import (
    AccessDenied,
    Canceled,
    ContentError,
    FunctionNotFound,
    PeerProtocolError,
    ServerBusy,
)
from slacker.wire import Request, ResultCode

_log = Logger()

#: How a call ended: its result code, and the encoded result or error; empty where the code says it all.
Outcome = tuple[int, bytes]

_AROUND_RESULT = 16  # bytes of a frame that are none, save extensions

SUCCESS = int(ResultCode.SUCCESS)
EXCEPTION = int(ResultCode.EXCEPTION)
_CODES: dict[type[BaseException], ResultCode] = {
    FunctionNotFound: ResultCode.NOT_FOUND,
    ServerBusy: ResultCode.THREAD_POOL_FULL,
    Canceled: ResultCode.CANCELED,
    AccessDenied: ResultCode.ACL_REJECT,
    PeerProtocolError: ResultCode.INVALID_PACKET,
}


def decode(codec: Codec, data: bytes, function: str) -> Sequence[Any]:
    """The arguments of a call; no payload and nil mean that there are none.

    :raises ContentError: if they cannot be read, or are no sequence.
    """
    if not data:
        return ()
    try:
        arguments = codec.loads(data)
    except ContentError as error:
        raise ContentError(f"arguments of {function}: {error}") from None
    if arguments.__class__ is not list:
        if arguments is None:
            return ()
        if not isinstance(arguments, (list, tuple)):
            kind = type(arguments).__name__
            raise ContentError(f"arguments of {function} should be one sequence, not {kind}")
    return arguments  # type: ignore[no-any-return]  # it is a list here


def encode_result(codec: Codec, result: Any, function: str, limit: int) -> bytes:
    """What a function returned.

    :param limit: bytes of a frame. A caller that accepts no larger one would close the connection, and with
        it all its other calls.
    :raises ContentError: if the content type cannot carry it, or it does not fit into a frame.
    """
    try:
        data = codec.dumps(result)
    except ContentError as error:
        raise ContentError(f"result of {function}: {error}") from None
    if len(data) > limit - _AROUND_RESULT:
        raise ContentError(
            f"result of {function}: its {len(data)} bytes do not fit into a frame of {limit}; "
            "return less at once, or raise max_frame on both sides"
        )
    return data


def failure(codec: Codec, request: Request, error: BaseException, *, debug: bool) -> Outcome:
    """What a caller is told of an exception: its text, and in debug mode where it was raised."""
    text = describe(error)
    _log.info("{function!r} raised {error!r}", function=request.function, error=text)
    if debug:
        lines = "".join(traceback.format_exception(error)).splitlines()
        told: Any = {
            Keyword("msg"): text,
            Keyword("stacktrace"): [line.encode("utf-8", "replace").decode() for line in lines],
        }
    else:
        told = text
    return EXCEPTION, codec.dumps(told)


def refusal(error: BaseException) -> Outcome | None:
    """The result code that one of our own errors stands for; None if it stands for none."""
    code = _CODES.get(type(error))
    return None if code is None else (int(code), b"")


def describe(error: BaseException) -> str:
    """Class and message of an exception in one text that every content type can carry."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:  # an exception whose own __str__ raises still has to reach the caller
        message = ""
    text = f"{name}: {message}" if message else name
    return text.encode("utf-8", "replace").decode()  # lone surrogates cannot travel
