"""Transit within JSON, content type 4; its verbose form, with JSON's own objects, is read too."""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any

from slacker.content.json import no_constant
from slacker.content.transit.encoding import Encoding
from slacker.content.transit.writer import SCALARS, TEXT_KEYS, integer, special

#: Integers beyond are text, as the numbers of other readers of JSON are floats.
_MAX_INTEGER = 2**53 - 1


def _make_map(nodes: list[Any]) -> list[Any]:
    return ["^ ", *nodes]


_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_decode = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=no_constant).decode


#: Escapes in JSON; those that are half a surrogate pair do not match the group.
_ESCAPE = re.compile(
    r"(\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u(?![dD][89a-fA-F])|\\[^u])"
    r"|\\u[0-9A-Fa-f]{4}"
)


def _to_tree(data: bytes) -> Any:
    text = str(data, "utf-8")
    if "\\ud" in text or "\\uD" in text:
        # Java's strings can hold such a half, and its writers make a question mark of it in all other types.
        text = _ESCAPE.sub(lambda escape: escape[1] or "?", text)
    return _decode(text)


CODEC = Encoding(
    "transit-json",
    {
        **SCALARS,
        int: lambda value: value if -_MAX_INTEGER <= value <= _MAX_INTEGER else integer(value),
        float: lambda value: value if isfinite(value) else special(value),
    },
    TEXT_KEYS,
    _make_map,
    lambda tree: _encode(tree).encode(),
    _to_tree,
).codec(4)
