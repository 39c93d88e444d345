"""What a server's answer means: a value, or which error."""

from __future__ import annotations

from typing import Any

from slacker.content import BY_ID
from slacker.content.values import Keyword
from slacker.errors import (
    AccessDenied,
    CallError,
    Canceled,
    ContentError,
    FunctionNotFound,
    PeerProtocolError,
    RemoteError,
    ServerBusy,
)
from slacker.wire import Error, Response, ResultCode

_ERRORS: dict[int, tuple[type[CallError], str]] = {
    ResultCode.NOT_FOUND: (FunctionNotFound, "{server} exposes no function {function}"),
    ResultCode.THREAD_POOL_FULL: (ServerBusy, "{server} takes no more calls for now; {function} did not run"),
    ResultCode.CANCELED: (Canceled, "{function} was canceled on {server}"),
    ResultCode.PROTOCOL_MISMATCH: (PeerProtocolError, "{server} does not speak this version of the protocol"),
    ResultCode.INVALID_PACKET: (PeerProtocolError, "{server} could not read the call of {function}"),
    ResultCode.ACL_REJECT: (AccessDenied, "{server} does not let this client call {function}"),
}


def value_of(response: Response) -> Any:
    """The result that a successful response carries.

    :raises ContentError: if it cannot be read.
    """
    codec = BY_ID.get(response.content_type)
    if codec is None:
        raise ContentError(f"an answer came in content type {response.content_type}, which is not known here")
    return codec.loads(response.data) if response.data else None


def error_of(answer: Response | Error, server: str, function: str) -> CallError:
    """The error that an answer other than success stands for."""
    if isinstance(answer, Response) and answer.code == ResultCode.EXCEPTION:
        message, traceback = _exception(answer)
        return RemoteError(
            f"{function} raised on {server}: {message}",
            remote_message=message,
            remote_traceback=traceback,
            server=server,
            function=function,
        )
    kind, text = _ERRORS.get(
        answer.code, (PeerProtocolError, "{server} answered {function} with the unknown code {code}")
    )
    return kind(
        text.format(server=server, function=function, code=answer.code), server=server, function=function
    )


def _exception(response: Response) -> tuple[str, str]:
    """Message and stack trace: a string, or from a peer in debug mode a map ``{:msg … :stacktrace […]}``."""
    try:
        said = value_of(response)
    except ContentError as error:
        return f"(what it said cannot be read: {error})", ""
    if isinstance(said, dict):
        fields = {key.name if isinstance(key, Keyword) else key: value for key, value in said.items()}
        if "msg" in fields:
            lines = fields.get("stacktrace")
            message = "(it has no message)" if fields["msg"] is None else str(fields["msg"])
            return message, "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    return said if isinstance(said, str) else repr(said), ""
