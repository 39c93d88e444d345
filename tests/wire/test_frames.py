"""The values that travel."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

import slacker.wire
from slacker.wire import ContentType, InspectCommand, PacketType, Ping, Request, ResultCode


class FrameTests(SynchronousTestCase):
    def test_frames_are_equal_by_value_and_differ_by_class(self) -> None:
        self.assertEqual(Request(1, 2, "a/b", b""), Request(1, 2, "a/b", b"", (), 6))
        self.assertNotEqual(Ping(1), slacker.wire.Pong(1))

    def test_numbers_and_their_names_are_equal(self) -> None:
        self.assertEqual(
            (PacketType.SERVER_HELLO, ResultCode.ACL_REJECT, ContentType.MSGPACK, InspectCommand.CLIENTS),
            (11, 22, 30, 2),
        )

    def test_everything_that_is_exported_exists(self) -> None:
        for name in slacker.wire.__all__:
            self.assertTrue(hasattr(slacker.wire, name), name)
