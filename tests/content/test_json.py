"""JSON beyond the vectors: what is refused both ways."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker.content.codec import MAX_DEPTH
from slacker.content.json import dumps, loads
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged
from slacker.errors import ContentError


class _Number(IntEnum):
    TWO = 2


class WriterTests(SynchronousTestCase):
    """:func:`slacker.content.json.dumps`."""

    def test_what_json_has_no_type_for_is_written_as_its_nearest(self) -> None:
        """As the Clojure side does it."""
        noon = datetime(2026, 1, 2, 12, 0, 0, 999999, tzinfo=timezone(timedelta(hours=2)))
        for value, text in (
            ((1, List([2])), "[1,[2]]"),
            ({1}, "[1]"),
            (Map({1: 2}), '{"1":2}'),
            ({Keyword("a/b"): Symbol("c"), "d": Char("e")}, '{"a/b":"c","d":"e"}'),
            ({2: 1, 2.5: 2, True: 3}, '{"2":1,"2.5":2,"true":3}'),
            ({_Number.TWO: _Number.TWO}, '{"2":2}'),
            ({UUID(int=1): 1}, '{"00000000-0000-0000-0000-000000000001":1}'),
            (noon, '"2026-01-02T10:00:00Z"'),
            (Fraction(1, 4), "0.25"),
            (Decimal("1.50"), "1.50"),
            ([], "[]"),
            ({}, "{}"),
            ([","], '[","]'),
            ("\u00e9\x00", '"\u00e9\\u0000"'),
        ):
            self.assertEqual(dumps(value).decode(), text)

    def test_what_cannot_be_written_is_refused(self) -> None:
        """With the reason."""
        for value, reason in (
            ({1: "a", "1": "b"}, 'it has two keys that are both "1" in JSON'),
            ([{Keyword("a"): 1, "a": 2}], '[0] has two keys that are both "a" in JSON'),
            ({(1, 2): 3}, "is a map key, and JSON's are text"),
            ({(): 3}, "is a map key"),
            ([Tagged("a/t", 1)], "Tagged, which JSON has no form for; use another content type"),
            (Tagged("a", 1), "is of type slacker.content.values.Tagged"),
            (Decimal("Infinity"), "is a Decimal that is no number"),
            (Fraction(10**400, 3), "is a ratio beyond the range of floats"),
            (10**5000, "is an integer with too many digits to write"),
            (datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))), "outside the years 1 to 9999"),
        ):
            error = self.assertRaises(ContentError, dumps, value)
            self.assertIn(reason, str(error))

    def test_no_key_is_null(self) -> None:
        """Whether a None would be ``"null"`` or ``""`` is a guess."""
        error = self.assertRaises(ContentError, dumps, {None: 3})
        self.assertIn(".key(None) is a map key, and JSON's are text", str(error))


class ReaderTests(SynchronousTestCase):
    """:func:`slacker.content.json.loads`."""

    def test_what_is_no_json_is_refused(self) -> None:
        """With the place, where there is one."""
        for data, reason in (
            (b"", "Expecting value: line 1 column 1 (char 0)"),
            (b"[1 2]", "char 3"),
            (b"1 2", "Extra data: line 1 column 3 (char 2)"),
            (b"[NaN]", "NaN is not JSON"),
            (b"-Infinity", "-Infinity is not JSON"),
            (b'{"a":1,"b":2,"a":3}', "two keys of one map are equal in Python: 'a' and 'a'"),
            (b'"\xff"', "can't decode byte 0xff"),
            (b"9" * 5000, "digits"),
            (b'["\\ud800"]', "half a surrogate pair"),
            (b'{"\\udc00":1}', "half a surrogate pair"),
        ):
            error = self.assertRaises(ContentError, loads, data)
            self.assertTrue(str(error).startswith("not a JSON payload: "))
            self.assertIn(reason, str(error))

    def test_surrogate_pairs_are_characters(self) -> None:
        """They are how JSON escapes what does not fit 16 bits."""
        self.assertEqual(loads(b'"\\ud83d\\ude00"'), "\U0001f600")

    def test_depth_is_bounded(self) -> None:
        """MAX_DEPTH levels are read, one more is refused; brackets in strings do not count."""
        value: Any = loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
        self.assertEqual(json.dumps(value), "[" * MAX_DEPTH + "]" * MAX_DEPTH)
        for piece in (b"[", b'{"a":'):
            error = self.assertRaises(ContentError, loads, piece * (MAX_DEPTH + 1))
            self.assertIn("nested more than 250 levels deep", str(error))
            self.assertRaises(ContentError, loads, piece * 100_000)
        for text in ("[" * 2000, '\\"' + "[" * 2000, "\\\\" + "{" * 2000):
            self.assertEqual(loads(f'["{text}",1]'.encode())[1], 1)
        self.assertEqual(loads(b"[" + b"[]," * 5000 + b"1]")[-1], 1)
