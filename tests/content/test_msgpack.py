"""Content type 30 beyond the values: its bytes, its bounds, and what it makes of bytes that are not ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import msgpack as library
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import msgpack
from slacker.content.codec import MAX_DEPTH, MAX_PART
from slacker.content.msgpack import KEPT_BUFFER, MAX_EXTENSIONS, dumps, loads
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged
from slacker.errors import ContentError
from tests.content.vectors import shape

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

#: A value and its bytes, as the table of extension codes has them.
FORMS: list[tuple[Any, str]] = [
    (Keyword("a/b"), "c70301612f62"),
    (Symbol("a"), "d40261"),
    (Char("\u00e9"), "d503c3a9"),
    (List([1, 2]), "c70304920102"),
    (List(), "d40490"),
    (frozenset([1]), "d5059101"),
    (Fraction(1, 3), "c70306920103"),
    (Tagged("t", 1), "d60792a17401"),
    (2**64, "c70908010000000000000000"),
    (-(2**63) - 1, "c70908ff7fffffffffffffff"),
    (Decimal("1.5"), "c70309312e35"),
    (UUID(int=5), "d80a00000000000000000000000000000005"),
    (_EPOCH, "d6ff00000000"),
    (2**64 - 1, "cfffffffffffffffff"),
    ([None, True, 1, -1, "s", b"b"], "96c0c301ffa173c40162"),
]


class FormTests(SynchronousTestCase):
    """The bytes."""

    def test_every_extension(self) -> None:
        """Each value has the form that both ends know."""
        for value, data in FORMS:
            self.assertEqual(dumps(value).hex(), data, repr(value))
            self.assertEqual(shape(loads(bytes.fromhex(data))), shape(value))

    def test_any_reader_of_messagepack_reads_plain_values(self) -> None:
        """There is nothing in them that is ours."""
        value = [None, True, 1, -1.5, "text", b"bytes", {"a": [1, {}]}]
        self.assertEqual(library.unpackb(dumps(value)), value)

    def test_times(self) -> None:
        """To the microsecond, before 1970 and in any zone; read in UTC."""
        east = timezone(timedelta(hours=5))
        for moment in (
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
            datetime(1, 1, 1, tzinfo=timezone.utc),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone.utc),
            datetime(2026, 1, 1, tzinfo=east),
        ):
            self.assertEqual(loads(dumps(moment)), moment)
        self.assertEqual(
            loads(bytes.fromhex("c70cff3b9ac9ff0000000000000000")), _EPOCH + timedelta(microseconds=999999)
        )

    def test_keys(self) -> None:
        """Whatever can be a key travels as one."""
        value = {
            (1, (2,)): 1,
            Map({"a": (1,)}): 2,
            frozenset([3]): 3,
            Keyword("a"): 4,
            Tagged("t", (1,)): 5,
            1.5: 6,
        }
        self.assertEqual(shape(loads(dumps(value))), shape(value))

    def test_instances_of_subclasses(self) -> None:
        """They travel as what they are a kind of, even where that is an extension."""
        big = type("Big", (int,), {})(2**70)
        listed = type("Listed", (List,), {})([1])
        self.assertEqual(shape(loads(dumps([big, listed, True]))), shape([2**70, List([1]), True]))


class BoundsTests(SynchronousTestCase):
    """Threads, depth, memory."""

    def test_threads_do_not_meet(self) -> None:
        """Each packs with a packer of its own, even while a value's own code runs in between."""
        barrier = Barrier(4)

        class Slow(dict[str, int]):
            """Lets other threads run while it is packed."""

            def keys(self) -> Any:
                barrier.wait(10)
                return super().keys()

            def __iter__(self) -> Iterator[str]:
                barrier.wait(10)
                return super().__iter__()

        results: dict[int, Any] = {}

        def pack(number: int) -> None:
            results[number] = loads(dumps([number, Slow(a=number), number]))

        threads = [Thread(target=pack, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, {number: [number, {"a": number}, number] for number in range(4)})

    def test_big_buffers_are_let_go(self) -> None:
        """A packer that wrote megabytes is not kept, nor one that failed."""
        idle = msgpack.LEVELS[0].idle
        dumps(1)
        kept = len(idle)
        dumps(b"x" * KEPT_BUFFER)
        self.assertEqual(len(idle), kept - 1)
        dumps(1)
        self.assertEqual(len(idle), max(kept, 1) if kept > 1 else 1)
        self.assertRaises(ContentError, dumps, [1, object()])
        inner = msgpack.LEVELS[1].idle
        inner.clear()
        dumps(List([b"x" * KEPT_BUFFER]))
        self.assertEqual(inner, [])

    def test_extensions_in_each_other_are_bounded(self) -> None:
        """MAX_EXTENSIONS of them, when writing and when reading."""
        value: Any = 1
        for _ in range(MAX_EXTENSIONS):
            value = List([value])
        data = dumps(value)
        self.assertEqual(loads(data), value)
        error = self.assertRaises(ContentError, dumps, [List([value])])
        self.assertIn(f"stands in more than {MAX_EXTENSIONS} lists, sets and tagged values", str(error))
        deeper = library.packb(library.ExtType(4, library.packb([library.ExtType(4, data)])))
        error = self.assertRaises(ContentError, loads, deeper)
        self.assertIn(
            f"more than {MAX_EXTENSIONS} lists, sets and tagged values stand in each other", str(error)
        )

    def test_depth_is_bounded_across_extensions(self) -> None:
        """Payloads that are not too deep in themselves may be so together."""
        deep: Any = {1: {2: [3]}}
        for _ in range(MAX_DEPTH // 2):
            deep = [deep]
        both: Any = Tagged("t", [List([deep])])
        self.assertEqual(loads(dumps(both)), both)
        for _ in range(MAX_DEPTH // 2):
            both = Tagged("t", both) if isinstance(both, list) else [both]
        both = List([both, {5}])
        error = self.assertRaises(ContentError, dumps, both)
        self.assertIn("levels deep", str(error))
        half = library.packb(self.nested(MAX_DEPTH // 2))
        inner = half[:-1] + library.packb(library.ExtType(4, b"\x91" + half))
        error = self.assertRaises(ContentError, loads, library.packb(library.ExtType(4, inner)))
        self.assertIn("nested more than 250 levels deep", str(error))
        self.assertRaises(ContentError, loads, b"\x91" * 100_000)

    def nested(self, levels: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(levels):
            value = [value]
        return value

    def test_ratios_are_of_integers_of_some_length(self) -> None:
        """To reduce one takes time that grows with the square of it."""
        most = 2 ** (8 * MAX_PART - 1) - 1
        for ratio in (Fraction(most, 2), Fraction(-most, 2), Fraction(1, most)):
            self.assertEqual(loads(dumps(ratio)), ratio)
        for ratio in (Fraction(most + 2, 2), Fraction(1, most + 2)):
            error = self.assertRaises(ContentError, dumps, [ratio])
            self.assertIn("[0] consists of an integer of more than 1785 bytes", str(error))
        long = library.ExtType(8, b"\x7f" * 1_000_000)
        for parts in ([long, 1], [1, long], [long, long]):
            error = self.assertRaises(
                ContentError, loads, library.packb(library.ExtType(6, library.packb(parts)))
            )
            self.assertIn("a ratio consists of an integer of more than 1785 bytes", str(error))

    def test_lengths_that_are_not_there(self) -> None:
        """An array or string that says it is longer than the payload is refused, not allocated."""
        for data in (
            b"\xdd\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc9\xff\xff\xff\xff\x04",
        ):
            error = self.assertRaises(ContentError, loads, data)
            self.assertTrue(str(error).startswith("not a msgpack payload"))


class ReaderTests(SynchronousTestCase):
    """Bytes that we did not write."""

    def test_what_is_no_payload_is_refused(self) -> None:
        """With what is wrong."""
        for data, reason in (
            ("", "incomplete input"),
            ("9201", "incomplete input"),
            ("0102", "extra data"),
            ("c1", "of 1 bytes"),
            ("a1ff", "can't decode byte 0xff"),
            ("82010102", "incomplete input"),
            ("8201010102", "two keys of one map are equal in Python: 1 and 1"),
            ("82910101910102", "two keys of one map are equal in Python: (1,) and (1,)"),
            ("8201a161c3a162", "1 and True"),
            ("c70305920101", "two members of one set are equal in Python: 1 and 1"),
            ("d40b00", "extension code 11 is not one of msgpack's (1 to 10)"),
            ("d4fe00", "extension code -2"),
            ("d40401", "the payload of an extension is not the array it should be"),
            ("d50691" + "01", "the payload of an extension has 1 elements and should have 2"),
            ("c70306920100", "Fraction(1, 0)"),
            ("c7040692a16101", "a ratio consists of two integers"),
            ("c7030692c301", "a ratio consists of two integers"),
            ("c703079201c0", "a tag is a str or a Symbol"),
            ("d40978", "ConversionSyntax"),
            ("d40a00", "bytes is not a 16-char string"),
            ("d503ff" + "ff", "can't decode byte 0xff"),
            ("d5036162", "a Char is one character"),
            ("c70cff00000000" + "7f" * 8, "of 15 bytes"),
        ):
            error = self.assertRaises(ContentError, loads, bytes.fromhex(data))
            self.assertTrue(str(error).startswith("not a msgpack payload"), data)
            self.assertIn(reason, str(error), data)

    def test_values_that_change_while_they_are_written(self) -> None:
        """They are refused, not half written."""

        class Growing(dict[int, int]):
            """Grows whenever somebody looks at it."""

        growing = Growing({1: 1})

        class Watcher(list[int]):
            """Adds to the dict while it is packed."""

            def __iter__(self) -> Iterator[int]:
                target[len(target)] = 0
                return super().__iter__()

        target: dict[Any, Any] = {0: Watcher([1]), 1: Watcher([2])}
        error = self.assertRaises(ContentError, dumps, target)
        self.assertIn("msgpack cannot carry this value: ", str(error))
        self.assertEqual(loads(dumps(growing)), {1: 1})
