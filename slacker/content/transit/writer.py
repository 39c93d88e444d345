"""Values to transit's trees: lists, text, numbers, and the encoding's own form of a map."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from math import isfinite, isnan
from typing import Any
from uuid import UUID

from slacker.content.codec import MAX_DEPTH
from slacker.content.refusal import Refusal, TooDeep
from slacker.content.times import in_utc, since_epoch
from slacker.content.transit.cache import CODES, is_cacheable
from slacker.content.transit.reader import TAGS
from slacker.content.types import plain, write_twin
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged

#: Makes the node of a value.
Write = Callable[[Any], Any]


def escape(value: str) -> str:
    """A string that begins as transit's own texts do gets a tilde more."""
    return "~" + value if value and value[0] in "~^`" else value


def integer(value: int) -> str:
    """An integer as text: beyond 64 bits it is another type."""
    return f"~i{value}" if -(2**63) <= value < 2**63 else "~n" + _digits(value, value)


def _digits(number: int, value: object) -> str:
    try:
        return str(number)
    except ValueError:
        raise Refusal(value, "has more digits than Python writes (4,300)") from None


def special(value: float) -> str:
    """A float that is no number."""
    return "~zNaN" if isnan(value) else "~zINF" if value > 0 else "~z-INF"


def instant(value: datetime) -> str | int:
    """The milliseconds since 1970, or text where they are not enough."""
    milliseconds, microseconds = divmod(since_epoch(value), 1000)
    if not microseconds:
        return milliseconds
    return f"~t{in_utc(value).isoformat()}Z"


def _instant(value: datetime) -> str:
    moment = instant(value)
    return moment if isinstance(moment, str) else f"~m{moment}"


def _character(value: Char) -> str:
    if value.text > "\uffff":
        raise Refusal(value, f"is {value!r}, which does not fit a character of transit (16 bits)")
    return "~c" + value.text


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise Refusal(value, f"is {value!r}, and transit's decimals are finite")
    return f"~f{value}"


def _bytes(value: bytes | bytearray | memoryview) -> str:
    return "~b" + base64.b64encode(value).decode("ascii")


def _float(value: float) -> str:
    return f"~d{value!r}" if isfinite(value) else special(value)


def _same(value: Any) -> Any:
    return value


#: What is text in both encodings, also as a map key.
_TEXTS: dict[type, Write] = {
    str: escape,
    Keyword: lambda value: "~:" + value.text,
    Symbol: lambda value: "~$" + value.text,
    Char: _character,
    Decimal: _decimal,
    datetime: _instant,
    UUID: lambda value: f"~u{value}",
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
}

#: All that can be a key of the encoding's own maps, as text.
TEXT_KEYS: dict[type, Write] = {
    **_TEXTS,
    type(None): lambda _value: "~_",
    bool: lambda value: "~?t" if value else "~?f",
    int: integer,
    float: _float,
}

#: What is the same in both encodings where it is no key.
SCALARS: dict[type, Write] = {**_TEXTS, type(None): _same, bool: _same}


#: By type, the tag of what is an array behind a tag.
_ARRAYS: dict[type, str] = {List: "list", set: "set", frozenset: "set"}


class Writer:
    """One payload, with its cache.

    :param scalars: by type, what makes the nodes of values that are no containers: neither lists nor dicts.
    :param keys: by type, what makes the nodes of keys; a map with others is a ``cmap``.
    :param make_map: makes the node of a map from the nodes of its keys and values in turn.
    """

    def __init__(
        self,
        scalars: Mapping[type, Write],
        keys: Mapping[type, Write],
        make_map: Callable[[list[Any]], list[Any] | dict[Any, Any]],
    ) -> None:
        self.scalars = scalars
        self.keys = keys
        self.make_map = make_map
        self.codes: dict[str, str] = {}

    def top(self, value: object) -> Any:
        """The tree of ``value``; at the top, what is no container is quoted."""
        node = self.node(value, 0)
        return node if isinstance(node, (list, dict)) else ["~#'", node]

    def node(self, value: Any, depth: int) -> Any:
        """The tree of ``value``, so many levels deep in the whole; one stack frame a level."""
        kind = type(value)
        scalar = self.scalars.get(kind)
        if scalar is not None:
            node = scalar(value)
            return self.short(node, False) if type(node) is str else node
        if kind is Fraction:
            return self._ratio(value)
        if depth == MAX_DEPTH:
            raise TooDeep
        nodes: list[Any] = []
        append = nodes.append
        if kind is list or kind is tuple:
            for item in value:
                append(self.node(item, depth + 1))
            return nodes
        tag, items = _ARRAYS.get(kind), value
        if kind is dict or kind is Map:
            entries = value.items()
            keys = self.keys
            texts = keys.keys() >= set(map(type, value))
            if not texts:
                entries = [(_plain_key(key), item) for key, item in entries]
                texts = keys.keys() >= {type(key) for key, _item in entries}
            if texts:
                for key, item in entries:
                    node = keys[type(key)](key)
                    append(self.short(node, True) if type(node) is str else node)
                    append(self.node(item, depth + 1))
                return self.make_map(nodes)
            tag, items = "cmap", chain.from_iterable(value.items())
        if tag is not None:
            head = self.short("~#" + tag, False)
            for item in items:
                append(self.node(item, depth + 1))
            return [head, nodes]
        if kind is Tagged:
            if value.tag == "uri" and type(value.value) is str:
                return self.short("~r" + value.value, False)
            if value.tag in TAGS:
                raise Refusal(value, f"has the tag {value.tag!r}, which means something else in transit")
            return [self.short("~#" + value.tag, False), self.node(value.value, depth + 1)]
        return write_twin(value, lambda twin: self.node(twin, depth))

    def _ratio(self, value: Fraction) -> Any:
        if value.denominator == 1:
            return self.node(value.numerator, 0)
        parts = ["~n" + _digits(part, value) for part in (value.numerator, value.denominator)]
        return [self.short("~#ratio", False), parts]

    def short(self, text: str, as_key: bool) -> str:
        """``text``, or the code of it."""
        if is_cacheable(text, as_key):
            code = self.codes.get(text)
            if code is not None:
                return code
            if len(self.codes) == len(CODES):
                self.codes.clear()
            self.codes[text] = CODES[len(self.codes)]
        return text


def _plain_key(key: Any) -> Any:
    """The built-in value that ``key`` stands for, if it does; None cannot be one of those."""
    twin = plain(key)
    return key if twin is None else twin
