"""The table of content types, and what all of them have in common."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from enum import IntEnum
from fractions import Fraction
from itertools import product
from struct import pack
from time import process_time
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from slacker import content
from slacker.content import BY_ID, CODECS, Codec, dumps, get, loads
from slacker.content.codec import MAX_DEPTH
from slacker.content.refusal import Refusal, refuse, refused_arguments, told
from slacker.content.values import Keyword, List, Map, Symbol, Tagged
from slacker.errors import ContentError


class TableTests(SynchronousTestCase):
    """``slacker.content``."""

    def test_names_and_ids(self) -> None:
        """The ids are those of the wire."""
        ids = {name: codec.wire_id for name, codec in CODECS.items()}
        self.assertEqual(
            ids, {"json": 1, "clj": 2, "nippy": 3, "transit-json": 4, "transit-msgpack": 5, "msgpack": 30}
        )
        for name, codec in CODECS.items():
            self.assertIsInstance(codec, Codec)
            self.assertEqual(codec.name, name)
            self.assertIs(BY_ID[codec.wire_id], codec)
            self.assertIs(get(name), codec)
        self.assertEqual(len(BY_ID), len(CODECS))

    def test_an_unknown_name_is_refused_with_the_known_ones(self) -> None:
        """So that a typing error is seen at once."""
        for call in (lambda: get("edn"), lambda: dumps("edn", 1), lambda: loads("edn", b"1")):
            error = self.assertRaises(ContentError, call)
            self.assertIn(
                "unknown content type 'edn'; there are clj, json, msgpack, nippy, transit-", str(error)
            )

    def test_public_names(self) -> None:
        """What others build on."""
        self.assertEqual(
            set(content.__all__), {"BY_ID", "CODECS", "Codec", "dumps", "get", "loads", "register"}
        )


class _Number(IntEnum):
    ONE = 1


class HashTests(SynchronousTestCase):
    """Values that are different and have the same hash in Python."""

    def test_too_many_are_refused(self) -> None:
        """Putting them into one map or set would take time that grows with the square of their number."""
        period = 2**61 - 1
        same_hash: list[list[Any]] = [
            [UUID(int=period * number) for number in range(1, 20_001)],
            [period * (2**70 + number) for number in range(20_000)],
        ]
        for name in CODECS.keys() - {"json"}:
            for keys in same_hash:
                small = dict.fromkeys(keys[:256], True)
                self.assertEqual(loads(name, dumps(name, small)), small)
                some = dict.fromkeys(keys[:300], True)
                for data in (dumps(name, some), dumps(name, frozenset(some))):
                    error = self.assertRaises(ContentError, loads, name, data)
                    self.assertIn("more than 256 keys of one map or set have the same hash", str(error))

    def test_of_compound_ones_there_may_be_less(self) -> None:
        """Comparing two of them takes as long as they have in common."""
        points = [list(point) for point in product([-1, -2], repeat=6)]
        forms: list[Callable[[list[int]], Any]] = [
            tuple,
            lambda point: Map({0: tuple(point)}),
            lambda point: Tagged("app/point", tuple(point)),
        ]
        for name in CODECS.keys() - {"json"}:
            for form in forms:
                keys = [*range(100), *map(form, points)]
                few = dict.fromkeys(keys[:132], True)
                self.assertEqual(loads(name, dumps(name, few)), few)
                some = dict.fromkeys(keys[:133], True)
                for data in (dumps(name, some), dumps(name, frozenset(some))):
                    error = self.assertRaises(ContentError, loads, name, data)
                    self.assertIn("more than 32 compound keys of one map or set have the same", str(error))

    def test_time_is_bounded(self) -> None:
        """Tens of thousands of them cost no more than to be counted."""
        members = b"".join(b"\x5b" + UUID(int=(2**61 - 1) * number).bytes for number in range(50_000))
        started = process_time()
        error = self.assertRaises(ContentError, loads, "nippy", b"\x17" + pack(">i", 50_000) + members)
        self.assertIn("the same hash", str(error))
        self.assertLess(process_time() - started, 3)

    def test_large_maps_and_sets_are_read(self) -> None:
        """With keys of any type."""
        keys: list[Any] = [
            *range(-500, 500),
            *map(str, range(1000)),
            *[(number, -1) for number in range(1000)],
        ]
        for name in CODECS.keys() - {"json"}:
            for value in (dict.fromkeys(keys, 1), frozenset(keys)):
                self.assertEqual(loads(name, dumps(name, value)), value)


class SubclassTests(SynchronousTestCase):
    """Instances of subclasses of what the codecs carry."""

    def test_they_travel_as_what_they_are_a_kind_of(self) -> None:
        """Enumerations with a value, and the containers of ``collections``."""
        for name in CODECS:
            self.assertEqual(loads(name, dumps(name, [_Number.ONE, OrderedDict(a=1)])), [1, {"a": 1}])


_HALF = Fraction(1, 2)

#: By content type, for each kind of container: one around a value, and the bytes around those of the value.
_CONTAINERS: dict[str, list[tuple[Callable[[Any], Any], bytes, bytes]]] = {
    "json": [(lambda value: [value], b"[", b"]"), (lambda value: {"a": value}, b'{"a":', b"}")],
    "clj": [
        (lambda value: [value], b"[", b"]"),
        (lambda value: List([value]), b"(", b")"),
        (lambda value: {"a": value}, b'{"a" ', b"}"),
        (lambda value: frozenset([value]), b"#{", b"}"),
        (lambda value: Tagged("a", value), b"#a ", b""),
    ],
    "nippy": [
        (lambda value: [value], b"\x6e\x01", b""),
        (lambda value: List([value]), b"\x24\x01", b""),
        (lambda value: {"a": value}, b"\x70\x01\x69\x01a", b""),
        (lambda value: frozenset([value]), b"\x6f\x01", b""),
    ],
    "transit-json": [
        (lambda value: [value], b"[", b"]"),
        (lambda value: List([value]), b'["~#list",[', b"]]"),
        (lambda value: {"a": value}, b'["^ ","a",', b"]"),
        (lambda value: {_HALF: value}, b'["~#cmap",[["~#ratio",["~n1","~n2"]],', b"]]"),
        (lambda value: frozenset([value]), b'["~#set",[', b"]]"),
        (lambda value: Tagged("a", value), b'["~#a",', b"]"),
        (lambda value: Tagged("a", value), b'{"~#a":', b"}"),
    ],
    "transit-msgpack": [
        (lambda value: [value], b"\x91", b""),
        (lambda value: List([value]), b"\x92\xa6~#list\x91", b""),
        (lambda value: {"a": value}, b"\x81\xa1a", b""),
        (lambda value: {_HALF: value}, b"\x92\xa6~#cmap\x92\x92\xa7~#ratio\x92\x01\x02", b""),
        (lambda value: frozenset([value]), b"\x92\xa5~#set\x91", b""),
        (lambda value: Tagged("a", value), b"\x92\xa3~#a", b""),
    ],
}


class DepthTests(SynchronousTestCase):
    """Each container is one level, in every content type: a list, a set and a tagged value as a vector."""

    def test_so_many_levels_are_carried_and_no_more(self) -> None:
        """Whatever stands inside them."""
        moment = datetime(2026, 1, 2, tzinfo=timezone.utc)
        for name, containers in _CONTAINERS.items():
            for put_in, before, after in containers:
                for innermost in ("a", moment, UUID(int=1), _HALF):
                    value: Any = innermost
                    for _ in range(MAX_DEPTH - 1):
                        value = put_in(value)
                    data = dumps(name, [value])
                    read = loads(name, data)
                    if name != "json":
                        self.assertEqual(read, [value], (name, before))
                    error = self.assertRaises(ContentError, dumps, name, [[value]])
                    self.assertIn("more than 250 levels deep", str(error), (name, before))
                    error = self.assertRaises(ContentError, loads, name, before + data + after)
                    self.assertIn("more than 250 levels deep", str(error), (name, before))

    def test_msgpack_goes_as_deep_as_its_library(self) -> None:
        """Which is deeper, and has an end."""
        value: Any = "a"
        for _ in range(MAX_DEPTH):
            value = [{"a": value}]
        self.assertEqual(loads("msgpack", dumps("msgpack", value)), value)
        for _ in range(MAX_DEPTH * 3):
            value = [value]
        self.assertIn("deep", str(self.assertRaises(ContentError, dumps, "msgpack", value)))
        self.assertRaises(ContentError, loads, "msgpack", b"\x91" * 2000 + b"\x01")


class UnwantedError(Exception):
    """One that cannot even be shown."""

    def __repr__(self) -> str:
        raise ValueError


class Raising(list[int]):
    """Raises when it is written."""

    def __init__(self, error: Exception) -> None:
        super().__init__([1])
        self.error = error

    def __iter__(self) -> Iterator[int]:
        raise self.error


class RefusalTests(SynchronousTestCase):
    """What a codec cannot carry is refused, with the way to it, before anything is sent."""

    def message(self, name: str, value: object) -> str:
        error = self.assertRaises(ContentError, dumps, name, value)
        text = str(error)
        self.assertTrue(text.startswith(f"{name} cannot carry this value: "), text)
        return text.partition(": ")[2]

    def test_the_way_to_the_element(self) -> None:
        """It reads as one would write it in Python, in every codec."""
        odd = object()
        for value, path in (
            (odd, "it"),
            ([1, {"when": odd}], '[1]["when"]'),
            (List([(0, odd)]), "[0][1]"),
            ({5: [odd]}, "[5][0]"),
            ({"a": {"b\n": odd}}, "[\"a\"]['b\\n']"),
            ([{odd}], "[0].member"),
            ([OrderedDict(a=odd)], '[0]["a"]'),
            ([{"a": 1, "b": [1, [2, [3], odd]]}], '[0]["b"][1][2]'),
            ({"x" * 100: odd}, "['" + "x" * 12 + "..." + "x" * 13 + "']"),
        ):
            for name in CODECS:
                self.assertEqual(
                    self.message(name, value),
                    f"{path} is of type object, which no content type has a form for",
                )

    def test_a_key_that_python_does_not_write(self) -> None:
        """An integer of more than 4,300 digits is named by its type."""
        self.assertIn("[<int>] is of type object", self.message("msgpack", {16**5000: object()}))

    def test_a_key_has_its_own_way(self) -> None:
        """It is not the value behind it."""
        key = frozenset([(1, object())])
        for name in CODECS.keys() - {"json"}:
            self.assertIn("[0].key(", self.message(name, [{key: 1}]))
        self.assertEqual(self.message("json", [{(1,): 2}]), "[0].key((1,)) is a map key, and JSON's are text")

    def test_deeper_than_a_way_can_be_read(self) -> None:
        """It says so; the library under msgpack may go deeper than the other content types."""
        odd = object()
        deep: Any = odd
        for _ in range(MAX_DEPTH + 10):
            deep = [deep]
        error = self.assertRaises(ContentError, refuse, "msgpack", deep, Refusal(odd, "is odd"))
        self.assertEqual(str(error), "msgpack cannot carry this value: something deep inside it is odd")
        told = refused_arguments("msgpack", "n/f", error)
        self.assertIn("the arguments of n/f: something deep inside args is odd", str(told))

    def test_of_a_call_it_names_the_function_and_the_argument(self) -> None:
        for value, text in (
            (
                [{"when": object()}],
                'json cannot carry the arguments of n/f: args[0]["when"] is of type object',
            ),
            (object(), "json cannot carry the arguments of n/f: args is of type object"),
        ):
            with self.assertRaises(ContentError) as caught:
                dumps("json", value)
            self.assertTrue(str(refused_arguments("json", "n/f", caught.exception)).startswith(text))
        told = refused_arguments("json", "n/f", ContentError("no more memory"))
        self.assertEqual(str(told), "arguments of n/f: no more memory")

    def test_what_raises_while_it_is_written(self) -> None:
        """Whatever it raises, it is a ContentError that names it."""
        for error in (KeyError("a"), RuntimeError("b"), ValueError("c"), MemoryError(), UnwantedError()):
            for name in CODECS:
                self.assertEqual(
                    self.message(name, [1, {"a": Raising(error)}]),
                    f"something deep inside it raised {told(error)} when it was written",
                )

    def test_what_changes_while_it_is_written(self) -> None:
        """It is not half written."""

        class Watcher(list[int]):
            """Adds to the dict while it is written."""

            def __iter__(self) -> Iterator[int]:
                target[str(len(target))] = 0
                return super().__iter__()

        for name in CODECS:
            target: dict[str, Any] = {"0": Watcher([1]), "1": Watcher([2])}
            self.assertIn("changed size during iteration", self.message(name, target))

    def test_a_way_that_cannot_be_gone_again(self) -> None:
        """What is wrong is said without it."""

        class Once(list[int]):
            """Can be gone through once."""

            def __iter__(self) -> Iterator[int]:
                if self:
                    raise RuntimeError
                self.append(1)
                return iter([1])

        for name in CODECS:
            self.assertIn(
                "something deep inside it is of type object", self.message(name, [Once(), object()])
            )

    def test_inside_a_tagged_value(self) -> None:
        """It has a value."""
        for name in CODECS.keys() - {"json"}:
            self.assertIn(
                "[0].value[1] is of type object", self.message(name, [Tagged("a/t", [1, object()])])
            )

    def test_a_hint_where_there_is_one(self) -> None:
        """What the caller can send instead."""
        for name in CODECS:
            for value in (
                range(3),
                iter([1]),
                {1: 2}.keys(),
                {1: 2}.values(),
                {1: 2}.items(),
                (x for x in [1]),
            ):
                self.assertIn("make a list of it", self.message(name, [value]))
            for moment in (date(2026, 1, 1), timedelta(1)):
                self.assertIn("send a datetime with a time zone, or text", self.message(name, moment))
            self.assertIn("without a time zone; give it one", self.message(name, datetime(2026, 1, 1)))
            self.assertIn("twisted.trial", self.message(name, SynchronousTestCase()))

    def test_half_a_surrogate_pair(self) -> None:
        """It is no text, wherever it stands."""
        for name in CODECS:
            for value, path in (
                ("a\ud800", "it"),
                (["a", {"b": "\udc00"}], '[1]["b"]'),
                ([Keyword("a\ud800")], "[0]"),
                ([Symbol("a\ud800")], "[0]"),
            ):
                self.assertEqual(
                    self.message(name, value), f"{path} holds half a surrogate pair, which is no Unicode text"
                )

    def test_too_deep(self) -> None:
        """Nested too deeply, or containing itself; in Python's own stack, too, there may be less room."""
        itself: list[Any] = []
        itself.append(itself)
        mapped: dict[str, Any] = {}
        mapped["a"] = List([mapped])
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for name in CODECS:
            for value in (itself, mapped, deep):
                self.assertIn("levels deep, or contains itself", self.message(name, value))
            self.assertIn("levels deep, or contains itself", self.with_little_stack(name))

    def with_little_stack(self, name: str) -> str:
        """The message for a value that is not too deep, when the caller's stack is nearly full."""
        value: Any = Tagged("a", 1) if name != "json" else []
        for _ in range(30):
            value = List([value])

        def dig(levels: int) -> str:
            return dig(levels - 1) if levels else self.message(name, value)

        for levels in range(sys.getrecursionlimit(), 0, -1):
            try:
                return dig(levels)
            except RecursionError:
                continue
        raise AssertionError("it cannot be reached")
