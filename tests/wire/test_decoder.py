"""Bytes to frames."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from io import BytesIO
from typing import SupportsIndex

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ProtocolError
from slacker.wire import (
    DEFAULT_MAX_FRAME,
    AuthRequest,
    ClientHello,
    Decoder,
    Error,
    Frame,
    InspectRequest,
    Malformed,
    Ping,
    Request,
    Response,
    ServerHello,
    encode,
)
from slacker.wire import decoder as decoder_module
from tests.wire import strategies
from tests.wire.vectors import FRAMES, ODD, frame_of

_repeatable = settings(derandomize=True, deadline=None, database=None)


def read(
    pieces: Iterable[bytes], max_frame: int = DEFAULT_MAX_FRAME
) -> tuple[list[Frame], ProtocolError | None]:
    """All frames that come of ``pieces``, and the error that ended them."""
    decoder = Decoder(max_frame)
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += decoder.feed(piece)
    except ProtocolError as error:
        return frames + error.frames, error
    return frames, None


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def as_decoded(frame: Frame) -> Frame:
    """What arrives when ``frame`` is sent: version 5 has no room for extensions."""
    if isinstance(frame, (Request, Response)) and frame.version == 5:
        frame.extensions = ()
    return frame


CASES = [(entry["name"], as_decoded(frame_of(entry)), encode(frame_of(entry))) for entry in FRAMES]


class VectorTests(SynchronousTestCase):
    def test_every_frame_is_read_whole(self) -> None:
        for name, frame, data in CASES:
            self.assertEqual(read([data]), ([frame], None), name)

    def test_every_frame_up_to_8_kb_is_read_when_split_anywhere_and_a_longer_one_near_its_ends(self) -> None:
        for name, frame, data in CASES:
            cuts = {*range(len(data))}
            if len(data) > 8192:  # what lies between is one long text or value
                cuts = {*range(400), *range(len(data) - 40, len(data))}
            for cut in cuts:
                self.assertEqual(read([data[:cut], data[cut:]]), ([frame], None), (name, cut))

    def test_every_frame_is_read_byte_by_byte(self) -> None:
        for name, frame, data in CASES:
            self.assertEqual(read(byte_by_byte(data)), ([frame], None), name)

    def test_all_frames_are_read_from_one_stream_however_it_is_cut(self) -> None:
        stream = b"".join(data for _, _, data in CASES)
        frames = [frame for _, frame, _ in CASES]
        for size in (len(stream), 65536, 4099, 61, 7):
            pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
            self.assertEqual(read(pieces), (frames, None), size)


class OddTests(SynchronousTestCase):
    """Input at which the real decoder stalls for ever or breaks, and what ours makes of it."""

    def assert_read(self, name: str, *frames: Frame) -> None:
        self.assertEqual(read([ODD[name]]), (list(frames), None), name)
        self.assertEqual(read(byte_by_byte(ODD[name])), (list(frames), None), name)

    def assert_refused(self, name: str, message: str, version: int, tid: int, code: int) -> None:
        for pieces in ([ODD[name]], byte_by_byte(ODD[name])):
            frames, error = read(pieces)
            self.assertEqual(frames, [])
            assert error is not None, name
            self.assertEqual((error.version, error.tid, error.code), (version, tid, code), name)
            self.assertIn(message, str(error))

    def test_every_odd_input_is_covered_here(self) -> None:
        self.assertEqual(len(ODD), 18)

    def test_an_unknown_version_is_a_protocol_mismatch_to_be_answered_in_version_6(self) -> None:
        self.assert_refused("unknown version 4", "protocol version 4 is unknown", 6, 1, 20)
        self.assert_refused("unknown version 7", "protocol version 7 is unknown", 6, 1, 20)

    def test_an_unknown_type_or_a_hello_in_version_5_is_invalid(self) -> None:
        self.assert_refused("unknown packet type 12 v6", "packet type 12 is unknown", 6, 1, 21)
        self.assert_refused(
            "client-hello type under v5", "packet type 10 is unknown in protocol version 5", 5, 0, 21
        )

    def test_a_negative_number_of_extensions_is_invalid(self) -> None:
        self.assert_refused("v6 ext count 0xff (=-1)", "number of extensions is negative (-1)", 6, 1, 21)
        self.assert_refused("v6 ext count 0x80 (=-128)", "number of extensions is negative (-128)", 6, 1, 21)

    def test_a_length_beyond_the_limit_is_invalid_before_anything_of_it_arrives(self) -> None:
        self.assert_refused("huge length ffffffff", "4294967312 bytes or more exceeds the limit", 6, 1, 21)

    def test_numbers_without_a_name_arrive_as_they_are(self) -> None:
        self.assert_read("unknown content type 99", Request(1, 99, "a/b", b""))
        self.assert_read("unknown result code 99", Response(1, 2, 99, b""))
        self.assert_read("unknown inspect cmd 3", InspectRequest(1, 3, b""))
        self.assert_read("unknown error code", Error(1, 99))

    def test_a_name_that_is_not_utf_8_spoils_its_own_frame_only(self) -> None:
        spoilt = Malformed(1, "a text in a packet of type 0 is not UTF-8: invalid continuation byte")
        self.assert_read("invalid utf8 name", spoilt)
        self.assertEqual(read([ODD["invalid utf8 name"] + encode(Ping())]), ([spoilt, Ping()], None))

    def test_frames_back_to_back_all_come_out_of_one_read(self) -> None:
        self.assert_read("two pings back to back", Ping(), Ping())

    def test_an_unfinished_frame_is_waited_for(self) -> None:
        for name in ("truncated v6 no ext count", "empty", "1 byte", "truncated header"):
            self.assert_read(name)

    def test_version_5_has_no_number_of_extensions_so_the_next_byte_begins_a_frame(self) -> None:
        self.assert_read("v5 request followed by 00", Request(1, 2, "a/b", b"", version=5))


class UnfinishedTests(SynchronousTestCase):
    def test_a_decoder_says_whether_a_frame_has_begun_that_has_not_ended(self) -> None:
        decoder = Decoder()
        self.assertFalse(decoder.unfinished)
        for byte in byte_by_byte(encode(Request(1, 2, "a/b", b"[]")))[:-1]:
            decoder.feed(byte)
            self.assertTrue(decoder.unfinished)
        decoder.feed(b"\0")
        self.assertFalse(decoder.unfinished)


class ContentTests(SynchronousTestCase):
    def test_every_text_that_is_not_of_its_charset_makes_a_malformed_frame(self) -> None:
        for frame, version in (
            (ServerHello("\0"), 6),
            (ClientHello("a", "\0"), 6),
            (AuthRequest(0, "\0", 5), 5),
        ):
            data = encode(frame)
            spoilt = data[:-1] + b"\xff"
            (malformed,), error = read([spoilt])
            assert isinstance(malformed, Malformed)
            self.assertEqual((malformed.tid, malformed.version, error), (0, version, None))
            self.assertIn("ASCII" if isinstance(frame, AuthRequest) else "UTF-8", malformed.reason)

    def test_duplicate_extensions_are_all_kept_in_order(self) -> None:
        frame = Response(1, 2, 0, b"", ((-1, b"first"), (7, b""), (-1, b"last")))
        self.assertEqual(read([encode(frame)]), ([frame], None))

    def test_what_looks_like_the_end_of_a_request_may_lie_in_the_middle_of_the_read(self) -> None:
        for frame in (Request(1, 2, "a/b", b"\0\0"), Response(1, 2, 0, b"\0\0")):
            data = encode(frame)
            for cut in range(len(data)):
                self.assertEqual(
                    read([encode(Ping()) + data[:cut], data[cut:]]), ([Ping(), frame], None), cut
                )


class LimitTests(SynchronousTestCase):
    FRAMES: tuple[Frame, ...] = (
        Request(1, 2, "a/b", b"x" * 30),
        Response(1, 2, 0, b"x" * 30),
        Request(1, 2, "a/b", b"x" * 30, version=5),
        Response(1, 2, 0, b"x" * 10, ((1, b"x" * 20),)),
        ClientHello("x" * 20, "y" * 20),
    )

    def test_a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not(self) -> None:
        for frame in self.FRAMES:
            data = encode(frame)
            for pieces in ([data], byte_by_byte(data)):
                self.assertEqual(read(pieces, len(data)), ([frame], None))
                frames, error = read(pieces, len(data) - 1)
                self.assertEqual(frames, [])
                self.assertIn(
                    f"a frame of {len(data)} bytes or more exceeds the limit of {len(data) - 1} bytes;"
                    " send less, or raise max_frame on the receiving side",
                    str(error),
                )

    def test_a_length_is_refused_as_soon_as_it_is_read(self) -> None:
        decoder = Decoder(1000)
        self.assertEqual(decoder.feed(bytes.fromhex("060000000100020003612f620000")), [])
        error = self.assertRaises(ProtocolError, decoder.feed, bytes.fromhex("03e1"))
        self.assertEqual((error.tid, error.code), (1, 21))

    def test_each_extension_counts_towards_the_limit_before_it_arrives(self) -> None:
        head = encode(Response(1, 2, 0, b"", ((1, b"x" * 400), (2, b"x" * 600))))[: 13 + 4 + 400 + 4]
        self.assertEqual(read([head], 1100), ([], None))
        self.assertIn("exceeds", str(read([head], 1000)[1]))

    def test_the_good_frames_before_a_refused_one_come_with_the_error(self) -> None:
        good: list[Frame] = [Ping(5), Request(6, 2, "a/b", b"[]")]
        stream = b"".join(map(encode, good)) + b"\x09\0\0\0\x01\0"
        error = self.assertRaises(ProtocolError, Decoder().feed, stream)
        self.assertEqual(error.frames, good)
        error = self.assertRaises(ProtocolError, self._fed(stream[:8]).feed, stream[8:])
        self.assertEqual(error.frames, good[1:])

    def _fed(self, data: bytes) -> Decoder:
        decoder = Decoder()
        decoder.feed(data)
        return decoder

    def test_a_decoder_that_refused_reads_no_more(self) -> None:
        decoder = Decoder()
        self.assertRaises(ProtocolError, decoder.feed, b"\x09\0\0\0\x01\0")
        error = self.assertRaises(ProtocolError, decoder.feed, encode(Ping()))
        self.assertEqual(error.frames, [])
        self.assertIn("protocol version 9 is unknown", str(error))


class _Count:
    def __init__(self) -> None:
        self.bytes = 0


class _CountedBuffer(bytearray):
    """Counts every byte that is copied into it or out of it."""

    copied: _Count

    def __iadd__(self, other: bytes) -> _CountedBuffer:  # type: ignore[override,misc]  # bytearray's is wider
        self.copied.bytes += len(other)
        self.extend(other)
        return self

    def __bytes__(self) -> bytes:
        self.copied.bytes += len(self)
        return bytes(memoryview(self))

    def __getitem__(self, index: SupportsIndex | slice) -> int | bytearray:  # type: ignore[override]  # as above
        part = super().__getitem__(index)
        self.copied.bytes += len(part) if isinstance(part, bytearray) else 1
        return part


class CostTests(SynchronousTestCase):
    """Each byte of an unfinished frame is copied once, and twice what its body is not, whatever the reads."""

    def copied(self, data: bytes, size: int) -> int:
        count = _Count()

        class Body(BytesIO):
            def write(self, data: bytes) -> int:  # type: ignore[override]  # as above
                count.bytes += len(data)
                return super().write(data)

        self.patch(decoder_module, "BytesIO", Body)
        decoder = Decoder()
        buffer = _CountedBuffer()
        buffer.copied = count
        decoder._partial = buffer
        frames = []
        for i in range(0, len(data), size):
            frames += decoder.feed(data[i : i + size])
        self.assertEqual(b"".join(map(encode, frames)), data)
        self.assertIs(decoder._partial, buffer)
        return count.bytes

    def test_one_large_frame_in_small_reads_is_copied_once(self) -> None:
        data = encode(Request(1, 2, "a/b", b"x" * (DEFAULT_MAX_FRAME - 17)))
        self.assertEqual(len(data), DEFAULT_MAX_FRAME)
        self.assertEqual(self.copied(data, len(data)), 0)
        for size in (16384, 1000):
            self.assertLess(self.copied(data, size), len(data) + 100)

    def test_one_large_frame_in_small_reads_is_never_held_twice(self) -> None:
        data = encode(Response(1, 2, 0, b"x" * (DEFAULT_MAX_FRAME - 13)))
        pieces = [data[at : at + 16384] for at in range(0, len(data), 16384)]
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        frames, _ = read(pieces)
        _, peak = tracemalloc.get_traced_memory()
        self.assertEqual(len(frames), 1)
        self.assertLess(peak, 1.25 * len(data))  # it grows by an eighth at a time

    def test_127_large_extensions_are_no_reason_to_copy_again(self) -> None:
        data = encode(Response(1, 2, 0, b"", tuple((number, b"x" * 65535) for number in range(127))))
        self.assertEqual(self.copied(data, len(data)), 0)
        for size in (16384, 1000):
            self.assertLess(self.copied(data, size), 2 * len(data) + 127 * 2 + 100)

    def test_byte_by_byte_is_no_reason_to_copy_again(self) -> None:
        data = encode(Response(1, 2, 0, b"x" * 1000, tuple((number, b"x" * 100) for number in range(127))))
        self.assertLess(self.copied(data, 1), 2 * len(data) + 127 * 2 + 100)

    def test_of_many_small_frames_only_those_that_a_read_cuts_go_through_the_buffer(self) -> None:
        frame = encode(Request(1, 2, "a/b", b"x" * 50))
        data = frame * 10000
        reads = len(data) // 16384 + 1
        self.assertLess(self.copied(data, 16384), reads * (2 * len(frame) + 10))


class PropertyTests(SynchronousTestCase):
    @_repeatable
    @given(st.lists(strategies.frames, max_size=5), st.data())
    def test_any_frames_come_back_whatever_the_reads(self, frames: list[Frame], data: st.DataObject) -> None:
        stream = b"".join(map(encode, frames))
        self.assertEqual(read([stream]), (frames, None))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        self.assertEqual(read(pieces), (frames, None))

    @_repeatable
    @given(strategies.noise, st.lists(st.integers(0, 80), max_size=6), st.integers(0, 60))
    def test_any_bytes_give_frames_or_our_error_and_the_same_whatever_the_reads(
        self, stream: bytes, cuts: list[int], max_frame: int
    ) -> None:
        cuts = sorted(cuts)
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        for limit in (DEFAULT_MAX_FRAME, max_frame):
            frames, error = read([stream], limit)
            for other in (pieces, byte_by_byte(stream)):
                other_frames, other_error = read(other, limit)
                self.assertEqual(other_frames, frames)
                self.assertEqual(str(other_error), str(error))
                if error is not None and other_error is not None:
                    self.assertEqual(
                        (other_error.version, other_error.tid, other_error.code),
                        (error.version, error.tid, error.code),
                    )

    @_repeatable
    @given(strategies.noise)
    def test_what_is_read_is_what_would_be_written(self, stream: bytes) -> None:
        frames, _ = read([stream])
        sound = [frame for frame in frames if not isinstance(frame, Malformed)]
        if len(sound) == len(frames):
            self.assertTrue(stream.startswith(b"".join(map(encode, sound))))
