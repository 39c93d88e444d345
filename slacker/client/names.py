"""What a caller gives, checked: names of functions and of content types, seconds, counts."""

from __future__ import annotations

from functools import lru_cache

from slacker import content
from slacker.errors import ConfigurationError, SlackerError

_LONGEST = 1e15  # seconds: for ever, and 64 bits hold it in milliseconds, which deadlines travel in
_MAX_NAME = 65_535  # bytes; a name's length is written in 16 bits


@lru_cache(maxsize=4096)  # names are few; a caller that makes them up costs no more than this
def wire_name(namespace: str, function: str) -> bytes:
    """``namespace/function`` as it stands in a request.

    :raises ConfigurationError: if it cannot be such a name.
    """
    if not namespace or "/" in namespace or not function:
        raise ConfigurationError(
            f"{namespace!r} and {function!r} should be a namespace without a slash and the name of a function"
        )
    try:
        name = f"{namespace}/{function}".encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{namespace!r}/{function!r} is no text that UTF-8 can carry") from None
    if len(name) > _MAX_NAME:
        raise ConfigurationError(f"a function's name of {len(name)} bytes is longer than {_MAX_NAME}")
    return name


def codec_named(name: str) -> content.Codec:
    """The codec of this name.

    :raises ConfigurationError: if there is none.
    """
    try:
        return content.get(name)
    except SlackerError as error:
        raise ConfigurationError(str(error)) from None


def seconds(what: str, value: object) -> float:
    """A time that something may take.

    :raises ConfigurationError: if it is no finite number above 0.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _LONGEST:
        return value
    raise ConfigurationError(f"{what} should be a number of seconds above 0, not {value!r}")


def whole(what: str, value: object, least: int) -> int:
    """A count.

    :raises ConfigurationError: if it is no whole number, or less than the least.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise ConfigurationError(f"{what} should be a whole number, {least} or more, not {value!r}")
