"""Transit within MessagePack, content type 5.

Clojure's side has MessagePack as it was until 2013, without binary data and without strings that have their
length in one byte: so it is written here. Modern MessagePack is read as well.
"""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any, NoReturn
from uuid import UUID

import msgpack

from slacker.content.transit.encoding import Encoding
from slacker.content.transit.writer import SCALARS, TEXT_KEYS, Write, instant, integer, special
from slacker.errors import ContentError


class _Entries(dict[Any, Any]):
    """A map with keys that are equal: two codes of the cache, of which the second was given out anew."""

    def __init__(self, nodes: list[Any]) -> None:
        self._pairs = list(zip(nodes[::2], nodes[1::2], strict=True))

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> Any:  # the packer goes through it, and no more
        return self._pairs


def _make_map(nodes: list[Any]) -> dict[Any, Any]:
    entries = dict(zip(nodes[::2], nodes[1::2], strict=True))
    return entries if len(entries) * 2 == len(nodes) else _Entries(nodes)


def _integer(value: int) -> Any:
    return value if -(2**63) <= value < 2**63 else integer(value)


def _float(value: float) -> Any:
    return value if isfinite(value) else special(value)


def _instant(value: datetime) -> Any:
    moment = instant(value)
    return moment if isinstance(moment, str) else ("~#m", moment)


def _uuid(value: UUID) -> Any:
    halves = value.bytes
    return "~#u", [int.from_bytes(half, "big", signed=True) for half in (halves[:8], halves[8:])]


_NUMBERS: dict[type, Write] = {int: _integer, float: _float}


def _no_extension(code: int, _data: bytes) -> NoReturn:
    raise ContentError(f"it has an extension of code {code}, and transit has none")


def _to_tree(data: bytes) -> Any:
    try:
        return msgpack.unpackb(
            data, object_pairs_hook=tuple, ext_hook=_no_extension, strict_map_key=False, timestamp=3
        )
    except (TypeError, ArithmeticError, MemoryError, RuntimeError) as error:
        raise ContentError(str(error) or type(error).__name__) from None


def _to_bytes(tree: Any) -> bytes:
    packed: bytes = msgpack.packb(tree, use_bin_type=False)
    return packed


def _same(value: Any) -> Any:
    return value


CODEC = Encoding(
    "transit-msgpack",
    {**SCALARS, **_NUMBERS, datetime: _instant, UUID: _uuid},
    {**TEXT_KEYS, **_NUMBERS, bool: _same, type(None): _same},
    _make_map,
    _to_bytes,
    _to_tree,
).codec(5)
