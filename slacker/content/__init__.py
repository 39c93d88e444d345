"""Values to bytes and back, by content type. Pure: no Twisted, no clock.

Each codec is a module with a ``CODEC``; the table here is all that knows of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slacker.content import edn, json, msgpack, nippy, transit
from slacker.content.codec import Codec
from slacker.content.types import register
from slacker.errors import ContentError

__all__ = ["BY_ID", "CODECS", "Codec", "dumps", "get", "loads", "register"]

#: The codecs by name. A plain dict: the look-up is part of every call.
CODECS: Final[Mapping[str, Codec]] = {
    codec.name: codec
    for codec in (json.CODEC, edn.CODEC, nippy.CODEC, transit.JSON, transit.MSGPACK, msgpack.CODEC)
}

#: The same codecs by the content-type byte of a frame.
BY_ID: Final[Mapping[int, Codec]] = {codec.wire_id: codec for codec in CODECS.values()}


def get(name: str) -> Codec:
    """The codec of this name.

    :raises ContentError: there is none; the message names those there are.
    """
    try:
        return CODECS[name]
    except KeyError:
        raise ContentError(f"unknown content type {name!r}; there are {', '.join(sorted(CODECS))}") from None


def dumps(name: str, value: object) -> bytes:
    """``value`` in the content type ``name``.

    :raises ContentError: no such content type, or it cannot carry the value; the message says which
        element and why.
    """
    return get(name).dumps(value)


def loads(name: str, data: bytes) -> Any:
    """The one value that ``data`` is in the content type ``name``.

    :raises ContentError: no such content type, or the bytes are not exactly one value of it.
    """
    return get(name).loads(data)
