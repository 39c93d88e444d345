"""``tests/vectors/nippy.json``: what the real Nippy wrote is read, and what is written is what it writes."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.content import dumps, loads
from slacker.content.values import Char, Keyword, List, Unreadable
from slacker.errors import ContentError
from tests.content.vectors import VALUES, entries, hash_order, is_of, shape

#: What Nippy hands to Java's serialisation.
_SERIALISED = {
    *("class", "java-arraylist", "java-hashmap", "java-linkedlist", "java-treemap", "atomic-long"),
    *("localdate", "int-array", "long-array", "string-array", "double-array", "char-array", "url"),
    *("stringbuilder", "enum-timeunit", "exception"),
}

#: Entries that EDN has no form for, or whose value is another one in Nippy.
_OTHERS: dict[str, Any] = {
    "double--0.0": 0.0,
    "str-lone-surrogate": "?",
    "char-surrogate": Char("?"),
    "kw-odd-space": Keyword("a b"),
    "queue": List([1, 2]),
    "queue-empty": List(),
    "instant": datetime(2026, 11, 22, 10, 38, 17, 123456, tzinfo=timezone.utc),
    "duration": Unreadable("java.time.Duration", "PT1M30.000000005S"),
    "period": Unreadable("java.time.Period", "P1Y2M3D"),
    "regex": Unreadable("java.util.regex.Pattern", r"a.*b\d+"),
    "bytes-empty": b"",
    "var": Unreadable("clojure.lang.Var"),
    **{
        f"debug-exception-payload-{name}": {
            Keyword("msg"): message,
            Keyword("stacktrace"): Unreadable("[Ljava.lang.StackTraceElement;"),
        }
        for name, message in (("nilmsg", None), ("empty", "m"), ("nofile", "m"))
    },
}

_REFUSED = {"deftype"}

#: Entries of types that Python has only one of, or none: smaller integers and floats, sequences beside
#: lists, sorted maps, stack trace elements; and those with metadata, which is not kept.
_OTHER_BYTES = {
    *("java-byte-5", "java-byte--5", "java-short-5", "java-short-1000", "java-int-5", "java-float-1.5"),
    *("bigint-1N", "bigint-128N", "biginteger", "biginteger-big"),
    *("lazyseq-300", "range-5", "cons", "map-keys", "repeat", "resp-rand-ints", "quoted", "vec-of-seqs"),
    *("list-1", "list-3", "meta-sym", "deref-quote"),
    *("sorted-map", "sorted-map-empty", "stacktrace-element", "stacktrace-element-mod"),
}

#: Entries in the order of Clojure's hashes.
_HASHED = {"map-127", "map-128", "map-300", "map-70000", "set-70000"}


class NippyVectorTests(SynchronousTestCase):
    """``tests/vectors/nippy.json``."""

    entries = entries("nippy")

    def expected(self) -> dict[str, Any]:
        """By name, the value of each entry that is read."""
        plain = {name: value for name, value in VALUES.items() if name not in _SERIALISED}
        inert = {name: Unreadable(self.entries[name]["class"]) for name in _SERIALISED}
        return {**plain, **_OTHERS, **inert}

    def test_every_entry_is_in_the_table(self) -> None:
        """None that Nippy wrote is left out."""
        there = {name for name, entry in self.entries.items() if "hex" in entry}
        self.assertEqual(there - self.expected().keys(), _REFUSED)

    def test_what_nippy_wrote_is_read(self) -> None:
        """Reading an entry's bytes gives its value, with all types; foreign objects are inert."""
        for name, value in self.expected().items():
            if "hex" in self.entries[name]:
                read = loads("nippy", bytes.fromhex(self.entries[name]["hex"]))
                self.assertEqual(shape(read), shape(value), name)

    def test_what_has_no_value_here_is_refused(self) -> None:
        """Data whose end only its own program knows."""
        data = bytes.fromhex(self.entries["deftype"]["hex"])
        error = self.assertRaises(ContentError, loads, "nippy", data)
        self.assertIn("an instance of a deftype", str(error))

    def test_what_is_written_is_what_nippy_writes(self) -> None:
        """Writing an entry's value gives its bytes, save where Python has no such type."""
        others = {
            name
            for name, value in VALUES.items()
            if name not in _SERIALISED | _HASHED
            and not self.entries[name].get("refused")
            and not is_of(self.entries[name], dumps("nippy", value))
        }
        self.assertEqual(others, _OTHER_BYTES)

    def test_sequences_are_written_as_lists(self) -> None:
        """Only the type ids differ from what Nippy writes for a sequence."""
        for name in ("range-5", "cons", "map-keys", "repeat", "resp-rand-ints", "quoted"):
            there = bytes.fromhex(self.entries[name]["hex"])
            self.assertEqual(there[:1], b"\x26")
            self.assertEqual(dumps("nippy", VALUES[name]), b"\x24" + there[1:], name)

    def test_metadata_is_left_out(self) -> None:
        """The rest is what Nippy writes."""
        for name in ("list-1", "list-3", "meta-sym", "deref-quote"):
            there = bytes.fromhex(self.entries[name]["hex"])
            self.assertEqual(there[:1], b"\x19")
            self.assertTrue(there.endswith(dumps("nippy", VALUES[name])), name)

    def test_maps_in_the_order_of_clojures_hashes(self) -> None:
        """They are written as Nippy writes them when Python's dict has that order."""
        for name in ("map-127", "map-128", "map-300", "map-70000"):
            ordered = {key: VALUES[name][key] for key in sorted(VALUES[name], key=hash_order)}
            self.assertTrue(is_of(self.entries[name], dumps("nippy", ordered)), name)

    def test_a_set_in_the_order_of_clojures_hashes(self) -> None:
        """Python's sets keep no order, so the bytes are put together here; they are the real ones."""
        members = {number: dumps("nippy", number) for number in sorted(range(70_000), key=hash_order)}
        there = b"\x17" + struct.pack(">i", 70_000) + b"".join(members.values())
        self.assertTrue(is_of(self.entries["set-70000"], there))
        self.assertEqual(loads("nippy", there), VALUES["set-70000"])
        written = dumps("nippy", VALUES["set-70000"])
        self.assertEqual((written[:5], sorted(written)), (there[:5], sorted(there)))

    def test_values_too_large_for_the_file(self) -> None:
        """They are compared by length and digest."""
        for name, value in (
            ("bytes-70000", bytes(70_000)),
            ("str-70000", VALUES["str-70000"]),
            ("vec-65535-zeros", VALUES["vec-65535-zeros"]),
        ):
            data = dumps("nippy", value)
            self.assertEqual(len(data), self.entries[name]["hex_bytes"])
            self.assertTrue(is_of(self.entries[name], data), name)
            self.assertEqual(loads("nippy", data), value)

    def test_every_value_is_read_back(self) -> None:
        """Writing a value and reading it gives the value, with all types; there is one zero."""
        for name, value in VALUES.items():
            read = loads("nippy", dumps("nippy", value))
            self.assertEqual(shape(read), shape(0.0 if name == "double--0.0" else value), name)
