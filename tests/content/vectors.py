"""The values of ``tests/vectors/*.json`` in Python, and the entries of one file.

All files of content types have the same entries, by name; only their bytes differ.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged

_FOLDER = Path(__file__).parent.parent / "vectors"

_INTEGERS = {
    "one": 1,
    "minus-one": -1,
    "2^53-1": 2**53 - 1,
    "2^53": 2**53,
    "2^53+1": 2**53 + 1,
    "-2^53-1": -(2**53) - 1,
    "long-max": 2**63 - 1,
    "long-min": -(2**63),
    "java-byte-5": 5,
    "java-byte--5": -5,
    "java-short-5": 5,
    "java-short-1000": 1000,
    "java-int-5": 5,
    "atomic-long": 5,
    "bigint-1N": 1,
    "bigint-negbig": -123456789012345678901234567890,
    "bigint-2^63": 2**63,
    "bigint-128N": 128,
    "biginteger": 5,
    "biginteger-big": 98765432109876543210987654321,
    **{
        f"int{number}": number
        for number in (
            *(127, 128, -128, -129, 255, 383, -256, 32767, 32768, 65535, 65536, 65791),
            *(2147483647, 2147483648, 4294967295),
        )
    },
}

_FLOATS = {
    "java-float-1.5": 1.5,
    "double-0.0": 0.0,
    "double--0.0": -0.0,
    "double-1.0": 1.0,
    "double-0.1": 0.1,
    "double--3.14159e-200": -3.14159e-200,
    "double-1e21": 1e21,
    "double-1e7": 1e7,
    "double-0.0001": 0.0001,
    "double-max": 1.7976931348623157e308,
    "double-min": 5e-324,
    "double-nan": float("nan"),
    "double-inf": float("inf"),
    "double--inf": float("-inf"),
}

_STRINGS = {
    "str-empty": "",
    "str-a": "a",
    "str-hello": "hello",
    "str-escapes": 'q" b\\ n\n t\t r\r f\f b\b nul\x00 slash/ us\x1f del\x7f',
    "str-unicode": "h\u00e9llo w\u00f6rld \u6f22\u5b57 \u2028\u2029 \ufeff",
    "str-emoji": "\U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "str-31": "x" * 31,
    "str-127": "x" * 127,
    "str-255": "x" * 255,
    "str-256": "x" * 256,
    "str-300": "0123456789" * 30,
    "str-32767": "y" * 32767,
    "str-32768": "y" * 32768,
    "str-65535": "y" * 65535,
    "str-70000": "abcdefghij" * 7000,
    "str-caret": "^x",
    "str-backtick": "`x",
    "str-hash": "#x",
    "str-colon": ":x",
    "exception-str": "java.lang.RuntimeException: Expected exception.",
    "transit-tagged-uri": "http://x/~y",
}

_NAMES = {
    "char-a": Char("a"),
    "char-newline": Char("\n"),
    "char-space": Char(" "),
    "char-return": Char("\r"),
    "char-formfeed": Char("\f"),
    "char-backspace": Char("\b"),
    "char-nul": Char("\x00"),
    "char-quote": Char('"'),
    "char-paren": Char("("),
    "char-127": Char("\x7f"),
    "kw-a": Keyword("a"),
    "kw-dotted": Keyword("foo.bar/baz-qux?"),
    "kw-unicode": Keyword("\u00e9"),
    "kw-long": Keyword("k" * 200),
    "kw-slash": Keyword("a/b/c"),
    "sym-slash": Symbol("/"),
    "sym-plus": Symbol("+"),
    "sym-nan": Symbol("NaN"),
    "meta-sym": Symbol("a"),
    "class": Symbol("java.lang.String"),
}

_ONE_TO_THREE = [1, 2, 3]

_SEQUENCES = {
    "vec-2": [1, 2],
    "vec-4": [1, 2, 3, 4],
    "vec-nested": [[1, [2, [3, []]]], {}, frozenset()],
    "vec-mixed": [1, 2.5, "s", Keyword("k"), None, True, Char("c"), Symbol("sym")],
    **{f"vec-{size}": list(range(size)) for size in (32, 127, 128, 255, 256)},
    "vec-65535-zeros": [0] * 65535,
    "vec-of-ints": _ONE_TO_THREE,
    "subvec": [2, 3],
    "vec-of-seqs": [List([2]), List(), List([2])],
    "map-entry": [Keyword("a"), 1],
    "map-cache-rollover": [{Keyword(f"keyname{number}"): number} for number in [*range(50)] * 2],
    "vec-rep-strings": ["longstring"] * 2 + [Keyword("keyword")] * 2 + [Symbol("symbolx")] * 2,
    "java-arraylist": _ONE_TO_THREE,
    "stacktrace-element": [Symbol("slacker.example.api$make_error"), Symbol("invokeStatic"), "api.clj", 27],
    "stacktrace-element-mod": [Symbol("java.lang.Thread"), Symbol("run"), "Thread.java", 840],
    "args-0": [],
    "args-nil": [None],
    "args-2": [1, {Keyword("a"): [1, 2]}],
    "list-empty": List(),
    "list-3": List(_ONE_TO_THREE),
    "list-300": List(range(300)),
    "list-1": List([1]),
    "lazyseq-300": List(range(1, 301)),
    "range-5": List(range(5)),
    "cons": List(_ONE_TO_THREE),
    "map-keys": List([Keyword("a"), Keyword("b")]),
    "repeat": List([Keyword("x")] * 3),
    "java-linkedlist": List([1, 2]),
    "resp-rand-ints": List([1973067624, 1317594867, 1845257303, 1617460267, 468398056]),
    "quoted": List([Symbol("quote"), Symbol("a")]),
    "deref-quote": List([Symbol("quote"), Symbol("a")]),
    "eduction": List([2, 3]),
}

_MAPS = {
    "map-1": {Keyword("a"): 1},
    "map-int-keys": {1: Keyword("a"), 2: Keyword("b")},
    "map-nested": {Keyword("a"): {Keyword("b"): {Keyword("c"): [1, {Keyword("d"): None}]}}},
    "map-ns-keys": {Keyword("a/x"): 1, Keyword("a/y"): 2},
    "map-array-20": {number: number for number in range(20)},
    **{f"map-{size}": {number: number for number in range(size)} for size in (127, 128, 300)},
    "map-70000": dict.fromkeys(range(70000), True),
    "sorted-map": {Keyword("a"): 1, Keyword("b"): 2, Keyword("c"): 3},
    "sorted-map-empty": {},
    "array-map-order": {Keyword("z"): 1, Keyword("y"): 2, Keyword("x"): 3},
    "bigmap-ns": {Keyword("very.long.ns/key1"): 1, Keyword("very.long.ns/key2"): 2},
    "java-hashmap": {"a": 1},
    "java-treemap": {"a": 2, "b": 1},
    "zk-server-data": {Keyword("weight"): 3, Keyword("label"): Keyword("example")},
    "set-empty": frozenset(),
    "set-1": frozenset([1]),
    "set-70000": frozenset(range(70000)),
}

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NOW = datetime(2026, 11, 22, 10, 38, 17, 819000, tzinfo=timezone.utc)

_REST = {
    "true": True,
    "ratio--22/7": Fraction(-22, 7),
    "bigdec-1.50M": Decimal("1.50"),
    "bigdec-1E-10M": Decimal("1E-10"),
    "bigdec-long": Decimal("1234567890123456789012345678901234567890.0123456789"),
    "date-0": _EPOCH,
    "date-now": _NOW,
    "date-neg": _EPOCH - timedelta(milliseconds=1),
    "date-neg-1900": datetime(1900, 1, 1, tzinfo=timezone.utc),
    "sql-timestamp": _NOW,
}

#: By name, each value that EDN can hold: the value of its entry, in any content type that carries it.
VALUES: dict[str, Any] = {**_INTEGERS, **_FLOATS, **_STRINGS, **_NAMES, **_SEQUENCES, **_MAPS, **_REST}


def entries(name: str) -> dict[str, dict[str, Any]]:
    """The entries of ``<name>.json``, by their name."""
    text = (_FOLDER / f"{name}.json").read_text(encoding="utf-8")
    return {entry["name"]: entry for entry in json.loads(text)["entries"]}


def is_of(entry: dict[str, Any], data: bytes) -> bool:
    """Whether ``data`` are the bytes of the entry, of which the file may hold only the digest."""
    if "hex" in entry:
        return data == bytes.fromhex(entry["hex"])
    return (len(data), sha256(data).hexdigest()) == (entry["hex_bytes"], entry["hex_sha256"])


def _rotated(number: int, bits: int) -> int:
    return (number << bits | number >> (32 - bits)) & 0xFFFFFFFF


def hash_order(number: int) -> list[int]:
    """What to sort integers by, so that they come as Clojure's hash maps and sets have them.

    The maps are trees with 32 branches, by five bits of the hash at each level, the lowest first. The hash
    is MurmurHash 3 of the two halves of the 64 bits, and 0 for 0.
    """
    value = 0
    for half in (number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF):
        value ^= _rotated(half * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
        value = (_rotated(value, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    value ^= 8  # the length in bytes
    value = (value ^ value >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    value ^= value >> 16
    value *= number != 0
    return [value >> bits & 31 for bits in range(0, 35, 5)]


def shape(value: object, one_zero: bool = False) -> object:
    """A twin of ``value``: two are equal only if all types are the same, and ``-0.0`` is not ``0.0``.

    :param one_zero: take ``-0.0`` for ``0.0``.
    """
    if isinstance(value, (list, tuple, frozenset)):
        items = [shape(item, one_zero) for item in value]
        return type(value).__name__, frozenset(items) if isinstance(value, frozenset) else tuple(items)
    if isinstance(value, (dict, Map)):
        entries = frozenset((shape(key, one_zero), shape(item, one_zero)) for key, item in value.items())
        return type(value).__name__, entries
    if isinstance(value, Tagged):
        return "Tagged", value.tag, shape(value.value, one_zero)
    if isinstance(value, float):
        return "float", repr(value or 0.0 if one_zero else value)
    return type(value).__name__, value
