"""The Nippy writer: sizes, and what it refuses. (The vectors have what it writes for each type.)"""

from __future__ import annotations

from collections import namedtuple
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker.content.codec import MAX_DEPTH
from slacker.content.nippy import dumps, loads
from slacker.content.nippy.writer import _large, header
from slacker.content.refusal import Refusal
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged, Unreadable
from slacker.errors import ContentError

_Point = namedtuple("_Point", "x y")


class _Number(IntEnum):
    TWO = 2


_NOON = datetime(2026, 1, 2, 12, tzinfo=timezone(timedelta(hours=2)))

#: Values that the vectors do not have, and how they begin.
_FORMS: list[tuple[Any, str]] = [
    (2**63, "2c00000009"),
    (-(2**63) - 1, "2c00000009"),
    (2**71 - 1, "2c00000009"),
    (2**71, "2c0000000a"),
    (Fraction(6, 2), "6403"),
    (Decimal("-1E+3"), "3e00000001fffffffffd"),
    (Decimal("0.00"), "3e000000010000000002"),
    (_NOON, "5a"),
    (_NOON + timedelta(microseconds=1), "4f0000000069579720000003e8"),
    (datetime(1900, 1, 1, 0, 0, 0, 1, timezone.utc), "4fffffffff7c558180000003e8"),
    (UUID(int=1), "5b" + "00" * 15 + "01"),
    ((1, 2), "71"),
    (_Point(1, 2), "71"),
    (_Number.TWO, "6402"),
    ({1}, "6f01"),
    (Map({1: 2}), "7001"),
    (bytearray(b"a"), "070161"),
    (memoryview(b"a"), "070161"),
    (bytes(200), "0f00c8"),
    (Symbol("a" * 200), "5600c8"),
    (Keyword(""), "6a00"),
    (frozenset(range(200)), "2000c8"),
    (List(range(40_000)), "1400009c40"),
    (Tagged("uri", "a"), "47690161"),
    (Tagged("uri", 1), "2f062375726920" + "31"),
    (Tagged("a/b", [Keyword("c")]), "2f0923612f62205b3a635d"),
    (Tagged("a", "x" * 200), "3300cd"),
    (Tagged("a", "x" * 40_000), "3400009c45"),
    ([Tagged("a", frozenset([1]))], "6e012f07" + b"#a #{1}".hex()),
]

_REFUSED: list[tuple[Any, str]] = [
    (object(), "it is of type object, which no content type has a form for"),
    ([Unreadable("a.B")], "[0] is of type slacker.content.values.Unreadable"),
    ([{"when": datetime(2026, 1, 1)}], '[0]["when"] is a datetime without a time zone'),
    ([Char("\U0001f600")], "[0] is Char('\U0001f600'), which does not fit a character of nippy (16 bits)"),
    (Decimal("NaN"), "it is Decimal('NaN'), and nippy's decimals are finite"),
    (Decimal("1E+2147483649"), "it has an exponent that does not fit 32 bits"),
    (Decimal("1E-2147483648"), "it has an exponent that does not fit 32 bits"),
    (Decimal("1" * 4301), "it has more digits than Python reads (4,300)"),
    (Decimal("9" * 4300), "it consists of an integer of more than 1785 bytes"),
    ([Fraction(1, 2**14280)], "[0] consists of an integer of more than 1785 bytes"),
    ([Tagged("a", [b"x"])], "[0].value[0] is binary data, for which EDN has no form"),
    (Tagged("a b", 1), "it has the tag 'a b', which EDN would not read back as a tag"),
    ([Tagged("a", [Tagged("inst", 1)])], "[0].value[0] has the tag 'inst', which EDN reads back as"),
    ([Tagged("a", "\ud800")], "[0].value holds half a surrogate pair"),
]


class WriterTests(SynchronousTestCase):
    """:func:`slacker.content.nippy.dumps`."""

    def test_forms(self) -> None:
        """The smallest that Nippy has."""
        for value, start in _FORMS:
            self.assertTrue(dumps(value).hex().startswith(start), f"{value!r:.60} {dumps(value).hex()[:40]}")

    def test_what_is_written_is_read_back(self) -> None:
        """As the built-in type, where it was an instance of another."""
        for value, _start in _FORMS:
            read = loads(dumps(value))
            self.assertEqual(read, list(value) if isinstance(value, tuple) else value)

    def test_what_cannot_be_written_is_refused(self) -> None:
        """With the element and the reason."""
        for value, reason in _REFUSED:
            error = self.assertRaises(ContentError, dumps, value)
            self.assertIn(f"nippy cannot carry this value: {reason}", str(error))

    def test_sizes_end_at_31_bits(self) -> None:
        """Nothing as large as that fits a frame, either."""
        ids = (None, 1, 2, 3)
        self.assertEqual(header(ids, 2**31 - 1, "x"), b"\x03\x7f\xff\xff\xff")
        for call in (lambda: header(ids, 2**31, "x"), lambda: _large(3, 2**31, "x")):
            error = self.assertRaises(Refusal, call)
            self.assertEqual(
                error.reason, "has a size of 2147483648, and nippy's sizes are below 2 to the 31"
            )

    def test_depth_is_bounded(self) -> None:
        """MAX_DEPTH levels are written, and read; one more is refused, also where EDN text begins."""
        innermost: Any
        for innermost in ([], Tagged("a", [1]), Tagged("a", Tagged("b", 1))):
            levels = MAX_DEPTH - (2 if isinstance(innermost, Tagged) else 1)
            value: Any = innermost
            for _ in range(levels):
                value = [value]
            self.assertEqual(loads(dumps(value)), value)
            error = self.assertRaises(ContentError, dumps, [value])
            self.assertIn("nested more than 250 levels deep", str(error))
