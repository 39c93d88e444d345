"""Jute: every value in both directions, and nothing but MalformedRequest for what is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded.jute import (
    MalformedRequest,
    Reader,
    int32,
    pack_buffer,
    pack_string,
    pack_vector,
)

READS: dict[str, Callable[[Reader], Any]] = {
    "int32": Reader.int32,
    "int64": Reader.int64,
    "boolean": Reader.boolean,
    "buffer": Reader.buffer,
    "string": Reader.string,
    "strings": lambda reader: reader.vector(Reader.string),
}

CASES: list[tuple[str, Any, bytes]] = [
    ("int32", -2, b"\xff\xff\xff\xfe"),
    ("int32", 2**31 - 1, b"\x7f\xff\xff\xff"),
    ("int64", -(2**63), b"\x80" + bytes(7)),
    ("boolean", True, b"\x01"),
    ("boolean", False, b"\x00"),
    ("buffer", None, b"\xff\xff\xff\xff"),
    ("buffer", b"", bytes(4)),
    ("buffer", b"ab", b"\0\0\0\x02ab"),
    ("string", "", bytes(4)),
    ("string", "aé€", b"\0\0\0\x06a\xc3\xa9\xe2\x82\xac"),
    ("strings", [], bytes(4)),
    ("strings", ["", "b"], b"\0\0\0\x02" + bytes(4) + b"\0\0\0\x01b"),
]
PACKS: dict[str, Callable[[Any], bytes]] = {
    "buffer": pack_buffer,
    "string": pack_string,
    "strings": lambda values: pack_vector(map(pack_string, values)),
}


class JuteTests(SynchronousTestCase):
    def test_every_value_is_read_to_its_end(self) -> None:
        for kind, value, data in CASES:
            reader = Reader(data + b"!")
            self.assertEqual(READS[kind](reader), value)
            self.assertEqual(reader.remaining, 1)

    def test_every_value_is_written_as_it_is_read(self) -> None:
        written = [(PACKS[kind](value), data) for kind, value, data in CASES if kind in PACKS]
        self.assertEqual([ours for ours, _ in written], [data for _, data in written])
        self.assertGreater(len(written), 5)

    def test_none_is_empty_where_text_or_a_vector_stands(self) -> None:
        self.assertEqual(Reader(b"\xff\xff\xff\xff").string(), "")
        self.assertEqual(Reader(b"\xff\xff\xff\xff").vector(Reader.string), [])

    def test_a_value_cut_short_is_malformed(self) -> None:
        for kind, _, data in CASES:
            for end in range(len(data)):
                self.assertRaises(MalformedRequest, READS[kind], Reader(data[:end]))

    def test_a_length_beyond_the_frame_is_refused_before_anything_is_read(self) -> None:
        for kind in ("buffer", "string", "strings"):
            self.assertRaises(MalformedRequest, READS[kind], Reader(b"\x7f\xff\xff\xff" + bytes(20)))

    def test_text_that_is_not_utf_8_is_malformed(self) -> None:
        self.assertRaises(MalformedRequest, Reader(b"\0\0\0\x01\xff").string)

    def test_java_surrogates_pass_in_both_directions(self) -> None:
        data = b"\0\0\0\x06\xed\xa0\xbd\xed\xb8\x80"
        self.assertEqual(pack_string(Reader(data).string()), data)

    def test_counters_wrap_as_in_java(self) -> None:
        self.assertEqual([int32(2**31 - 1), int32(2**31), int32(-1)], [2**31 - 1, -(2**31), -1])

    @given(st.sampled_from(sorted(READS)), st.binary(max_size=64))
    @settings(derandomize=True, deadline=None, database=None, max_examples=500)
    def test_any_bytes_are_a_value_or_malformed(self, kind: str, data: bytes) -> None:
        reader = Reader(data)
        try:
            READS[kind](reader)
        except MalformedRequest as exc:
            self.assertIn("byte", str(exc))
        self.assertTrue(0 <= reader.remaining <= len(data))

    @given(st.text())
    @settings(derandomize=True, deadline=None, database=None)
    def test_any_text_comes_back(self, text: str) -> None:
        self.assertEqual(Reader(pack_string(text)).string(), text)
