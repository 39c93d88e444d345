"""Transit in MessagePack: what differs from JSON."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgpack
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import dumps, loads
from slacker.content.codec import MAX_DEPTH
from slacker.content.values import Keyword, Tagged
from slacker.errors import ContentError
from tests.content.vectors import shape

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UUID = UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
_HALVES = [int.from_bytes(half, "big", signed=True) for half in (_UUID.bytes[:8], _UUID.bytes[8:])]

#: A value, and what MessagePack makes of its bytes.
_TREES: list[tuple[Any, Any]] = [
    (1, ["~#'", 1]),
    (None, ["~#'", None]),
    ([_EPOCH], [["~#m", 0]]),
    ([_EPOCH + timedelta(microseconds=1)], ["~t1970-01-01T00:00:00.000001Z"]),
    (_UUID, ["~#'", ["~#u", _HALVES]]),
    ([2**63 - 1, -(2**63), 2**63], [2**63 - 1, -(2**63), "~n9223372036854775808"]),
    ([1.5, float("inf")], [1.5, "~zINF"]),
    ([b"\x00"], ["~bAA=="]),
    (
        {1: 1, None: 2, False: 3, 1.5: 4, "~a": 5, _EPOCH: 6, _UUID: 7},
        {1: 1, None: 2, False: 3, 1.5: 4, "~~a": 5, "~m0": 6, f"~u{_UUID}": 7},
    ),
    ({2**63: 1, float("-inf"): 2}, {"~n9223372036854775808": 1, "~z-INF": 2}),
    ({(1,): 2}, ["~#cmap", [[1], 2]]),
    ([{"abcd": 1}, {"abcd": 2}], [{"abcd": 1}, {"^0": 2}]),
]


class MsgpackTests(SynchronousTestCase):
    """:func:`slacker.content.dumps` and ``loads`` of ``transit-msgpack``."""

    def test_trees(self) -> None:
        """What is a number or binary there stays one; the rest is as in JSON."""
        for value, tree in _TREES:
            data = dumps("transit-msgpack", value)
            self.assertEqual(msgpack.unpackb(data, strict_map_key=False), tree)
            self.assertEqual(shape(loads("transit-msgpack", data)), shape(value))

    def test_old_messagepack_is_written(self) -> None:
        """Neither strings with one byte of length nor binary data: the other side does not know them."""
        data = dumps("transit-msgpack", ["x" * 40, b"y"])
        self.assertEqual(data, b"\x92\xda\x00\x28" + b"x" * 40 + b"\xa6~beQ==")

    def test_modern_messagepack_is_read(self) -> None:
        """Strings with one byte of length, binary data, timestamps."""
        data = msgpack.packb(["x" * 40, b"y", msgpack.Timestamp(0, 0)])
        self.assertEqual(loads("transit-msgpack", data), ["x" * 40, b"y", _EPOCH])

    def test_a_code_that_comes_twice_in_one_map(self) -> None:
        """The cache was full in between, and began anew: no entry is lost."""
        first, names = {"aaaa": 0}, [Keyword(f"k{number:04}") for number in range(1935)]
        value = [
            first,
            names,
            {"aaaa": ["~", Keyword("bbbb")], "bbbb": 1, "cccc": Keyword("dddd"), "dddd": 2},
        ]
        value[2] = {"aaaa": {"cccc": 0}, "cccc": 1}
        data = dumps("transit-msgpack", value)
        self.assertEqual(data.count(b"\xa2^0"), 2)
        self.assertEqual(loads("transit-msgpack", data), value)

    def test_maps_of_the_verbose_form(self) -> None:
        """They are tagged values here, too; any key is a key."""
        for tree, value in (
            ({"~#x": 1}, Tagged("x", 1)),
            ({"~:a": 1, 2: 3}, {Keyword("a"): 1, 2: 3}),
            (["^ ", "~:a", 1], {Keyword("a"): 1}),
        ):
            self.assertEqual(loads("transit-msgpack", msgpack.packb(tree)), value)
        data = b"\x82\x91\x01\x02\x92\xa3~#x\x01\x03"
        self.assertEqual(loads("transit-msgpack", data), {(1,): 2, Tagged("x", 1): 3})

    def test_what_is_no_payload_is_refused(self) -> None:
        """With the reason."""
        for data, reason in (
            (b"", "Unpack failed: incomplete input"),
            (b"\x01\x01", "extra data"),
            (b"\xc1", ""),
            (b"\xdd\xff\xff\xff\xff", "exceeds"),
            (b"\xa1\xff", "can't decode byte 0xff"),
            (b"\xd4\x05\x00", "it has an extension of code 5, and transit has none"),
            (b"\xc7\x0c\xff" + bytes(4) + b"\x7f" + b"\xff" * 7, ""),
            (b"\xa2^0", "'^0' is the code of nothing"),
            (b"\x82\x01\x01\xcb\x3f\xf0" + bytes(6) + b"\x02", "two keys of one map are equal"),
        ):
            error = self.assertRaises(ContentError, loads, "transit-msgpack", data)
            self.assertTrue(str(error).startswith("not a transit-msgpack payload: "), error)
            self.assertIn(reason, str(error))

    def test_depth_is_bounded(self) -> None:
        """MAX_DEPTH levels are read (fewer by the library in Python), one more is refused."""
        loads("transit-msgpack", b"\x91" * (MAX_DEPTH // 2) + b"\x01")
        for piece in (b"\x91", b"\x81\x01"):
            for levels in (MAX_DEPTH + 1, 100_000):
                error = self.assertRaises(ContentError, loads, "transit-msgpack", piece * levels + b"\x01")
                self.assertTrue(str(error).startswith("not a transit-msgpack payload: "), error)
