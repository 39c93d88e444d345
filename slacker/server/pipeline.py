"""One request's way: decode its arguments, call the function, encode what came out.

No reactor and no socket, so that it runs the same on the reactor and in a worker thread.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
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

#: How a call ended: its result code or :data:`UNREADABLE`, and the encoded result or error; empty where the
#: code says it all.
Outcome = tuple[int, bytes]

#: Bytes of a frame that are no result, save extensions.
AROUND_RESULT = 16

#: Characters of an exception's text that callers are told, and that are logged; and of a line of its stack
#: trace.
MOST_TEXT = 16_384
#: Characters of a stack trace; the last ones.
MOST_TRACE = 65_536

SUCCESS = int(ResultCode.SUCCESS)
EXCEPTION = int(ResultCode.EXCEPTION)
#: The exception of a call whose arguments cannot be read, so that nothing was called. In the protocol's
#: packets it is an exception like others, and HTTP has a status for it.
UNREADABLE = -1

_CODES: dict[type[BaseException], ResultCode] = {
    FunctionNotFound: ResultCode.NOT_FOUND,
    ServerBusy: ResultCode.THREAD_POOL_FULL,
    Canceled: ResultCode.CANCELED,
    AccessDenied: ResultCode.ACL_REJECT,
    PeerProtocolError: ResultCode.INVALID_PACKET,
}


class _UnreadableArguments(ContentError):
    """Told apart from what a function raises."""


def decode(codec: Codec, data: bytes, function: str) -> Sequence[Any]:
    """The arguments of a call; no payload and nil mean that there are none.

    :raises ContentError: if they cannot be read, or are no sequence.
    """
    if not data:
        return ()
    try:
        arguments = codec.loads(data)
    except ContentError as error:
        raise _UnreadableArguments(f"arguments of {function}: {error}") from None
    if arguments.__class__ is not list:
        if arguments is None:
            return ()
        if not isinstance(arguments, (list, tuple)):
            kind = type(arguments).__name__
            raise _UnreadableArguments(f"arguments of {function} should be one sequence, not {kind}")
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
    if len(data) > limit - AROUND_RESULT:
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
        told: Any = {Keyword("msg"): text, Keyword("stacktrace"): _stack_trace(error)}
    else:
        told = text
    code = UNREADABLE if isinstance(error, _UnreadableArguments) else EXCEPTION
    return code, codec.dumps(told)


def shortened(codec: Codec, request: Request, outcome: Outcome, room: int) -> Outcome:
    """What a caller is told instead of an outcome that does not fit into its frame, which would end the
    connection.

    :param room: bytes for the result; extensions take theirs.
    """
    code, data = outcome
    if code == SUCCESS:
        text = describe(
            ContentError(
                f"result of {request.function}: its {len(data)} bytes, beside the call's extensions, do not "
                "fit into a frame; return less at once, or raise max_frame on both sides"
            )
        )
    else:
        text, _ = told_of(codec, data)
    most = len(text)
    data = codec.dumps(text)
    while len(data) > room and most:
        most //= 2
        data = codec.dumps(_cut(text, most))
    return EXCEPTION, data if len(data) <= room else codec.dumps("")


def told_of(codec: Codec, data: bytes) -> tuple[str, list[str]]:
    """The text of an exception, and in debug mode its stack trace: what :func:`failure` has written."""
    try:
        told = codec.loads(data)
    except ContentError:  # an interceptor's own words
        told = None
    if isinstance(told, Mapping):
        told = {key.text if isinstance(key, Keyword) else key: value for key, value in told.items()}
        lines = told.get("stacktrace")
        return str(told.get("msg")), [str(line) for line in lines] if isinstance(lines, list) else []
    return told if isinstance(told, str) else "the call failed", []


def refusal(error: BaseException) -> Outcome | None:
    """The result code that one of our own errors stands for; None if it stands for none."""
    code = _CODES.get(type(error))
    return None if code is None else (int(code), b"")


def describe(error: BaseException) -> str:
    """Class and message of an exception in one text that every content type can carry, cut if it is long."""
    kind = ContentError if isinstance(error, _UnreadableArguments) else type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except BaseException:  # an exception whose own __str__ raises still has to reach the caller
        message = ""
    return _sendable(f"{name}: {message}" if message else name)


def _stack_trace(error: BaseException) -> list[str]:
    """Where it was raised, a line each: of a long one the last."""
    lines = [_sendable(line) for line in "".join(traceback.format_exception(error)).splitlines()]
    room = MOST_TRACE
    for count, line in enumerate(reversed(lines)):
        room -= len(line)
        if room < 0:
            return [f"({len(lines) - count} lines are cut here)", *lines[-count:]]
    return lines


def _sendable(text: str) -> str:
    """As much of it as callers are told, without the lone surrogates that cannot travel."""
    return _cut(text, MOST_TEXT).encode("utf-8", "replace").decode()


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters are cut)"
