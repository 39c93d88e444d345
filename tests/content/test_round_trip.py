"""Whatever is written is read back; whatever is read is a value or a ContentError, and nothing else."""

from __future__ import annotations

import random
from typing import Any

import edn_format
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import CODECS, dumps, loads
from slacker.content.edn import reader
from slacker.content.values import Keyword, Symbol
from slacker.errors import ContentError
from tests.content.strategies import values
from tests.content.vectors import VALUES, entries, shape

_repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=300)

#: Pieces of EDN, whole and broken, to put together at random.
_PIECES = (
    *(
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "#{",
        '"',
        '"a b"',
        "\\",
        "\\\\",
        '\\"',
        "\\a",
        "\\(",
        ";",
        "\n",
        " ",
        ",",
        "#",
    ),
    *(
        "#_",
        "^",
        "#^",
        "#a",
        "#:a",
        "##Inf",
        "##",
        ":a",
        ":a/b",
        ":",
        "a",
        "a/b",
        "/",
        "1",
        "-1",
        "1.5",
        "1/2",
        "2M",
    ),
    *("0x1f", "nil", "true", "@", "`", "\u00e9", "\u2003", "\x1c", "#inst", '"2026"', "\\u0041", "'", "_"),
)


class RoundTripTests(SynchronousTestCase):
    """The content types that carry everything."""

    @_repeatable
    @given(values)
    def test_they_give_back_what_they_were_given(self, value: object) -> None:
        """With all types, and so they agree; but of the two zeros nippy has only one."""
        for name in CODECS.keys() - {"json"}:
            one_zero = name == "nippy"
            read = loads(name, dumps(name, value))
            self.assertEqual(shape(read, one_zero), shape(value, one_zero), name)

    @_repeatable
    @given(values)
    def test_what_one_read_another_writes(self, value: object) -> None:
        """The bytes are those that it writes for the value itself: nothing is added on the way."""
        for name in CODECS.keys() - {"json"}:
            read = loads("clj", dumps("clj", value))
            self.assertEqual(len(dumps(name, read)), len(dumps(name, value)), name)

    @_repeatable
    @given(values)
    def test_json_gives_back_what_it_wrote(self, value: object) -> None:
        """What JSON made of a value once, it makes of it again; or it refuses the value."""
        try:
            once = loads("json", dumps("json", value))
        except ContentError:
            return
        self.assertEqual(shape(loads("json", dumps("json", once))), shape(once))

    @_repeatable
    @given(values)
    def test_only_content_errors_come_out_of_writing(self, value: Any) -> None:
        """Also where an element in the middle cannot be written."""
        for name in CODECS:
            error = self.assertRaises(ContentError, dumps, name, [value, object()])
            self.assertIn("cannot carry this value", str(error))


class AnyBytesTests(SynchronousTestCase):
    """Bytes that nobody wrote."""

    def either(self, name: str, data: bytes) -> object:
        """The value or the error of reading ``data``; anything else fails the test."""
        try:
            return shape(loads(name, data))
        except ContentError as error:
            return str(error)

    @_repeatable
    @given(st.binary(max_size=40))
    def test_any_bytes(self, data: bytes) -> None:
        """They are a value or a ContentError."""
        for name in CODECS:
            self.either(name, data)

    @_repeatable
    @given(st.lists(st.sampled_from(_PIECES), max_size=12))
    def test_any_pieces_of_edn(self, pieces: list[str]) -> None:
        """Both ways to cut a text agree on the value, or on the error and its place."""
        data = "".join(pieces).encode()
        before = self.either("clj", data)
        split = reader._split
        reader._split = lambda parts: None
        try:
            self.assertEqual(self.either("clj", data), before, data)
        finally:
            reader._split = split

    def test_vectors_with_a_byte_changed(self) -> None:
        """Every vector of a few hundred bytes, with each of its bytes changed once."""
        chance = random.Random(20260101)
        for name, file in (
            ("clj", "edn"),
            ("json", "json"),
            ("nippy", "nippy"),
            ("transit-json", "transit_json"),
            ("transit-msgpack", "transit_msgpack"),
        ):
            for entry in entries(file).values():
                self.change(name, bytes.fromhex(entry.get("hex", ""))[:300], chance)
        for value in VALUES.values():
            data = dumps("msgpack", value)
            if len(data) < 1000:
                self.change("msgpack", data[:300], chance)

    def change(self, name: str, data: bytes, chance: random.Random) -> None:
        for index in range(len(data)):
            changed = bytearray(data)
            changed[index] = chance.randrange(256)
            self.either(name, bytes(changed))
            self.either(name, data[:index])


class OracleTests(SynchronousTestCase):
    """Another reader of EDN."""

    def test_edn_format_reads_the_same(self) -> None:
        """It agrees about every vector that it can read; its own gaps are left out by name."""

        def ours(value: Any) -> Any:
            if isinstance(value, edn_format.Keyword):
                return Keyword(str(value)[1:])
            if isinstance(value, edn_format.Symbol):
                return Symbol(str(value))
            if isinstance(value, (edn_format.ImmutableDict, dict)):
                return {ours(key): ours(item) for key, item in value.items()}
            if isinstance(value, (edn_format.ImmutableList, list)):
                return [ours(item) for item in value]
            if isinstance(value, (frozenset, set)):
                return frozenset(ours(item) for item in value)
            return list(map(ours, value)) if isinstance(value, tuple) else value

        # It has no characters, rounds big decimals, takes one slash in a name; NaN is equal to nothing.
        gaps = ("char", "vec-mixed", "bigdec-long", "kw-slash", "double-nan")
        for name, entry in entries("edn").items():
            if name in VALUES and "hex" in entry and not name.startswith(gaps):
                data = bytes.fromhex(entry["hex"])
                self.assertEqual(ours(edn_format.loads(data.decode())), loads("clj", data), name)
