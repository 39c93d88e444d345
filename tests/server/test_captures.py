"""The same bytes as the real server answers with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.content import loads
from slacker.server.context import current_call
from slacker.testing import Network
from slacker.wire import Decoder, InspectAck, Response, ServerHello
from tests.server.peers import Peer, echo

VECTORS = Path(__file__).parent.parent / "vectors"


class CaptureTests(SynchronousTestCase):
    """The real server's answers to the same bytes, captured on the wire."""

    def setUp(self) -> None:
        def rand_ints(n: int) -> list[int]:
            """test collection result"""
            return [n]

        capture = json.loads((VECTORS / "session.json").read_text())
        self.raw = {case["name"]: case["steps"] for case in capture["raw_tcp_0.16"]}
        self.hello = {case["name"]: case["steps"] for case in capture["raw_tcp_0.18"]}[
            "client-hello v6 tid 0"
        ]
        api: dict[str, Any] = {"echo": echo, "rand-ints": rand_ints, "return-nil": lambda: None}
        # What the captured server's real.test/ext does: tell the extensions that it got.
        extensions = {"ext": lambda: dict(current_call().extensions)}
        server = Network().serve("10.0.0.1:2104", [{"slacker.example.api": api, "real.test": extensions}])
        self.software = server.software
        self.peer = Peer(server)

    def replay(self, name: str) -> None:
        for step in self.raw[name]:
            self.peer.send(bytes.fromhex(step["sent"]))
            received, self.peer.received = self.peer.received, b""
            self.assertEqual(received.hex(), step["received"], name)

    def test_calls_pings_meta_and_nonsense_are_answered_with_the_same_bytes(self) -> None:
        for name in [
            "ping v6 tid 42",
            "ping v5 tid -7",
            "pong sent to server",
            "call without hello",
            "call v5",
            "mixed v5 then v6 on one connection",
            "call negative tid",
            "call split in 3 segments",
            "call byte-by-byte",
            "two calls in one segment",
            "args nil",
            "empty payload clj",
            "empty json payload",
            "json args",
            "type-response sent to server",
            "type-error sent to server",
            "auth-req",
            "auth-req v5",
            "auth-ack",
            "inspect-ack sent to server",
            "inspect meta",
            "inspect meta nil",
            "interrupt for idle tid",
            "interrupt v5 for idle tid",
        ]:
            self.replay(name)

    def test_inspected_functions_are_the_same_in_the_same_frame(self) -> None:
        """In Clojure's lists they stand in the order of their hashes, and in ours as they were exposed."""
        exposed: dict[str, dict[str, Any]] = {}
        for name in self.listed(bytes.fromhex(self.raw["inspect functions nil"][0]["received"])):
            namespace, _, function = name.partition("/")
            exposed.setdefault(namespace, {})[function] = echo
        self.peer = Peer(Network().serve("10.0.0.1:2104", [exposed]))
        for name in [
            "inspect functions prefix",
            "inspect functions nil",
            "inspect functions empty payload",
            "inspect v5",
        ]:
            [step] = self.raw[name]
            theirs = bytes.fromhex(step["received"])
            self.peer.received = b""
            self.peer.send(bytes.fromhex(step["sent"]))
            ours = self.peer.received
            head = 8  # version, id, type, length
            self.assertEqual((ours[:head].hex(), len(ours)), (theirs[:head].hex(), len(theirs)), name)
            self.assertCountEqual(self.listed(ours), self.listed(theirs), name)

    def listed(self, data: bytes) -> list[str]:
        """The functions in the bytes of an answer."""
        [answer] = Decoder().feed(data)
        assert isinstance(answer, InspectAck)
        names: list[str] = loads("clj", answer.data)
        return names

    def test_extensions_come_back_as_they_do_there(self) -> None:
        """Seen by the function and echoed; save that ours stand in the order in which they came."""
        for name in ["extensions echoed back?", "duplicate extension id"]:
            self.replay(name)
        for name in ["10 extensions", "127 extensions"]:
            [step] = self.raw[name]
            self.peer.send(bytes.fromhex(step["sent"]))
            [ours], [theirs] = self.peer.answers(), Decoder().feed(bytes.fromhex(step["received"]))
            assert isinstance(ours, Response) and isinstance(theirs, Response)
            self.assertEqual(loads("clj", ours.data), loads("clj", theirs.data), name)
            self.assertCountEqual(ours.extensions, theirs.extensions, name)
            ours.data, ours.extensions = theirs.data, theirs.extensions
            self.assertEqual(ours, theirs, name)

    def test_not_found_in_version_5_is_answered_in_version_5_unlike_there(self) -> None:
        """0.16 answers it in version 6, where a peer of version 5 need not understand it; ours does not."""
        [step] = self.raw["not-found v5"]
        theirs = bytes.fromhex(step["received"])
        self.peer.send(bytes.fromhex(step["sent"]))
        self.assertEqual((theirs[0], self.peer.received[0]), (6, 5))
        self.assertEqual(self.peer.received[1:].hex(), theirs[1:].hex())

    def test_a_hello_is_answered_alike_save_the_version_text(self) -> None:
        [step] = self.hello
        self.peer.send(bytes.fromhex(step["sent"]))
        [ours], [theirs] = self.peer.answers(), Decoder().feed(bytes.fromhex(step["received"]))
        assert isinstance(ours, ServerHello) and isinstance(theirs, ServerHello)
        theirs.software = self.software
        self.assertEqual(ours, theirs)

    def test_not_found_is_answered_as_0_16_does(self) -> None:
        for name in [
            "not-found v6 (no handler)",
            "not-found unknown ns",
            "fname without slash",
            "empty fname",
        ]:
            self.replay(name)
