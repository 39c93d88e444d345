"""One request's way: decode its arguments, call the function, encode what came out.

Pure: no reactor and no socket, so that it runs the same on the reactor and in a worker thread.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from slacker.content import Codec
from slacker.errors import ContentError
from slacker.server.functions import Function
from slacker.wire import Request, Response, ResultCode, encode, encode_response

_log = Logger()

_SUCCESS = int(ResultCode.SUCCESS)
_EXCEPTION = int(ResultCode.EXCEPTION)


def invoke(function: Function, codec: Codec, request: Request) -> Any:
    """What the function returns for the request's arguments; raises what it raises.

    :raises ContentError: if the arguments cannot be read, or are no sequence.
    """
    data = request.data
    if not data:
        return function.call()
    try:
        arguments = codec.loads(data)
    except ContentError as error:
        raise ContentError(f"arguments of {request.function}: {error}") from None
    if arguments.__class__ is not list:
        if arguments is None:
            return function.call()
        if not isinstance(arguments, (list, tuple)):
            kind = type(arguments).__name__
            raise ContentError(f"arguments of {request.function} should be one sequence, not {kind}")
    return function.call(*arguments)


def respond(codec: Codec, request: Request, result: Any) -> bytes:
    """The frame that answers ``request`` with ``result``.

    :raises ContentError: if the content type cannot carry the result.
    """
    try:
        data = codec.dumps(result)
    except ContentError as error:
        raise ContentError(f"result of {request.function}: {error}") from None
    if request.extensions or request.version != 6:
        return _answer(request, codec, _SUCCESS, data)
    return encode_response(request.tid, codec.wire_id, _SUCCESS, data)


def fail(codec: Codec, request: Request, error: BaseException) -> bytes:
    """The frame that tells the caller of ``request`` what the function raised."""
    text = describe(error)
    _log.info("{function!r} raised {error!r}", function=request.function, error=text)
    data = codec.dumps(text)
    return _answer(request, codec, _EXCEPTION, data)


def _answer(request: Request, codec: Codec, code: int, data: bytes) -> bytes:
    extensions = tuple(dict(request.extensions).items())  # they come back, of a duplicate id the last
    return encode(Response(request.tid, codec.wire_id, code, data, extensions, request.version))


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
