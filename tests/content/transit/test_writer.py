"""The transit writer: forms that the vectors do not have, depth, and what it refuses."""

from __future__ import annotations

import json
from collections import namedtuple
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker.content import dumps, loads
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged, Unreadable
from slacker.errors import ContentError

_Point = namedtuple("_Point", "x y")
_BOTH = ("transit-json", "transit-msgpack")


class _Number(IntEnum):
    TWO = 2


_NOON = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=2)))
_UUID = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")

_FORMS: list[tuple[Any, str]] = [
    (2**53, '["~#\'","~i9007199254740992"]'),
    ([2**63, -(2**63)], '["~n9223372036854775808","~i-9223372036854775808"]'),
    ([Fraction(6, 2)], "[3]"),
    ([Fraction(1, 2)] * 2, '[["~#ratio",["~n1","~n2"]],["^0",["~n1","~n2"]]]'),
    (["~a", "^a", "`a", "", "a~"], '["~~a","~^a","~`a","","a~"]'),
    (_NOON, '["~#\'","~m1767348000000"]'),
    (_NOON + timedelta(microseconds=1500), '["~#\'","~t2026-01-02T10:00:00.001500Z"]'),
    (_UUID, f'["~#\'","~u{_UUID}"]'),
    ([bytearray(b"a"), memoryview(b"a")], '["~bYQ==","~bYQ=="]'),
    (_Point(2, _Number.TWO), "[2,2]"),
    ({_Number.TWO: 1}, '["^ ","~i2",1]'),
    (
        {None: 1, True: 2, 1.5: 3, Decimal(2): 4, float("nan"): 5, 2**63: 6},
        '["^ ","~_",1,"~?t",2,"~d1.5",3,"~f2",4,"~zNaN",5,"~n9223372036854775808",6]',
    ),
    ({_NOON: 1, _UUID: 2, Char("a"): 3}, f'["^ ","~m1767348000000",1,"~u{_UUID}",2,"~ca",3]'),
    ({False: Symbol("b"), b"a": 1}, '["^ ","~?f","~$b","~bYQ==",1]'),
    (Map({"a": 1}), '["^ ","a",1]'),
    ({(1,): 2, Keyword("abc"): Keyword("abc")}, '["~#cmap",[[1],2,"~:abc","^1"]]'),
    ({_Number.TWO: 1, frozenset(): 2}, '["~#cmap",[2,1,["~#set",[]],2]]'),
    ({Fraction(1, 2): 1}, '["~#cmap",[["~#ratio",["~n1","~n2"]],1]]'),
    ({1}, '["~#set",[1]]'),
    (Tagged("uri", "a:b"), '["~#\'","~ra:b"]'),
    (Tagged("uri", 1), '["~#uri",1]'),
    ([Tagged("a/b", List([1]))] * 2, '[["~#a/b",["~#list",[1]]],["^0",["^1",[1]]]]'),
    (Tagged("x", "a"), '["~#x","a"]'),
    ([Keyword("\U0001f600")] * 2, '["~:\U0001f600","^0"]'),
    ([Keyword("\u00e9")] * 2, '["~:\u00e9","~:\u00e9"]'),
]

_REFUSED: list[tuple[Any, str]] = [
    (object(), "it is of type object, which no content type has a form for"),
    ([Unreadable("a.B")], "[0] is of type slacker.content.values.Unreadable"),
    ([{"when": datetime(2026, 1, 1)}], '[0]["when"] is a datetime without a time zone'),
    (
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
        "it is a datetime outside the years 1 to 9999 of UTC",
    ),
    ([Char("\U0001f600")], "[0] is Char('\U0001f600'), which does not fit a character of transit (16 bits)"),
    (Decimal("Infinity"), "it is Decimal('Infinity'), and transit's decimals are finite"),
    ([10**5000], "[0] has more digits than Python writes (4,300)"),
    ([Fraction(1, 10**5000)], "[0] has more digits than Python writes (4,300)"),
    ([Tagged("set", [1])], "[0] has the tag 'set', which means something else in transit"),
    (Tagged("m", 0), "it has the tag 'm'"),
    ({Tagged("cmap", ()): 1}, ".key(Tagged(tag='cmap', value=())) has the tag 'cmap'"),
    ([Tagged("\ud800", 1)], "[0] holds half a surrogate pair"),
    ({"a": object()}, '["a"] is of type object'),
]


class WriterTests(SynchronousTestCase):
    """:func:`slacker.content.dumps` of both forms."""

    def test_forms(self) -> None:
        """As JSON shows them."""
        for value, text in _FORMS:
            self.assertEqual(dumps("transit-json", value).decode(), text)

    def test_what_is_written_is_read_back(self) -> None:
        """As the built-in type, where it was an instance of another."""
        for name in _BOTH:
            for value, _text in _FORMS:
                read = loads(name, dumps(name, value))
                if not isinstance(value, dict) or None not in value:  # NaN is equal to nothing
                    self.assertEqual(read, list(value) if isinstance(value, tuple) else value)

    def test_what_cannot_be_written_is_refused(self) -> None:
        """With the element and the reason."""
        for name in _BOTH:
            for value, reason in _REFUSED:
                error = self.assertRaises(ContentError, dumps, name, value)
                self.assertIn(f"{name} cannot carry this value: {reason}", str(error))

    def test_the_cache_begins_anew_when_it_is_full(self) -> None:
        """As the reader's does."""
        names = [Keyword(f"k{number:04}") for number in range(2000)]
        tree = json.loads(dumps("transit-json", [*names, names[0], names[1999], names[1936]]))
        self.assertEqual(tree[-3:], ["~:k0000", "^1C", "^0"])
