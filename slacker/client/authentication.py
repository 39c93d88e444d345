"""How a client shows who it is: its token, and what servers say to it."""

from __future__ import annotations

from slacker.errors import ConfigurationError
from slacker.wire import AuthAck, Error, ResultCode

_MAX_TOKEN = 65_535  # its length is written in 16 bits


def checked_token(text: str) -> str:
    """``name:token``, as it travels.

    :raises ConfigurationError: if it is something else. It is a secret, so the message does not repeat it.
    """
    name, _, secret = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not name or not secret or not text.isascii() or not text.isprintable() or len(text) > _MAX_TOKEN:
        raise ConfigurationError("auth should be name:token, printable ASCII")
    return text


def rejection(answer: AuthAck | Error) -> str | None:
    """Why the server does not want this client, by its answer to the token; None if it does."""
    if isinstance(answer, AuthAck):
        return None if answer.code == 0 else "the server rejected this client's token (auth=)"
    if answer.code == ResultCode.INVALID_PACKET:
        return None  # it knows nothing of tokens, and asks for none
    if answer.code == ResultCode.ACL_REJECT:
        return "the server takes no token on this connection; it wants TLS (tls=)"
    return f"the server answered this client's token with code {answer.code}"
