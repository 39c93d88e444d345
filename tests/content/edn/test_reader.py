"""The EDN reader: what it reads, what it refuses and where, and that nothing makes it slow or deep."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from time import process_time
from typing import Any, cast
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker.content.codec import MAX_DEPTH
from slacker.content.edn import loads, reader
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged, Unreadable
from slacker.errors import ContentError
from tests.content.stacks import with_frames_left
from tests.content.vectors import shape

_A, _B = Keyword("a"), Keyword("b")

READS: dict[str, Any] = {
    # numbers
    "0": 0,
    "-0": 0,
    "+5": 5,
    "42N": 42,
    "0N": 0,
    "0x1F": 31,
    "-0xffN": -255,
    "017": 15,
    "2r1010": 10,
    "36rZz": 1295,
    "9223372036854775808": 2**63,
    "1.": 1.0,
    "1.5": 1.5,
    "-1.5e3": -1500.0,
    "1E-2": 0.01,
    "08.5": 8.5,
    "1e400": float("inf"),
    "##Inf": float("inf"),
    "##-Inf": float("-inf"),
    "1M": Decimal(1),
    "1.50M": Decimal("1.50"),
    "1e3M": Decimal("1e3"),
    "1/3": Fraction(1, 3),
    "-6/4": Fraction(-3, 2),
    "4/2": 2,
    # names
    "nil": None,
    "true": True,
    "false": False,
    ":a": _A,
    ":a.b/c": Keyword("a.b/c"),
    ":1": Keyword("1"),
    ":/": Keyword("/"),
    ":a#b'c": Keyword("a#b'c"),
    ":\u00e9": Keyword("\u00e9"),
    "a": Symbol("a"),
    "+": Symbol("+"),
    "-": Symbol("-"),
    "...": Symbol("..."),
    "->x": Symbol("->x"),
    "/": Symbol("/"),
    "a/b": Symbol("a/b"),
    "nilly": Symbol("nilly"),
    # characters
    "\\a": Char("a"),
    "\\newline": Char("\n"),
    "\\tab": Char("\t"),
    "\\u0041": Char("A"),
    "\\o101": Char("A"),
    "\\o7": Char("\x07"),
    "\\u": Char("u"),
    "\\\\": Char("\\"),
    '\\"': Char('"'),
    "\\;": Char(";"),
    "\\ ": Char(" "),
    "\\\n": Char("\n"),
    "\\@": Char("@"),
    "[\\a\\b]": [Char("a"), Char("b")],
    '["\\\\" \\" \\\\ "\\""]': ["\\", Char('"'), Char("\\"), '"'],
    # strings
    '""': "",
    '"a b"': "a b",
    '"\\t\\r\\n\\b\\f\\\\\\""': '\t\r\n\b\f\\"',
    '"\\\\n"': "\\n",
    '"\\u00e9\\ud83d\\ude00"': "\u00e9\U0001f600",
    '"\\ud800\\udc00"': "\U00010000",
    '"\\0\\12\\377"': "\x00\n\xff",
    '"\\u005cn"': "\\n",
    '"; no comment"': "; no comment",
    '"line\nline"': "line\nline",
    # collections
    "[]": [],
    "[1, 2,3]": [1, 2, 3],
    "()": List(),
    "(1 (2))": List([1, List([2])]),
    "{}": {},
    "{:a 1, :b [2]}": {_A: 1, _B: [2]},
    '{"a" nil nil true}': {"a": None, None: True},
    "#{}": frozenset(),
    "#{1 :a}": frozenset([1, _A]),
    "[[[[]]] []]": [[[[]]], []],
    '[1"a"2[3]4(5)"b":c]': [1, "a", 2, [3], 4, List([5]), "b", Keyword("c")],
    # keys and members
    "{[1 [2]] 3}": {(1, (2,)): 3},
    "{(1 2) 3}": {(1, 2): 3},
    "{{:a [1]} 3}": {Map({_A: [1]}): 3},
    "#{[1] {:a #{2}}}": frozenset([(1,), Map({_A: frozenset([2])})]),
    "{#x [1] 2}": {Tagged("x", (1,)): 2},
    # tags
    "#a/b [1]": Tagged("a/b", [1]),
    "#a #b 1": Tagged("a", Tagged("b", 1)),
    "[#a 1 #b 2 3]": [Tagged("a", 1), Tagged("b", 2), 3],
    '#inst "2026"': datetime(2026, 1, 1, tzinfo=timezone.utc),
    '#uuid "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"': UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    '#object[a.B 0x1 "b"]': Unreadable("a.B", "b"),
    "#object[a.B 0x1]": Unreadable("a.B"),
    "#object 5": Tagged("object", 5),
    "{#object[a.B 0x1 [1]] 1}": {Unreadable("a.B", (1,)): 1},
    # discards, comments, metadata
    "#_a 1": 1,
    "1 #_ a": 1,
    "#_ #_ 1 2 3": 3,
    "[1 #_ [2 #_ 3] 4 #_ 5]": [1, 4],
    "{:a #_ 1 2}": {_A: 2},
    "#_ #foo 1 2": 2,
    "#foo #_ 1 2": Tagged("foo", 2),
    '; first\n[1 ; one ] "\r2];': [1, 2],
    "^:a ^{:b 1} [1]": [1],
    "[^a b #^c d]": [Symbol("b"), Symbol("d")],
    "#_ ^:a b 1": 1,
    # maps of one namespace
    '#:a{:x 1 :b/y 2 :_/z 3 "s" 4 t 5}': {
        Keyword("a/x"): 1,
        Keyword("b/y"): 2,
        Keyword("z"): 3,
        "s": 4,
        Symbol("a/t"): 5,
    },
    "#:a.b {}": {},
    # spaces
    " , \t\n\r\f\v\x1c 1 , \u2003 ": 1,
    "[1\u20282]": [1, 2],
}

#: Text, the byte at which it is refused, and a part of the reason.
REFUSES: list[tuple[str, int, str]] = [
    ("", 0, "a value was expected, and the text ends"),
    ("  ; nothing", 11, "the text ends"),
    ("#_ 1", 4, "the text ends"),
    ("1 2", 2, "one value was expected, and here are more"),
    ("\u00e9 \u00e9", 3, "here are more"),
    # brackets
    ("[1 2", 4, "']' for '[' was expected, and the text ends"),
    ("#{1 2", 5, "'}' for '#{' was expected, and the text ends"),
    ("[1 #_ #{1", 9, "'}' for '#{' was expected"),
    ("]", 0, "a value was expected, not ']'"),
    ("[1)", 2, "']' for '[' was expected, not ')'"),
    ("#{1]", 3, "'}' for '#{' was expected, not ']'"),
    ("[1]]", 3, "a value was expected, not ']'"),
    # maps and sets
    ("{:a}", 3, "a key without a value"),
    ("{:a 1 :b}", 8, "a key without a value"),
    ("{[1]}", 4, "a key without a value"),
    ("{:a 1 :a 2}", 10, "two keys of one map are equal in Python: Keyword('a') and Keyword('a')"),
    ("{1 :a 1.0 :b}", 12, "1 and 1.0"),
    ("{1 :a true :b}", 13, "1 and True"),
    ("{[1] :a [1.0] :b}", 16, "(1,) and (1.0,)"),
    ("[#{1 true}]", 9, "two members of one set are equal in Python: 1 and True"),
    ("{{1 2 1.0 3} 4}", 11, "1 and 1.0"),
    ("#:a{:x 1 :a/x 2}", 0, "Keyword('a/x') and Keyword('a/x')"),
    # strings
    ('[1 "abc', 3, "a string is not closed"),
    ('"', 0, "a string is not closed"),
    ('"abc\\"', 0, "a string is not closed"),
    ('"abc\\', 0, "a string is not closed"),
    ('["\\q"]', 1, "\\q in a string is no escape"),
    ('"\\u12"', 0, "\\u in a string is no escape"),
    ('"\\400"', 0, "\\400 in a string is beyond \\377"),
    ('"\\ud800"', 0, "\\ud800 in a string is half a surrogate pair"),
    ('"\\ude00\\ud83d"', 0, "half a surrogate pair"),
    # characters
    ("[\\foo]", 1, "'\\\\foo' is no character"),
    ("\\", 0, "is no character"),
    ("\\ud800", 0, "no character of 16 bits that stands alone"),
    ("\\o400", 0, "is no character"),
    ("\\\U0001f600", 0, "no character of 16 bits"),
    # numbers
    ("1x", 0, "'1x' is no number"),
    ("+1a", 0, "'+1a' is no number"),
    ("1_000", 0, "is no number"),
    ("\u0663", 0, "is no number"),
    ("1\u0663", 0, "is no number"),
    ("08", 0, "a leading 0 means octal"),
    ("2r12", 0, "'12' is no integer of radix 2"),
    ("99rA", 0, "is no integer of radix 99"),
    ("1/0", 0, "divides by zero"),
    ("1/2N", 0, "is no number"),
    ("1e99999999999999999999M", 0, "beyond the range of Decimal"),
    ("9" * 5000, 0, "is no integer of radix 10"),
    ("1/" + "9" * 5000, 0, "is no integer of radix 10"),
    # names
    ("::a", 0, "'::a' is no keyword"),
    (":", 0, "':' is no keyword"),
    (":a:", 0, "is no keyword"),
    (":a/1", 0, "is no keyword"),
    (":a:/b", 0, "is no keyword"),
    ("a/", 0, "'a/' is no symbol"),
    ("[1 @a]", 3, "'@a' is no symbol"),
    ("a`b", 0, "is no symbol"),
    # prefixes
    ("[#:" + "a" * 256 + "{:b 1}]", 1, "is a namespace of more than 255 characters"),
    ("[#foo]", 1, "'#foo' stands before nothing"),
    ("#_", 0, "'#_' stands before nothing"),
    ("#foo #_ 1", 0, "'#foo' stands before nothing"),
    ("[1 ^:a]", 3, "'^ with its metadata' stands before nothing"),
    ("[1 ^]", 3, "'^' stands before nothing"),
    ('[1 #"re"]', 3, "'#' begins nothing in EDN"),
    ("#'a", 0, "begins nothing in EDN"),
    ("#1a 2", 0, "begins nothing in EDN"),
    ("# {1 2}", 0, "begins nothing in EDN"),
    ("#:a[1]", 0, "'#:a' takes a map"),
    ("#::a{:b 1}", 0, "begins nothing in EDN"),
    ("##Foo", 0, "begins nothing in EDN"),
    ("[1 #inst 5]", 3, "#inst takes a string such as"),
    ('#inst "2026-13-01"', 0, "is no time that Python has: month must be in 1..12"),
    ("[1 #uuid 5]", 3, "#uuid takes a string of 32 hexadecimal digits, not '5'"),
    ('#uuid "xyz"', 0, "#uuid takes"),
    ('[\u00e9 #inst "0000"]', 4, "is no time that Python has: year"),
]


class ReaderTests(SynchronousTestCase):
    """:func:`slacker.content.edn.loads`."""

    def test_every_form_is_read(self) -> None:
        """Each form of EDN gives its value, with all types."""
        for text, value in READS.items():
            self.assertEqual(shape(loads(text.encode())), shape(value), text)

    def test_not_a_number(self) -> None:
        """``##NaN`` is one, which is equal to nothing."""
        value = loads(b"##NaN")
        self.assertNotEqual(value, value)

    def test_a_refusal_names_the_byte_and_what_was_expected(self) -> None:
        """Each malformed text is refused with the offset in bytes."""
        for text, offset, reason in REFUSES:
            error = self.assertRaises(ContentError, loads, text.encode())
            self.assertTrue(
                str(error).startswith(f"not an EDN payload: at byte {offset}: "), f"{text!r}: {error}"
            )
            self.assertIn(reason, str(error), text)

    def test_what_is_no_utf_8_is_refused(self) -> None:
        """The offset is that of the first bad byte; half a surrogate pair is no UTF-8 either."""
        error = self.assertRaises(ContentError, loads, b'["\xff"]')
        self.assertEqual(str(error), "not an EDN payload: the byte at offset 2 is not UTF-8")
        self.assertRaises(ContentError, loads, b'"\xed\xa0\x80"')

    def test_a_message_stays_short(self) -> None:
        """A token of a megabyte is not repeated in full."""
        error = self.assertRaises(ContentError, loads, b"@" * 1_000_000)
        self.assertLess(len(str(error)), 200)

    def test_any_buffer_is_read(self) -> None:
        """A bytearray or a memoryview will do."""
        for buffer in (bytearray, memoryview):
            self.assertEqual(loads(cast("bytes", buffer(b"[1]"))), [1])

    def test_both_ways_to_cut_a_text_agree(self) -> None:
        """What string methods can cut into tokens gives the same as the pattern that can cut everything."""
        texts = [*READS, *(text for text, _offset, _reason in REFUSES)]
        before = [self._read_or_error(text) for text in texts]
        self.patch(reader, "_split", lambda parts: None)
        self.assertEqual([self._read_or_error(text) for text in texts], before)

    def _read_or_error(self, text: str) -> object:
        try:
            return shape(loads(text.encode()))
        except ContentError as error:
            return str(error)


class InstantTests(SynchronousTestCase):
    """``#inst``, which may end after any of its parts."""

    def test_precisions_and_offsets(self) -> None:
        """Everything from the year alone to nanoseconds, of which microseconds are kept, in any time zone."""
        utc = timezone.utc
        east, west = timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))
        for text, moment in {
            "2026": datetime(2026, 1, 1, tzinfo=utc),
            "2026-11": datetime(2026, 11, 1, tzinfo=utc),
            "2026-11-22": datetime(2026, 11, 22, tzinfo=utc),
            "2026-11-22T10": datetime(2026, 11, 22, 10, tzinfo=utc),
            "2026-11-22T10:38": datetime(2026, 11, 22, 10, 38, tzinfo=utc),
            "2026-11-22T10:38:17": datetime(2026, 11, 22, 10, 38, 17, tzinfo=utc),
            "2026-11-22T10:38:17.8": datetime(2026, 11, 22, 10, 38, 17, 800000, tzinfo=utc),
            "2026-11-22T10:38:17.819123456Z": datetime(2026, 11, 22, 10, 38, 17, 819123, tzinfo=utc),
            "2026-11-22T10:38:17.819-00:00": datetime(2026, 11, 22, 10, 38, 17, 819000, tzinfo=utc),
            "2026-11-22T10:38:17+05:30": datetime(2026, 11, 22, 10, 38, 17, tzinfo=east),
            "2026-11-22T10:38:17-08:00": datetime(2026, 11, 22, 10, 38, 17, tzinfo=west),
            "2016-12-31T23:59:60Z": datetime(2017, 1, 1, tzinfo=utc),
        }.items():
            value = loads(f'#inst "{text}"'.encode())
            self.assertEqual((value, value.utcoffset()), (moment, moment.utcoffset()), text)

    def test_times_that_are_none(self) -> None:
        """A second of 60 only ends a 59th minute; offsets are less than a day; the last year is 9999."""
        for text in (
            "2026-11-22T10:38:60Z",
            "2026-11-22T10:59:61Z",
            "2026-11-22T10:38:17+24:00",
            "9999-12-31T23:59:60Z",
            "2026-1-1",
            "2026T10",
            "10000",
        ):
            self.assertRaises(ContentError, loads, f'#inst "{text}"'.encode())


class BoundsTests(SynchronousTestCase):
    """Depth, memory and time, whatever a peer sends."""

    def test_keys_that_are_deep(self) -> None:
        """They are made hashable level by level, for which there may be no room."""
        data = b"#{" + b"{1 " * 200 + b"2" + b"}" * 201
        self.assertIsInstance(loads(data), frozenset)
        error = with_frames_left(300, lambda: self.assertRaises(ContentError, loads, data))
        self.assertIn("a map key or set member is nested too deeply", str(error))

    def test_depth_is_bounded(self) -> None:
        """MAX_DEPTH levels are read, one more is refused, wherever prefixes stand in between."""
        deep = MAX_DEPTH
        for opening, closing in (("[", "]"), ("(", ")"), ("{1 ", "}"), ("#{", "}"), ("#a ", "")):
            inner = "0"
            loads((opening * deep + inner + closing * deep).encode())
            error = self.assertRaises(ContentError, loads, (opening * (deep + 1) + inner).encode())
            self.assertIn("nested more than 250 levels deep", str(error))
        for opening in ("[#a ", "#a #_ x [", "#:a {:b ", "^x ["):
            error = self.assertRaises(ContentError, loads, (opening * (deep + 1)).encode())
            self.assertIn("nested more than 250 levels deep", str(error), opening)

    def test_keys_that_share_a_namespace(self) -> None:
        """It may have 255 characters, which each key gets."""
        namespace = "n" * 255
        self.assertEqual(loads(f"#:{namespace}{{:a 1}}".encode()), {Keyword(f"{namespace}/a"): 1})

    def test_a_discard_nests_no_deeper_than_what_it_drops(self) -> None:
        """Any number of them may stand side by side."""
        self.assertEqual(loads(b"[" + b"#_ #a [1] " * 2000 + b"5]"), [5])

    def test_nothing_costs_more_than_its_length(self) -> None:
        """A megabyte of anything is answered in seconds, where a quadratic reader would take hours."""
        size = 1_000_000
        started = process_time()
        for piece in (
            "[",
            " ",
            "1 ",
            ";\n",
            "#_ ",
            "\\",
            '"\\"',
            "^",
            ":a:",
            "a/",
            "\\n",
            "#a ",
            "[] ",
            '"" ',
        ):
            for begin, end in (("", ""), ("[", "]"), ('"', '"'), ("1 ", "")):
                try:
                    loads((begin + piece * (size // len(piece)) + end).encode())
                except ContentError:
                    continue
        self.assertLess(process_time() - started, 100)

    def test_few_atoms_are_remembered(self) -> None:
        """However many a peer sends, and none that is long."""
        for start in range(0, 3 * reader._MAX_ATOMS, 100):
            loads("".join(["[", *(f":k{start + offset} " for offset in range(100)), "]"]).encode())
        self.assertLessEqual(len(reader._ATOMS), reader._MAX_ATOMS)
        loads(b"long" * 100)
        self.assertNotIn("long" * 100, reader._ATOMS)
