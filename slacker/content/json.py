"""Content type 1, ``json``: written as the Clojure side writes it (cheshire), with JSON's few types.

Keywords, symbols and characters become strings, without colon; so do UUIDs; datetimes, to the second, as
``2026-11-22T10:38:17Z``; bytes, as base64; NaN and the infinities. Lists and sets become arrays, a ratio
becomes a float, and every map key a string. What is read is what JSON has; keys stay strings.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate
from json.encoder import encode_basestring
from math import isfinite, isnan
from typing import Any, NoReturn
from uuid import UUID

from slacker.content.codec import MAX_DEPTH, Codec
from slacker.content.refusal import Refusal, TooDeep, is_unicode, refuse
from slacker.content.types import plain, write_twin
from slacker.content.values import Char, Keyword, List, Map, Symbol, make_dict
from slacker.errors import ContentError

_string = encode_basestring  # quoted and escaped, not ASCII only; C where the interpreter has it


def _float(value: float) -> str:
    if isfinite(value):
        return repr(value)
    return '"NaN"' if isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise Refusal(value, "is a Decimal that is no number")
    return str(value)


def _ratio(value: Fraction) -> str:
    try:
        return repr(value.numerator / value.denominator)
    except OverflowError:
        raise Refusal(value, "is a ratio beyond the range of floats") from None


def _integer(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python's own limit, 4,300 digits
        raise Refusal(value, "is an integer with too many digits to write") from None


def _datetime(value: datetime) -> str:
    if value.utcoffset() is None:
        raise Refusal(value, "is a datetime without a time zone; give it one, as tzinfo=timezone.utc")
    try:
        in_utc = value.astimezone(timezone.utc)
    except OverflowError:
        raise Refusal(value, "is a datetime outside the years 1 to 9999 of UTC") from None
    return f'"{in_utc.replace(microsecond=0, tzinfo=None).isoformat()}Z"'


_SCALARS: dict[type, Callable[[Any], str]] = {
    str: _string,
    int: _integer,
    float: _float,
    bool: lambda value: "true" if value else "false",
    type(None): lambda _value: "null",
    Keyword: lambda value: _string(value.text),
    Symbol: lambda value: _string(value.text),
    Char: lambda value: _string(value.text),
    Fraction: _ratio,
    Decimal: _decimal,
    UUID: lambda value: f'"{value}"',
    datetime: _datetime,
    bytes: lambda value: f'"{base64.b64encode(value).decode("ascii")}"',
    bytearray: lambda value: f'"{base64.b64encode(value).decode("ascii")}"',
}

_ARRAYS = frozenset([list, tuple, List, set, frozenset])


def _write(value: Any, out: list[str], depth: int) -> None:
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        out.append(scalar(value))
    elif depth == MAX_DEPTH:
        raise TooDeep
    elif kind in _ARRAYS:
        out.append("[")
        for item in value:
            _write(item, out, depth + 1)
            out.append(",")
        _close(out, "]", value)
    elif kind is dict or kind is Map:
        out.append("{")
        seen = set()
        for key, item in value.items():
            text = _key(key)
            if text in seen:
                raise Refusal(value, f"has two keys that are both {text} in JSON")
            seen.add(text)
            out.append(text)
            out.append(":")
            _write(item, out, depth + 1)
            out.append(",")
        _close(out, "}", value)
    else:
        write_twin(value, lambda twin: _write(twin, out, depth))


def _close(out: list[str], bracket: str, container: object) -> None:
    if out[-1] == ",":
        out[-1] = bracket
    else:
        out.append(bracket)


def _key(key: Any) -> str:
    twin = key if type(key) in _SCALARS else plain(key)
    scalar = _SCALARS.get(type(twin))
    if twin is None or scalar is None:
        raise Refusal(key, "is a map key, and JSON's are text")
    text = scalar(twin)
    return text if text[0] == '"' else f'"{text}"'


def dumps(value: object) -> bytes:
    """``value`` as JSON, in UTF-8 and without spaces.

    :raises ContentError: it holds something that JSON cannot carry; the message says what and where.
    """
    out: list[str] = []
    try:
        _write(value, out, 0)
        return "".join(out).encode()
    except Exception as error:
        refuse("json", value, error)


_BRACKETS = re.compile(r'"[^"]*"|([\[\]{}])')
_STEPS = {"": 0, "[": 1, "{": 1, "]": -1, "}": -1}


def no_constant(text: str) -> NoReturn:
    """What Python's decoder asks for ``NaN`` and the infinities."""
    raise ContentError(f"{text} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=make_dict, parse_constant=no_constant).decode


def loads(data: bytes) -> Any:
    """The one value that ``data`` is.

    :raises ContentError: it is not one JSON value in UTF-8; the message names the place.
    """
    try:
        text = str(data, "utf-8")
        # Only a text with that many brackets can be nested too deeply.
        if text.count("[") + text.count("{") > MAX_DEPTH:
            unescaped = text.replace("\\\\", "").replace('\\"', "")
            depth = max(accumulate(map(_STEPS.__getitem__, _BRACKETS.findall(unescaped))))
            if depth > MAX_DEPTH:
                raise ContentError(f"it is nested more than {MAX_DEPTH} levels deep")
        value = _decode(text)
        if ("\\ud" in text or "\\uD" in text) and not is_unicode(value):
            raise ContentError("a string has half a surrogate pair, which is no Unicode text")
        return value
    except (ValueError, RecursionError) as error:
        raise ContentError(f"not a JSON payload: {error}") from None


CODEC = Codec("json", 1, dumps, loads)
