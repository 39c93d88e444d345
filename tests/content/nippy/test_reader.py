"""The Nippy reader: every id, old and new; the cache; bounds; what it makes of bytes that are not Nippy's."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from time import process_time
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker.content.codec import MAX_DEPTH, MAX_PART
from slacker.content.nippy import loads
from slacker.content.nippy.atoms import _KEYWORDS, _MAX_KEYWORDS, ATOMS, EDN
from slacker.content.nippy.reader import _CACHED, _CONTAINERS, _REFUSED
from slacker.content.values import Char, Keyword, List, Symbol, Tagged, Unreadable
from slacker.errors import ContentError
from tests.content.stacks import with_frames_left
from tests.content.vectors import shape

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_A, _B = Keyword("a"), Keyword("b")
_UUID = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
_ELEMENT = "0001610002c3a90005612e636c6a0000001b"

#: Every id, by its number, with one payload or more. "01", for one, is the text :a in the form of Nippy 0.9.
_FORMS: list[tuple[str, Any]] = [
    ("03", None),
    ("08", True),
    ("09", False),
    ("0400", False),
    ("0401", True),
    ("0a00e9", Char("\u00e9")),
    ("0adc00", Char("?")),
    # integers
    ("00", 0),
    ("647f", 127),
    ("6480", -128),
    ("658000", -(2**15)),
    ("6680000000", -(2**31)),
    ("2b8000000000000000", -(2**63)),
    ("28ff", -1),
    ("29ffff", -1),
    ("2affffffff", -1),
    ("5781", 1),
    ("577f", 255),
    ("5780", 0),
    ("587fff", 65535),
    ("597fffffff", 2**32 - 1),
    ("5d81", -1),
    ("5d7f", -255),
    ("5e7fff", -65535),
    ("5f7fffffff", 1 - 2**32),
    ("2c0000000101", 1),
    ("2c00000009ff0000000000000000", -(2**64)),
    ("2d00000000", 0),
    # other numbers
    ("460000000101" + "0000000102", Fraction(1, 2)),
    ("460000000104" + "00000001fe", -2),
    ("3e00000001ff" + "00000002", Decimal("-0.01")),
    ("3e0000000105" + "fffffffe", Decimal("5E+2")),
    ("37", 0.0),
    ("3c3fc00000", 1.5),
    ("3d8000000000000000", -0.0),
    # text
    ("22", ""),
    ("6902c3a9", "\u00e9"),
    ("608161", "a"),
    ("6000" + "61" * 128, "a" * 128),
    ("10000161", "a"),
    ("0d0000000161", "a"),
    ("0b000161", "a"),
    ("0b0008" + "c080" + "eda0bd" + "edb880", "\0\U0001f600"),
    # bytes
    ("35", b""),
    ("070100", b"\x00"),
    ("0f000100", b"\x00"),
    ("020000000100", b"\x00"),
    # names
    ("6a03612f62", Keyword("a/b")),
    ("6a03612f62", Keyword("a/b")),
    ("55000161", _A),
    ("0e0000000161", _A),
    ("4d0000000161", _A),
    ("0c0002c080", Keyword("\0")),
    ("38022b2d", Symbol("+-")),
    ("56000161", Symbol("a")),
    ("390000000161", Symbol("a")),
    ("4e0000000161", Symbol("a")),
    # times, UUID
    ("5affffffffffffffff", datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc)),
    ("5c0000000000000000", _EPOCH),
    ("4fffffffffffffffff" + "3b9ac9ff", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc)),
    ("5b" + _UUID.hex, _UUID),
    # arrays
    ("7600000002" + "00000001" + "ffffffff", [1, -1]),
    ("7700000001" + "8000000000000000", [-(2**63)]),
    ("7800000001" + "3fc00000", [1.5]),
    ("7900000001" + "3ff8000000000000", [1.5]),
    ("7600000000", []),
    ("6b00000002" + "690161" + "03", ["a", None]),
    ("7300000002" + "690161" + "08", ["a", True]),
    ("6c00000001" + "6405", [5]),
    ("6d00000001" + "6405", [5]),
    ("7400000001" + "37", [0.0]),
    ("7500000001" + "37", [0.0]),
    # vectors
    ("11", []),
    ("710809", [True, False]),
    ("72080908", [True, False, True]),
    ("6e0108", [True]),
    ("618108", [True]),
    ("6180", []),
    ("6100" + "08" * 128, [True] * 128),
    ("45000108", [True]),
    ("150000000108", [True]),
    ("670308", [None, True]),
    # lists, sequences, queues
    ("23", List()),
    ("240108", List([True])),
    ("36000108", List([True])),
    ("140000000108", List([True])),
    ("25", List()),
    ("260108", List([True])),
    ("27000108", List([True])),
    ("180000000108", List([True])),
    ("1a0000000108", List([True])),
    # sets
    ("12", frozenset()),
    ("6f0108", frozenset([True])),
    ("628108", frozenset([True])),
    ("20000108", frozenset([True])),
    ("170000000108", frozenset([True])),
    ("1c0000000108", frozenset([True])),
    ("6f016e0108", frozenset([(True,)])),
    # maps
    ("13", {}),
    ("70010803", {True: None}),
    ("63810803", {True: None}),
    ("7b810803", {True: None}),
    ("2100010803", {True: None}),
    ("1e000000010803", {True: None}),
    ("16000000010803", {True: None}),
    ("1b000000020803", {True: None}),
    ("1f000000010803", {True: None}),
    ("1d000000020803", {True: None}),
    ("70026e01080308" + "03", {(True,): None, True: None}),
    # metadata is read and dropped, whatever stands in it
    ("19" + "70016a016108" + "6e0103", [None]),
    ("19" + "7002" + "6803" * 2 + "23", List()),
    ("19" + "7002" + "6401" + "03" + "3d3ff0000000000000" + "03" + "11", []),
    ("68", None),
    # EDN text
    ("2f025b5d", []),
    ("330005" + "2378203a61", Tagged("x", _A)),
    ("34000000023a61", _A),
    ("05000000023a61", _A),
    ("0100023a61", _A),
    # a string follows
    ("3a690161", Unreadable("java.util.regex.Pattern", "a")),
    ("47690161", Tagged("uri", "a")),
    # inert: records, what Java serialised
    ("3003612e42" + "70016a016108", Tagged("a.B", {_A: True})),
    ("310003612e42" + "13", Tagged("a.B", {})),
    ("5000000003612e42" + "13", Tagged("a.B", {})),
    ("4b03612e42" + "0702aced", Unreadable("a.B")),
    ("4c0003612e42" + "35", Unreadable("a.B")),
    ("5271a1" + _ELEMENT, [Symbol("a"), Symbol("\u00e9"), "a.clj", 27]),
    # durations and periods, as Java prints them
    ("53" + "0000000000000000" + "00000000", Unreadable("java.time.Duration", "PT0S")),
    ("53" + "0000000000000e11" + "00000000", Unreadable("java.time.Duration", "PT1H1S")),
    ("53" + "0000000000000e10" + "00000000", Unreadable("java.time.Duration", "PT1H")),
    ("53" + "fffffffffffffffe" + "1dcd6500", Unreadable("java.time.Duration", "PT-1.5S")),
    ("53" + "ffffffffffffffc4" + "00000000", Unreadable("java.time.Duration", "PT-1M")),
    ("54" + "00000000" * 3, Unreadable("java.time.Period", "P0D")),
    ("54" + "00000000" + "ffffffff" + "00000002", Unreadable("java.time.Period", "P-1M2D")),
    # the cache: the first use of an entry carries its value
    ("71" + "3b690161" + "3b", ["a", "a"]),
    ("72" + "3f08" + "406e0103" + "40", [True, [None], [None]]),
    ("71" + "4108" + "41", [True, True]),
    ("71" + "4208" + "42", [True, True]),
    ("71" + "4808" + "48", [True, True]),
    ("71" + "4908" + "49", [True, True]),
    ("71" + "4a08" + "4a", [True, True]),
    ("71" + "430008" + "3b", [True, True]),
    ("71" + "447fff08" + "447fff", [True, True]),
    ("71" + "3b" + "6e01" + "3f08" + "71" + "3b" + "3f", [[True], [[True], True]]),
    ("3b3b08", True),
]

#: Bytes, the offset at which they are refused, and a part of the reason.
_REFUSES: list[tuple[str, int, str]] = [
    ("", 0, "the payload ends in the middle of a value"),
    ("0808", 1, "one value was expected, and here is more"),
    # the end is missing
    ("64", 0, "ends in the middle"),
    ("2b00", 0, "ends in the middle"),
    ("690261", 0, "ends in the middle"),
    ("6982", 0, "a size is negative: -126"),
    ("60ff61", 0, "ends in the middle"),
    ("0d7fffffff61", 0, "ends in the middle"),
    ("0a61", 0, "ends in the middle"),
    ("5b00", 0, "ends in the middle"),
    ("6e0208", 3, "ends in the middle"),
    ("1e7fffffff08", 6, "ends in the middle"),
    ("767fffffff00000000", 0, "ends in the middle"),
    ("7680000000", 0, "a size is negative"),
    ("7601", 0, "ends in the middle"),
    ("3003612e42", 5, "ends in the middle"),
    ("5271a1000161", 0, "ends in the middle"),
    ("2c7fffffff00", 0, "ends in the middle"),
    # counts
    ("6eff", 0, "a count is negative: -1"),
    ("1effffffff", 0, "a count is negative: -1"),
    ("1b00000001", 0, "a map has 1 keys and values together"),
    ("1bffffffff", 0, "a map has -1 keys"),
    # values
    ("6901ff", 0, "a text is not UTF-8"),
    ("0b0001ff", 0, "a text is not modified UTF-8"),
    ("0b0003eda0bd", 0, "a text is not modified UTF-8"),
    ("46000000010100000001" + "00", 0, "a ratio divides by zero"),
    ("5a7fffffffffffffff", 0, "outside the years 1 to 9999"),
    ("4f7fffffffffffffff00000000", 0, "outside the years 1 to 9999"),
    ("2f015b", 0, "not an EDN payload: at byte 1: ']' for '[' was expected"),
    ("3a03", 1, "a regular expression is a string, not NoneType"),
    ("4764ff", 1, "a URI is a string, not int"),
    ("300161" + "03", 3, "the fields of a record are a map, not NoneType"),
    ("4b016108", 3, "an object serialised by Java is bytes, not bool"),
    ("7002640103" + "3d3ff0000000000000" + "03", 14, "two keys of one map are equal in Python: 1 and 1.0"),
    ("6f0200" + "09", 3, "two members of one set are equal in Python: 0 and False"),
    ("72" + "00" + "7002080308" + "03", 7, "two keys of one map are equal in Python: True and True"),
    # ids
    ("06", 0, "type 6 is an object serialised by Java the old way"),
    ("32", 0, "type 50 is an object serialised"),
    ("5108", 0, "type 81 is an instance of a deftype"),
    ("7a08", 0, "type 122 is an instance of a deftype"),
    ("80", 0, "type 128 is of a custom type"),
    ("7e", 0, "type 126 is none of those that Nippy has"),
    ("520001", 0, "custom type 1 is none that slacker defines"),
    ("43", 0, "ends in the middle"),
]


def _vector(count: int) -> bytes:
    return b"\x15" + count.to_bytes(4, "big")


class ReaderTests(SynchronousTestCase):
    """:func:`slacker.content.nippy.loads`."""

    def test_every_id(self) -> None:
        """Of any version of Nippy."""
        for data, value in _FORMS:
            self.assertEqual(shape(loads(bytes.fromhex(data))), shape(value), data)

    def test_the_table_has_every_id(self) -> None:
        """Each that is read begins a form, save for entries of the cache: those stand in vectors."""
        met = {int(data[:2], 16) for data, _value in _FORMS}
        known = ATOMS.keys() | EDN.keys() | _CONTAINERS.keys() | _CACHED.keys()
        self.assertEqual(known - met, _CACHED.keys() - met)
        self.assertEqual(known & _REFUSED.keys(), set())

    def test_what_is_no_nippy_is_refused(self) -> None:
        """With the offset and the reason."""
        for data, offset, reason in _REFUSES:
            error = self.assertRaises(ContentError, loads, bytes.fromhex(data))
            self.assertTrue(
                str(error).startswith(f"not a nippy payload: at byte {offset}: "), f"{data} {error}"
            )
            self.assertIn(reason, str(error))

    def test_known_keywords_are_looked_up(self) -> None:
        """So many that a peer cannot fill the memory; one that is cut off is refused, known or not."""
        for number in range(5000):
            self.assertEqual(loads(b"\x6a\x05%05d" % number), Keyword(f"{number:05}"))
        self.assertLessEqual(len(_KEYWORDS), _MAX_KEYWORDS)
        self.assertEqual(loads(b"\x6a\x0504999"), Keyword("04999"))
        error = self.assertRaises(ContentError, loads, b"\x6a\x0604999")
        self.assertIn("at byte 0: the payload ends in the middle of a value", str(error))

    def test_parts_of_numbers_are_bounded(self) -> None:
        """Time would grow with the square of their length."""
        one, half = b"\0\0\0\1\1", MAX_PART.to_bytes(4, "big") + b"\x7f" * MAX_PART
        more = (MAX_PART + 1).to_bytes(4, "big") + b"\x7f" * (MAX_PART + 1)
        self.assertEqual(loads(b"\x46" + one + half).numerator, 1)
        self.assertEqual(len(str(loads(b"\x3e" + half + b"\0\0\0\0"))), 4299)
        for data in (b"\x46" + one + more, b"\x46" + more + one, b"\x3e" + more + b"\0\0\0\0"):
            self.assertIn("more than 1785 bytes", str(self.assertRaises(ContentError, loads, data)))


class BoundsTests(SynchronousTestCase):
    """Whatever the bytes are, depth, time and memory have a bound."""

    def test_depth_is_bounded(self) -> None:
        """MAX_DEPTH levels are read, one more is refused."""
        value = loads(b"\x6e\x01" * MAX_DEPTH + b"\x03")
        self.assertEqual(json.dumps(value), "[" * MAX_DEPTH + "null" + "]" * MAX_DEPTH)
        for one in (b"\x6e\x01", b"\x19\x13", b"\x3b", b"\x30\x01a", b"\x6f\x01", b"\x70\x01"):
            error = self.assertRaises(ContentError, loads, one * (MAX_DEPTH + 1) + b"\x03")
            self.assertIn("nested more than 250 levels deep", str(error))
            self.assertRaises(ContentError, loads, one * 100_000)

    def test_keys_that_are_deep(self) -> None:
        """They are made hashable level by level, for which there may be no room."""
        data = b"\x6f\x01" + b"\x70\x01\x03" * 200 + b"\x03"
        self.assertIsInstance(loads(data), frozenset)
        error = with_frames_left(300, lambda: self.assertRaises(ContentError, loads, data))
        self.assertIn("a map key or set member is nested too deeply", str(error))

    def test_edn_counts_as_levels(self) -> None:
        """Those of the text and those around it together are at most MAX_DEPTH."""
        text = b"[" * 12 + b"1" + b"]" * 12
        for levels, fits in ((MAX_DEPTH - 12, True), (MAX_DEPTH - 11, False)):
            data = b"\x6e\x01" * levels + b"\x2f" + bytes([len(text)]) + text
            if fits:
                loads(data)
            else:
                self.assertIn("levels deep", str(self.assertRaises(ContentError, loads, data)))

    def test_references_cannot_make_a_value_deeper(self) -> None:
        """Each entry of the cache holding the one before it is a level more."""
        entries = b"".join(
            b"\x44" + index.to_bytes(2, "big") + b"\x6e\x01\x44" + (index - 1).to_bytes(2, "big")
            for index in range(1, 600)
        )
        long = b"\x10" + (20_000).to_bytes(2, "big") + b"x" * 20_000  # so many bytes may be so many values
        data = _vector(601) + long + b"\x44\0\0\x11" + entries
        self.assertIn("levels deep", str(self.assertRaises(ContentError, loads, data)))

    def test_references_cannot_multiply_a_value(self) -> None:
        """Each entry that refers to the one before it twice would double it."""
        entries = b"".join(
            b"\x43" + bytes([index]) + b"\x71" + (b"\x43" + bytes([index - 1])) * 2 for index in range(1, 100)
        )
        for last in (b"", b"\x6f\x01\x43\x63"):
            started = process_time()
            data = _vector(100 + bool(last)) + b"\x43\x00\x71\x08\x09" + entries + last
            error = self.assertRaises(ContentError, loads, data)
            self.assertIn("references to cached values make more than 100000 values of it", str(error))
            self.assertLess(process_time() - started, 20)

    def test_text_counts_when_it_is_referred_to(self) -> None:
        """A long string in two bytes, again and again, would make gigabytes when it is written."""
        data = _vector(2001) + b"\x3b\x0d" + (1000).to_bytes(4, "big") + b"x" * 1000 + b"\x3b" * 2000
        self.assertIn("make more than", str(self.assertRaises(ContentError, loads, data)))
        self.assertEqual(len(loads(_vector(51) + data[5:1011] + b"\x3b" * 50)), 51)
