"""``tests/vectors/transit_*.json``: what the real transit wrote is read, and its bytes are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import dumps, loads
from slacker.content.values import Char, Keyword, Symbol
from tests.content.vectors import VALUES, entries, hash_order, is_of, shape

#: Entries that EDN has no form for, or whose value is another one in transit.
_OTHERS: dict[str, Any] = {
    "kw-odd-space": Keyword("a b"),
    "bytes-empty": b"",
    "int-array": [1, 2],
    "long-array": [1, 2],
    "double-array": [1.5],
    "char-array": [Char("a"), Char("b")],
    "java-linkedlist": [1, 2],
    "str-lone-surrogate": "?",
    "char-surrogate": Char("?"),
}

#: Entries of types that Python has no like for: it has one type of integers, and of floats.
_OTHER_TYPES = {"bigint-1N", "bigint-128N", "biginteger", "java-linkedlist"}

#: Entries with numbers in Java's notation, or escapes where JSON has a choice.
_OTHER_NOTATION = {
    *("double--3.14159e-200", "double-1e21", "double-1e7", "double-0.0001", "double-max", "double-min"),
    *("str-escapes", "str-emoji"),
}

_HASHED = {"map-127", "map-128", "map-300", "map-70000", "set-70000"}


class TransitVectorTests(SynchronousTestCase):
    """Both files."""

    entries = {"transit-json": entries("transit_json"), "transit-msgpack": entries("transit_msgpack")}

    def written(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The entries that transit could write, by name."""
        for entry, fields in self.entries[name].items():
            if not fields.get("refused"):
                yield entry, fields

    def expected(self, name: str) -> dict[str, Any]:
        there = {entry for entry, _fields in self.written(name)}
        values = {entry: value for entry, value in VALUES.items() if entry in there}
        return {**values, **_OTHERS}

    def test_every_entry_is_in_the_table(self) -> None:
        """None that transit wrote is left out."""
        for name in self.entries:
            there = {entry for entry, fields in self.written(name) if "hex" in fields}
            self.assertEqual(there - self.expected(name).keys(), set())

    def test_what_transit_wrote_is_read(self) -> None:
        """Reading an entry's bytes gives its value, with all types."""
        for name in self.entries:
            for entry, value in self.expected(name).items():
                if "hex" in self.entries[name][entry]:
                    read = loads(name, bytes.fromhex(self.entries[name][entry]["hex"]))
                    self.assertEqual(shape(read), shape(value), (name, entry))

    def test_what_is_written_is_what_transit_writes(self) -> None:
        """Writing an entry's value gives its bytes, save where types or notation have no like."""
        for name, others in (
            ("transit-json", _OTHER_TYPES | _OTHER_NOTATION),
            ("transit-msgpack", _OTHER_TYPES | {"java-float-1.5"}),
        ):
            differing = {
                entry
                for entry, fields in self.written(name)
                if entry in VALUES and entry not in _HASHED and not is_of(fields, dumps(name, VALUES[entry]))
            }
            self.assertEqual(differing, others)

    def test_another_notation_is_the_same_json(self) -> None:
        """Any reader of JSON makes the same of it."""
        for entry in _OTHER_NOTATION:
            there = json.loads(bytes.fromhex(self.entries["transit-json"][entry]["hex"]))
            self.assertEqual(json.loads(dumps("transit-json", VALUES[entry])), there)

    def test_maps_in_the_order_of_clojures_hashes(self) -> None:
        """They are written as transit writes them when Python's dict has that order."""
        for name in self.entries:
            for entry in ("map-127", "map-128", "map-300", "map-70000"):
                ordered = {key: VALUES[entry][key] for key in sorted(VALUES[entry], key=hash_order)}
                self.assertTrue(is_of(self.entries[name][entry], dumps(name, ordered)), (name, entry))

    def test_a_set_in_the_order_of_clojures_hashes(self) -> None:
        """Python's sets keep no order, so the bytes are put together here; they are the real ones."""
        members = sorted(range(70_000), key=hash_order)
        there = {
            "transit-json": json.dumps(["~#set", members], separators=(",", ":")).encode(),
            "transit-msgpack": msgpack.packb(["~#set", members]),
        }
        for name, data in there.items():
            self.assertTrue(is_of(self.entries[name]["set-70000"], data), name)
            self.assertEqual(loads(name, data), VALUES["set-70000"])
            self.assertEqual(sorted(dumps(name, VALUES["set-70000"])), sorted(data))

    def test_bytes_too_large_for_the_file(self) -> None:
        """They are compared by length and digest."""
        for name in self.entries:
            data = dumps(name, bytes(70_000))
            self.assertTrue(is_of(self.entries[name]["bytes-70000"], data))
            self.assertEqual(loads(name, data), bytes(70_000))

    def test_every_value_is_read_back(self) -> None:
        """Writing a value and reading it gives the value, with all types."""
        for name in self.entries:
            for entry, value in VALUES.items():
                self.assertEqual(shape(loads(name, dumps(name, value))), shape(value), (name, entry))

    def test_the_cache_rolls_over_as_the_real_one_does(self) -> None:
        """The names of a hundred maps, and repeated names, are written as codes, to the byte."""
        for entry in ("map-cache-rollover", "vec-rep-strings", "vec-of-seqs"):
            for name in self.entries:
                data = bytes.fromhex(self.entries[name][entry]["hex"])
                self.assertIn(b"^0", data)
                self.assertEqual(dumps(name, VALUES[entry]), data)
        self.assertEqual(VALUES["vec-rep-strings"][-1], Symbol("symbolx"))
