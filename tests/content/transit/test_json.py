"""Transit in JSON, which shows all that the reader reads: every tag, the cache, the verbose form."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker.content import loads
from slacker.content.codec import MAX_DEPTH
from slacker.content.transit.cache import CODES
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged
from slacker.errors import ContentError
from tests.content.stacks import with_frames_left
from tests.content.vectors import shape

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=timezone.utc)
_UUID = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
_A, _B = Keyword("a"), Keyword("b")

_READS: list[tuple[str, Any]] = [
    # values of JSON, as they are
    ("null", None),
    ("[true,false]", [True, False]),
    ("[1,-1.5,1e3]", [1, -1.5, 1000.0]),
    (str(2**70), 2**70),
    ("[]", []),
    ('""', ""),
    ('"a"', "a"),
    # text that is more than text
    ('"~~a"', "~a"),
    ('"~^ "', "^ "),
    ('"~`a"', "`a"),
    ('"`a"', "`a"),
    ('"~"', "~"),
    ('"~_"', None),
    ('"~?t"', True),
    ('"~?f"', False),
    ('"~i9223372036854775807"', 2**63 - 1),
    ('"~i-1"', -1),
    ('"~n-18446744073709551616"', -(2**64)),
    ('"~d1.5"', 1.5),
    ('"~d-2E+3"', -2000.0),
    ('"~zNaN"', float("nan")),
    ('"~zINF"', float("inf")),
    ('"~z-INF"', float("-inf")),
    ('"~f1.50"', Decimal("1.50")),
    ('"~f-1E-10"', Decimal("-1E-10")),
    ('"~f.5"', Decimal("0.5")),
    ('"~bAP8Q"', b"\x00\xff\x10"),
    ('"~b"', b""),
    ('"~:a/b"', Keyword("a/b")),
    ('"~:"', Keyword("")),
    ('"~$+"', Symbol("+")),
    ('"~c\\n"', Char("\n")),
    ('"~c\u00e9"', Char("\u00e9")),
    ('"~m-1"', datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc)),
    ('"~t2026-01-02T12:00:00.123456Z"', _NOON),
    ('"~t1970-01-01T00:00:00.000Z"', _EPOCH),
    (f'"~u{_UUID}"', _UUID),
    ('"~rhttp://x/~y"', Tagged("uri", "http://x/~y")),
    ('"~xabc"', Tagged("x", "abc")),
    ("\"~'a\"", "a"),
    # tags
    ('["~#\'",null]', None),
    ('["~#\'",["~#\'",1]]', 1),
    ('["~#set",[1,[2]]]', frozenset([1, (2,)])),
    ('["~#list",[]]', List()),
    ('["~#list",["~:a",1]]', List([_A, 1])),
    ('["~#cmap",[]]', {}),
    ('["~#cmap",[[1],2,["^ ","~:a",1],3]]', {(1,): 2, Map({_A: 1}): 3}),
    ('["~#ratio",["~n1","~n2"]]', Fraction(1, 2)),
    ('["~#ratio",[-4,2]]', -2),
    ('["~#m",0]', _EPOCH),
    ('["~#m","0"]', _EPOCH),
    ('["~#t","1970"]', _EPOCH),
    (f'["~#u","{_UUID}"]', _UUID),
    (f'["~#u",[{int.from_bytes(_UUID.bytes[:8], "big", signed=True)},'
     f"{int.from_bytes(_UUID.bytes[8:], 'big', signed=True)}]]", _UUID),
    ('["~#r","a:b"]', Tagged("uri", "a:b")),
    ('["~#n","5"]', 5),
    ('["~#link",["^ ","href","~ra:b"]]', Tagged("link", {"href": Tagged("uri", "a:b")})),
    ('["~#a/b",["~#q",1]]', Tagged("a/b", Tagged("q", 1))),
    ('["~#",1]', Tagged("", 1)),
    # maps
    ('["^ "]', {}),
    ('["^ ","~:a",1,"b",[2]]', {_A: 1, "b": [2]}),
    ('["^ ","~i1","~_","~_","~?t","~d1.5",3]', {1: None, None: True, 1.5: 3}),
    ('["^ ","~ra:b",4]', {Tagged("uri", "a:b"): 4}),
    ('["^ ",1,2]', {1: 2}),
    ('["^ ",[1],2]', {(1,): 2}),
    # the cache: names, tags, and whatever is a key, from four characters on
    ('["~:abc","^0"]', [Keyword("abc")] * 2),
    ('["~$ab","~:abc","^1","^0"]', [Symbol("ab"), Keyword("abc"), Keyword("abc"), Symbol("ab")]),
    ('[["~#set",[1]],["^0",[2]]]', [frozenset([1]), frozenset([2])]),
    ('["abcd",["^ ","abcd",1],["^ ","^0","abcd"],"^0"]', ["abcd", {"abcd": 1}, {"abcd": "abcd"}, "abcd"]),
    ('[["^ ","~i12",1],["^ ","^0",1]]', [{12: 1}] * 2),
    ('[["^ ","abc",1],"~:a","~:ab","^0"]', [{"abc": 1}, _A, Keyword("ab"), Keyword("ab")]),
    # its lengths are in units of 16 bits
    ('["~:\U0001f600","^0"]', [Keyword("\U0001f600")] * 2),
    ('[["^ ","\U0001f600\U0001f600",1],"^0"]', [{"\U0001f600\U0001f600": 1}, "\U0001f600\U0001f600"]),
    ('["~:\u00e9",["^ ","~:abc",1],"^0"]', [Keyword("\u00e9"), {Keyword("abc"): 1}, Keyword("abc")]),
    # the verbose form
    ('{"~:a":1,"b":{"~i1":[{"~:c":null}]}}', {_A: 1, "b": {1: [{Keyword("c"): None}]}}),
    ("{}", {}),
    ('{"~#\'":1}', 1),
    ('{"~#set":[1]}', frozenset([1])),
    ('{"~#cmap":[{"~:a":1},2]}', {Map({_A: 1}): 2}),
    ('{"~#point":{"~:x":"~t1970-01-01T00:00:00.000Z"}}', Tagged("point", {Keyword("x"): _EPOCH})),
    # spaces, escapes
    (' [ 1 , "\\ud83d\\ude00" ] ', [1, "\U0001f600"]),
    # half a surrogate pair is what Java's writers make of it in other content types
    (
        '["\\ud83d","\\uDE00\\uD83D","\\\\ud83d\\ud83dx\\u00e9\\n","~c\\udfff"]',
        ["?", "??", "\\ud83d?x\u00e9\n", Char("?")],
    ),
    ('["^ ","\\ud83d\\ud83d\\ude00",1]', {"?\U0001f600": 1}),
]  # fmt: skip

_REFUSES: list[tuple[str, str]] = [
    ("", "Expecting value"),
    ("[1] 2", "Extra data"),
    ("[NaN]", "NaN is not JSON"),
    ("9" * 5000, "digits"),
    # text
    ('"~ix"', "'x' is no integer"),
    ('"~i1_0"', "'1_0' is no integer"),
    ('"~i' + "9" * 5000 + '"', "is no integer"),
    ('"~n1.0"', "'1.0' is no integer"),
    ('"~dINF"', "'INF' is no float"),
    ('"~zinf"', "'inf' is no special number, which is NaN, INF or -INF"),
    ('"~fNaN"', "'NaN' is no decimal"),
    ('"~f1E9999999999999999999"', "is no decimal"),
    ('"~bA"', "'A' is no base64"),
    ('"~b\u00e9"', "is no base64"),
    ('"~cab"', "'ab' is no character"),
    ('"~c"', "'' is no character"),
    ('"~?x"', "'x' is no boolean, which is t or f"),
    ('"~mx"', "'x' is no time in milliseconds"),
    ('"~m9999999999999999"', "outside the years 1 to 9999"),
    ('"~tx"', "'x' is no time"),
    ('"~ux"', "'x' is no UUID"),
    # tags
    ('["~#set",{}]', "a set consists of an array, not of dict"),
    ('["~#set",[1,1.0]]', "two members of one set are equal in Python: 1 and 1.0"),
    ('["~#list",1]', "a list consists of an array, not of 1"),
    ('["~#cmap",[1]]', "a map has a key without a value"),
    ('["~#cmap",[1,2,1,3]]', "two keys of one map are equal"),
    ('["~#ratio",[1]]', "a ratio consists of two integers"),
    ('["~#ratio",[1,"a"]]', "a ratio consists of two integers"),
    ('["~#ratio",["~n1","~n0"]]', "of which the second is not 0"),
    ('["~#ratio",{}]', "a ratio consists of an array, not of dict"),
    ('["~#u",[1]]', "a UUID consists of two integers"),
    ('["~#u",[1,9223372036854775808]]', "a UUID consists of two integers"),
    ('["~#u",null]', "NoneType is no UUID"),
    ('["~#m",1.5]', "1.5 is no time in milliseconds"),
    ('["~#?",[]]', "list is no boolean"),
    ('["~#:",1]', "1 is no keyword"),
    ('["~#x"]', "'~#x' tags 0 values"),
    ('["~#x",1,2]', "'~#x' tags 2 values"),
    ('[1,"~#x"]', "'~#x' stands where no array or map begins"),
    ('"~#x"', "'~#x' stands where"),
    ('"^ "', "'^ ' stands where"),
    ('["^ ","~#x",1]', "'~#x' stands where"),
    ('{"~#x":1,"b":2}', "'~#x' is the key of a map"),
    ('{"b":2,"~#x":1}', "'~#x' is the key of a map"),
    ('{"^ ":1}', "'^ ' is the key of a map"),
    # maps
    ('["^ ",1]', "a map has a key without a value"),
    ('["^ ","~:a",1,"~:a",2]', "two keys of one map are equal"),
    ('{"~:a":1,"~:a":2}', "two keys of one map are equal"),
    ('["^ ","~i1",1,"~?t",2]', "two keys of one map are equal in Python: 1 and True"),
    # the cache
    ('"^0"', "'^0' is the code of nothing that was there before"),
    ('["~:abc","^1"]', "'^1' is the code of nothing"),
    ('["~:abc","^"]', "'^' is the code of nothing"),
    ('["~:abc","^00"]', "'^00' is the code of nothing"),
    ('["~:abc","^x"]', "'^x' is the code of nothing"),
    ('["~:a","^0"]', "'^0' is the code of nothing"),
    ('["abcd","^0"]', "'^0' is the code of nothing"),
    ('["~:abc","^' + "x" * 1000 + '"]', "..."),
]


class JsonReaderTests(SynchronousTestCase):
    """:func:`slacker.content.loads` of ``transit-json``."""

    def test_what_it_reads(self) -> None:
        """Every tag and prefix, maps, the cache, the verbose form."""
        for text, value in _READS:
            self.assertEqual(shape(loads("transit-json", text.encode())), shape(value), text)

    def test_what_is_no_transit_is_refused(self) -> None:
        """With the reason, never a long one."""
        for text, reason in _REFUSES:
            error = self.assertRaises(ContentError, loads, "transit-json", text.encode())
            self.assertTrue(str(error).startswith("not a transit-json payload: "), error)
            self.assertIn(reason, str(error))
            self.assertLess(len(str(error)), 200)

    def test_it_is_utf_8(self) -> None:
        """What is not is refused with the place."""
        error = self.assertRaises(ContentError, loads, "transit-json", b'"\xff"')
        self.assertIn("byte 0xff in position 1", str(error))

    def test_the_cache_begins_anew_when_it_is_full(self) -> None:
        """After 1,936 entries the first code is given out again, and the others mean nothing."""
        self.assertEqual((len(CODES), CODES[43], CODES[44], CODES[-1]), (1936, "^[", "^10", "^[["))
        names = [f"~:k{number:04}" for number in range(1936)]
        read = loads("transit-json", json.dumps([*names, "^[[", "~:again", "^0"]).encode())
        self.assertEqual(read[-3:], [Keyword("k1935"), Keyword("again"), Keyword("again")])
        error = self.assertRaises(
            ContentError, loads, "transit-json", json.dumps([*names, "~:again", "^1"]).encode()
        )
        self.assertIn("'^1' is the code of nothing", str(error))

    def test_codes_cannot_multiply_a_text(self) -> None:
        """A long one, with a code of two characters again and again, would make gigabytes when written."""
        text = "k" * 10_000
        start, codes = f'[["^ ","{text}",1]', ',"^0"'
        for times, fits in ((60, True), (70, False)):
            data = (start + codes * times + "]").encode()
            if fits:
                self.assertEqual(loads("transit-json", data)[1:], [text] * times)
            else:
                error = self.assertRaises(ContentError, loads, "transit-json", data)
                self.assertIn("codes of the cache stand for more than 6", str(error))
        names = '["~:' + "n" * 90 + '"' + ',"^0"' * 1000 + "]"
        self.assertEqual(len(set(loads("transit-json", names.encode()))), 1)

    def test_depth_is_bounded(self) -> None:
        """MAX_DEPTH levels of JSON are read, one more is refused."""
        value = loads("transit-json", b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
        self.assertEqual(json.dumps(value), "[" * MAX_DEPTH + "]" * MAX_DEPTH)
        for piece, end in ((b"[", b"]"), (b'{"a":', b"}"), (b'["^ ","a",', b"]"), (b'["~#a",', b"]")):
            loads("transit-json", piece * MAX_DEPTH + b"1" + end * MAX_DEPTH)
            for levels in (MAX_DEPTH + 1, 100_000):
                data = piece * levels + b"1" + end * levels
                error = self.assertRaises(ContentError, loads, "transit-json", data)
                self.assertIn("deep", str(error))

    def test_members_that_are_deep(self) -> None:
        """They are made hashable level by level, for which there may be no room."""
        data = b'["~#set",[' + b'["^ ",1,' * 200 + b"1" + b"]" * 200 + b"]]"
        self.assertIsInstance(loads("transit-json", data), frozenset)
        error = with_frames_left(300, lambda: self.assertRaises(ContentError, loads, "transit-json", data))
        self.assertIn("nested too deeply", str(error))
