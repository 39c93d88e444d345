"""The values of the real Clojure implementation, read from its bytes and written back: one table."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.content import dumps, loads
from slacker.content.values import Char, Keyword, List, Symbol, Tagged, Unreadable
from slacker.errors import ContentError
from tests.content.vectors import VALUES, entries, hash_order, is_of, shape

# Equal values that Clojure writes otherwise: numbers in Java's notation, a map's entries in the order of its
# hashes, maps of one namespace, control characters as they are, trailing zeros of a time.
_OTHER_BYTES = {
    *("bigint-1N", "bigint-128N", "biginteger-big", "double--3.14159e-200", "double-1e21", "double-1e7"),
    *("double-0.0001", "double-max", "double-min", "str-escapes", "map-ns-keys", "bigmap-ns", "map-127"),
    *("map-128", "map-300", "map-70000", "set-70000", "sql-timestamp"),
}

#: Maps in the order of Clojure's hashes, which comes of integers alone.
_HASHED_MAPS = ("map-127", "map-128", "map-300", "map-70000")


def _in_order(value: dict[int, Any]) -> dict[int, Any]:
    return {key: value[key] for key in sorted(value, key=hash_order)}


class EdnVectorTests(SynchronousTestCase):
    """``tests/vectors/edn.json``."""

    entries = entries("edn")

    def test_every_entry_that_can_be_read_back_is_in_the_table(self) -> None:
        """No value that Clojure reads back equal is left out."""
        readable = {name for name, entry in self.entries.items() if entry.get("back_equal")}
        self.assertEqual(readable - VALUES.keys(), set())

    def test_what_clojure_wrote_is_read(self) -> None:
        """Reading an entry's bytes gives its value, with all types."""
        for name, value in VALUES.items():
            if "hex" in self.entries[name]:
                read = loads("clj", bytes.fromhex(self.entries[name]["hex"]))
                self.assertEqual(shape(read), shape(value), name)

    def test_what_is_written_is_what_clojure_writes(self) -> None:
        """Writing an entry's value gives its bytes, save where Clojure has another notation for it."""
        others = {
            name for name, value in VALUES.items() if not is_of(self.entries[name], dumps("clj", value))
        }
        self.assertEqual(others, _OTHER_BYTES)

    def test_every_value_is_read_back(self) -> None:
        """Writing a value and reading it gives the value, with all types."""
        for name, value in VALUES.items():
            self.assertEqual(shape(loads("clj", dumps("clj", value))), shape(value), name)

    def test_maps_and_a_set_in_the_order_of_clojures_hashes(self) -> None:
        """With that order the bytes are the same, also of those that are too large for the file."""
        for name in _HASHED_MAPS:
            data = dumps("clj", _in_order(VALUES[name]))
            self.assertTrue(is_of(self.entries[name], data), name)
            self.assertEqual(loads("clj", data), VALUES[name])
        members = b" ".join([dumps("clj", member) for member in sorted(VALUES["set-70000"], key=hash_order)])
        data = b"#{" + members + b"}"  # Python's sets keep no order
        self.assertTrue(is_of(self.entries["set-70000"], data))
        self.assertEqual(loads("clj", data), VALUES["set-70000"])
        self.assertEqual(len(dumps("clj", VALUES["set-70000"])), len(data))

    def test_foreign_objects_are_inert(self) -> None:
        """What Clojure prints as ``#object[…]`` names its class and what was printed of it."""
        for name, entry in self.entries.items():
            if entry["repr"].startswith("#object["):
                value = loads("clj", bytes.fromhex(entry["hex"]))
                self.assertIsInstance(value, Unreadable, name)
        read = loads("clj", bytes.fromhex(self.entries["url"]["hex"]))
        self.assertEqual(read, Unreadable("java.net.URL", "http://example.com/"))
        read = loads("clj", bytes.fromhex(self.entries["int-array"]["hex"]))
        self.assertEqual(read, Unreadable("[I", "[I@648c5fb3"))
        read = loads("clj", bytes.fromhex(self.entries["delay"]["hex"]))
        self.assertEqual(
            read,
            Unreadable("clojure.lang.Delay", {Keyword("status"): Keyword("pending"), Keyword("val"): None}),
        )

    def test_an_exception_in_debug_mode_keeps_its_message(self) -> None:
        """The stack trace that Clojure cannot print stands beside a message that can be read."""
        read = loads("clj", bytes.fromhex(self.entries["debug-exception-payload-empty"]["hex"]))
        self.assertEqual(read[Keyword("msg")], "m")
        self.assertEqual(read[Keyword("stacktrace")].class_name, "[Ljava.lang.StackTraceElement;")

    def test_a_printed_exception_is_tagged(self) -> None:
        """``#error {…}`` is data under a tag."""
        read = loads("clj", bytes.fromhex(self.entries["exception"]["hex"]))
        self.assertIsInstance(read, Tagged)
        self.assertEqual((read.tag, read.value[Keyword("cause")]), ("error", "plain"))

    def test_what_is_no_edn_is_refused(self) -> None:
        """Regular expressions, vars, reader conditionals and a keyword with a space are not EDN."""
        for name in ("regex", "var", "reader-conditional", "kw-odd-space"):
            with self.assertRaises(ContentError, msg=name):
                loads("clj", bytes.fromhex(self.entries[name]["hex"]))


def _in_json(value: Any) -> Any:
    """What a JSON reader makes of ``value``."""
    if isinstance(value, (Keyword, Symbol, Char)):
        return value.text
    if isinstance(value, dict):
        return {str(_in_json(key)): _in_json(item) for key, item in value.items()}
    if isinstance(value, (list, frozenset)):
        return [_in_json(item) for item in value]
    return value


class JsonVectorTests(SynchronousTestCase):
    """``tests/vectors/json.json``."""

    entries = entries("json")

    # The values that JSON has no form for: as the Clojure side writes them.
    texts = {
        "double-nan": "NaN",
        "double-inf": "Infinity",
        "double--inf": "-Infinity",
        "ratio--22/7": -3.142857142857143,
        "bigdec-1.50M": 1.5,
        "bigdec-1E-10M": 1e-10,
        "bigdec-long": 1.2345678901234568e39,
        "date-0": "1970-01-01T00:00:00Z",
        "date-now": "2026-11-22T10:38:17Z",
        "date-neg": "1969-12-31T23:59:59Z",
        "date-neg-1900": "1900-01-01T00:00:00Z",
        "sql-timestamp": "2026-11-22T10:38:17Z",
    }

    queues = {"queue": [1, 2], "queue-empty": []}

    def expected(self) -> dict[str, Any]:
        """By name, what a JSON reader makes of each value that is not refused."""
        named = {name: _in_json(value) for name, value in VALUES.items() if name != "class"}
        return {**named, **self.texts}

    def setUp(self) -> None:
        """Clojure refuses these in JSON; what they stand for here is plain data."""
        self.refused_there = {"atomic-long", "eduction", "stacktrace-element", "stacktrace-element-mod"}

    def test_every_entry_that_can_be_read_back_is_in_the_table(self) -> None:
        """No value that Clojure reads back equal is left out."""
        readable = {name for name, entry in self.entries.items() if entry.get("back_equal")}
        self.assertEqual(readable - self.expected().keys() - self.queues.keys(), set())

    def test_what_clojure_wrote_is_read(self) -> None:
        """Reading an entry's bytes gives its value, as far as JSON keeps it."""
        for name, value in self.expected().items():
            entry = self.entries[name]
            if name not in self.refused_there and "hex" in entry:
                self.assertEqual(shape(loads("json", bytes.fromhex(entry["hex"]))), shape(value), name)

    def test_what_is_written_is_what_clojure_writes(self) -> None:
        """The bytes are the same, save for numbers in Java's notation and the order of a map's entries."""
        others = {
            name
            for name in self.expected()
            if name not in self.refused_there and not is_of(self.entries[name], dumps("json", VALUES[name]))
        }
        same_in_json = {
            "bigint-1N",
            "bigint-128N",
            "biginteger-big",
            "map-ns-keys",
            "bigmap-ns",
            "sql-timestamp",
        }
        self.assertEqual(others, _OTHER_BYTES - same_in_json)

    def test_maps_and_a_set_in_the_order_of_clojures_hashes(self) -> None:
        """With that order the bytes are the same, also of those that are too large for the file."""
        for name in _HASHED_MAPS:
            data = dumps("json", _in_order(VALUES[name]))
            self.assertTrue(is_of(self.entries[name], data), name)
            self.assertEqual(loads("json", data), _in_json(VALUES[name]))
        members = sorted(VALUES["set-70000"], key=hash_order)
        self.assertTrue(is_of(self.entries["set-70000"], dumps("json", members)))

    def test_any_json_reader_reads_what_is_written(self) -> None:
        """What is written means the same to the standard library's reader."""
        for name, value in self.expected().items():
            self.assertEqual(shape(json.loads(dumps("json", VALUES[name]))), shape(value), name)

    def test_queues_are_arrays(self) -> None:
        """What JSON makes of a value that the table leaves out, because EDN prints it as ``#object[…]``."""
        for name, value in self.queues.items():
            data = bytes.fromhex(self.entries[name]["hex"])
            self.assertEqual(shape(loads("json", data)), shape(value), name)
            self.assertEqual(dumps("json", value), data, name)

    def test_bytes_are_base64(self) -> None:
        """As the Clojure side has them."""
        for name, value in (("bytes-empty", b""), ("bytes-70000", bytes(70_000))):
            self.assertTrue(is_of(self.entries[name], dumps("json", value)), name)
        self.assertEqual(dumps("json", bytearray(b"\x00\xff\x10")), b'"AP8Q"')


class MsgpackTests(SynchronousTestCase):
    """The same values in the content type of this project alone."""

    def test_every_value_is_read_back(self) -> None:
        """Writing a value and reading it gives the value, with all types."""
        for name, value in VALUES.items():
            self.assertEqual(shape(loads("msgpack", dumps("msgpack", value))), shape(value), name)

    def test_a_list_is_no_vector(self) -> None:
        """A List stays one, and a tuple becomes a list."""
        self.assertEqual(shape(loads("msgpack", dumps("msgpack", (1, List([2]))))), shape([1, List([2])]))
