"""The EDN writer: what it writes, and what it refuses because no reader would read it back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker.content.edn import dumps, loads, writer
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged, Unreadable
from slacker.errors import ContentError

_UTC = timezone.utc

WRITES: list[tuple[Any, str]] = [
    (None, "nil"),
    (True, "true"),
    (False, "false"),
    (2**63 - 1, "9223372036854775807"),
    (-(2**63), "-9223372036854775808"),
    (2**63, "9223372036854775808N"),
    (-(2**63) - 1, "-9223372036854775809N"),
    (1.0, "1.0"),
    (-0.0, "-0.0"),
    (1e300, "1e+300"),
    (float("nan"), "##NaN"),
    (float("inf"), "##Inf"),
    (float("-inf"), "##-Inf"),
    (Decimal("1.50"), "1.50M"),
    (Decimal("1E+3"), "1E+3M"),
    (Fraction(-22, 7), "-22/7"),
    (Fraction(4, 2), "2"),
    (Fraction(2**64), "18446744073709551616N"),
    ('a "b" \\ \n\t\r\f\b', '"a \\"b\\" \\\\ \\n\\t\\r\\f\\b"'),
    ("\x00\u00e9\u2028\U0001f600", '"\\u0000\u00e9\u2028\U0001f600"'),
    (Keyword("a/b"), ":a/b"),
    (Symbol("a.b"), "a.b"),
    (Char("a"), "\\a"),
    (Char("\n"), "\\newline"),
    (Char(","), "\\,"),
    (UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), '#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"'),
    (datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=_UTC), '#inst "2026-01-02T03:04:05.678-00:00"'),
    (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=_UTC), '#inst "2026-01-02T03:04:05.678901-00:00"'),
    (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))), '#inst "2026-01-01T22:00:00.000-00:00"'),
    ([], "[]"),
    ((1, [2]), "[1 [2]]"),
    (List(), "()"),
    (List([1, List([2])]), "(1 (2))"),
    ({}, "{}"),
    ({Keyword("a"): 1, "b": [2]}, '{:a 1, "b" [2]}'),
    ({(1, 2): 3}, "{[1 2] 3}"),
    ({Map({1: (2,)}): 3}, "{{1 [2]} 3}"),
    (set(), "#{}"),
    ({1}, "#{1}"),
    (frozenset([(1,)]), "#{[1]}"),
    (Map({1: 2}), "{1 2}"),
    (Map(), "{}"),
    (Tagged("a/b", [1]), "#a/b [1]"),
]

#: A value, and the message that refuses it.
REFUSES: list[tuple[Any, str]] = [
    (b"x", "it is binary data, for which EDN has no form"),
    ([bytearray(b"x")], "[0] is binary data"),
    ([1, {"when": datetime(2026, 1, 1)}], '[1]["when"] is a datetime without a time zone'),
    (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "outside the years 1 to 9999"),
    (
        {"a": (1, Keyword("a b"))},
        "[\"a\"][1] is ':a b', which EDN would not read back as a keyword of that name",
    ),
    (Keyword(""), "is ':'"),
    (Keyword(":a"), "is '::a'"),
    (Keyword("a/1"), "is ':a/1'"),
    (
        {Symbol("nil"): 1},
        ".key(Symbol('nil')) is 'nil', which EDN would not read back as a symbol of that name",
    ),
    (Symbol("true"), "is 'true'"),
    (Symbol("1a"), "is '1a'"),
    (Symbol("-1"), "is '-1'"),
    (Symbol(":a"), "is ':a'"),
    (Symbol("#a"), "is '#a'"),
    (Symbol(""), "is ''"),
    (Char("\U0001f600"), "which does not fit a character of EDN (16 bits)"),
    (Decimal("NaN"), "EDN's decimals are finite"),
    (Decimal("-Infinity"), "EDN's decimals are finite"),
    (Tagged("_", 1), "has the tag '_', which EDN would not read back as a tag"),
    (Tagged("a b", 1), "has the tag 'a b'"),
    ([Tagged("inst", "2026")], "[0] has the tag 'inst', which EDN reads back as a datetime"),
    ({"id": Tagged("uuid", 1)}, "[\"id\"] has the tag 'uuid', which EDN reads back as a UUID"),
    (Tagged("object", [1]), "it has the tag 'object', which EDN reads back as an Unreadable"),
    (10**5000, "more digits than Python writes"),
    (Fraction(10**5000, 3), "more digits than Python writes"),
    (["\ud800"], "[0] holds half a surrogate pair, which is no Unicode text"),
    ({"\udfff": 1}, "holds half a surrogate pair"),
    (Symbol("\ud800"), "it holds half a surrogate pair"),
    (Tagged("a\ud800", 1), "it holds half a surrogate pair"),
    (Unreadable("a.B"), "is of type slacker.content.values.Unreadable"),
]


class WriterTests(SynchronousTestCase):
    """:func:`slacker.content.edn.dumps`."""

    def test_every_value_is_written(self) -> None:
        """Each kind of value has its form, as Clojure prints it."""
        for value, text in WRITES:
            self.assertEqual(dumps(value).decode(), text, repr(value))

    def test_what_would_not_be_read_back_is_refused(self) -> None:
        """With the way to the element and the reason."""
        for value, message in REFUSES:
            error = self.assertRaises(ContentError, dumps, value)
            self.assertTrue(str(error).startswith("clj cannot carry this value: "), error)
            self.assertIn(message, str(error))

    def test_names_and_tags_that_are_written_are_read(self) -> None:
        """Whatever the writer lets through, the reader takes for the same name."""
        for text in ("a", "a/b", "/", "a#b", "'", "a:b", "é", "+a", "-", "a/b/c", "%", "a.b.c/d*"):
            for name in (Keyword(text), Symbol(text), [Keyword(text), Symbol(text)]):
                self.assertEqual(loads(dumps(name)), name)

    def test_few_names_are_remembered(self) -> None:
        """However many are written, and none that is long."""
        for number in range(writer._MAX_NAMES + 10):
            dumps(Keyword(f"n{number}"))
        self.assertLessEqual(len(writer._NAMES), writer._MAX_NAMES)
        dumps(Keyword("n" * 1000))
        self.assertNotIn(Keyword("n" * 1000), writer._NAMES)
