"""Frames to bytes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ProtocolError
from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    Error,
    Frame,
    InspectAck,
    InspectRequest,
    Interrupt,
    Malformed,
    Ping,
    Request,
    Response,
    ServerHello,
    encode,
    encode_request,
    encode_response,
)
from slacker.wire.memory import LARGE
from tests.wire.vectors import FRAMES, REFUSED, frame_of, matches


class _Huge(bytes):
    """Claims the length that a u32 cannot hold, without taking the memory."""

    def __len__(self) -> int:
        return 2**32


class VectorTests(SynchronousTestCase):
    def test_every_frame_becomes_the_bytes_of_the_real_encoder(self) -> None:
        self.assertEqual(len(FRAMES), 167)
        for entry in FRAMES:
            self.assertTrue(matches(entry, encode(frame_of(entry))), entry["name"])

    def test_what_the_real_encoder_refuses_or_corrupts_is_refused_in_our_own_words(self) -> None:
        # A result code is a number here, so that the three responses without one cannot even be built.
        refused = [entry for entry in REFUSED if entry["type"] != "type-response"]
        self.assertEqual((len(REFUSED), len(refused)), (14, 11))
        for entry in refused:
            self.assertRaises(ProtocolError, encode, frame_of(entry))

    def test_the_short_ways_write_what_encode_writes(self) -> None:
        request = Request(-7, 30, "ns/é", b"data")
        response = Response(2**31 - 1, 2, 12, b"data")
        self.assertEqual(encode_request(-7, 30, "ns/é".encode(), b"data"), [encode(request)])
        self.assertEqual(encode_response(2**31 - 1, 2, 12, b"data"), [encode(response)])

    def test_the_short_ways_do_not_copy_what_is_large(self) -> None:
        for size in (LARGE - 1, LARGE):
            data = bytes(size)
            for pieces, frame in (
                (encode_request(1, 30, b"ns/f", data), Request(1, 30, "ns/f", data)),
                (encode_response(1, 30, 0, data), Response(1, 30, 0, data)),
            ):
                self.assertEqual(b"".join(pieces), encode(frame))
                self.assertEqual(any(piece is data for piece in pieces), size == LARGE)

    def test_version_5_drops_extensions(self) -> None:
        self.assertEqual(
            encode(Request(1, 2, "a/b", b"[]", ((1, b"x"),), 5)), encode(Request(1, 2, "a/b", b"[]", (), 5))
        )


class RefusalTests(SynchronousTestCase):
    def assert_refused(self, frame: Frame, sentence: str) -> None:
        error = self.assertRaises(ProtocolError, encode, frame)
        self.assertEqual(str(error), f"{type(frame).__name__} cannot be encoded: {sentence}")

    def test_a_number_out_of_range_is_named_with_its_room(self) -> None:
        self.assert_refused(Ping(2**31), "tid 2147483648 is no signed number of 32 bits")
        self.assert_refused(Interrupt(-(2**31) - 1), "target -2147483649 is no signed number of 32 bits")
        self.assert_refused(Error(1, 128), "code 128 is no signed number of 8 bits")
        self.assert_refused(AuthAck(1, -129), "code -129 is no signed number of 8 bits")
        self.assert_refused(InspectRequest(1, 200, b""), "command 200 is no signed number of 8 bits")
        self.assert_refused(Request(1, 300, "a/b", b""), "content_type 300 is no signed number of 8 bits")

    def test_a_name_too_long_is_refused_with_its_length_in_bytes(self) -> None:
        self.assert_refused(
            Request(1, 2, "é" * 32768, b""), "function has 65536 bytes; there is room for 65535"
        )
        self.assert_refused(ClientHello("1", "x" * 65536), "name has 65536 bytes; there is room for 65535")
        self.assert_refused(ServerHello("x" * 65536), "software has 65536 bytes; there is room for 65535")
        self.assert_refused(AuthRequest(1, "x" * 65536), "token has 65536 bytes; there is room for 65535")

    def test_a_block_too_long_is_refused_with_its_length(self) -> None:
        self.assert_refused(InspectAck(1, b"x" * 65536), "data has 65536 bytes; there is room for 65535")
        self.assert_refused(
            InspectRequest(1, 0, b"x" * 65536), "data has 65536 bytes; there is room for 65535"
        )
        sentence = "data has 4294967296 bytes; there is room for 4294967295"
        self.assert_refused(Request(1, 2, "a/b", _Huge()), sentence)
        self.assert_refused(Response(1, 2, 0, _Huge()), sentence)

    def test_extensions_that_do_not_fit_are_refused(self) -> None:
        too_many = tuple((number, b"") for number in range(128))
        self.assert_refused(
            Request(1, 2, "a/b", b"", too_many), "it has 128 extensions; there is room for 127"
        )
        self.assert_refused(
            Response(1, 2, 0, b"", ((1, b""), (32768, b""))),
            "extension id 32768 is no signed number of 16 bits",
        )
        self.assert_refused(
            Response(1, 2, 0, b"", ((1, b"a"), (2, b"x" * 65536))),
            "extension values have [1, 65536] bytes; there is room for 65535 each",
        )

    def test_a_token_that_is_not_ascii_is_refused_and_not_shown(self) -> None:
        self.assert_refused(AuthRequest(0, "café"), "token cannot be written in ASCII")
        self.assertNotIn("secret", repr(AuthRequest(0, "secret")))

    def test_a_lone_surrogate_is_refused(self) -> None:
        self.assert_refused(Request(1, 2, "a/\ud800", b""), "function cannot be written in UTF-8")

    def test_versions_other_than_5_and_6_and_a_hello_in_5_are_refused(self) -> None:
        self.assert_refused(Ping(version=4), "version 4 is unknown; there are 5 and 6")
        self.assert_refused(Request(1, 2, "a/b", b"", version=7), "version 7 is unknown; there are 5 and 6")
        self.assert_refused(ClientHello("1", "n", version=5), "a hello needs version 6")
        self.assert_refused(ServerHello("1", version=5), "a hello needs version 6")

    def test_a_malformed_frame_is_never_sent_on(self) -> None:
        self.assert_refused(Malformed(1, "a reason"), "it stands for a frame that could not be read")
