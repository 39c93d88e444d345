"""Requests as a client writes them, read; and everything else refused."""

from __future__ import annotations

from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded.codes import Op
from slacker.zookeeper.embedded.jute import MalformedRequest, Reader
from slacker.zookeeper.embedded.records import (
    Acl,
    AddWatch,
    Auth,
    Check,
    Connect,
    Create,
    Delete,
    Empty,
    Multi,
    OnPath,
    Request,
    SetAcl,
    SetData,
    SetWatches,
    Watched,
    WatchKind,
    read_connect,
    read_request,
)
from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.requests import Question

OPEN = [Acl(31, "world", "anyone")]

CASES: list[tuple[Question, Op, Request]] = [
    (rq.create("/a", b"x", 3), Op.CREATE, Create("/a", b"x", OPEN, 3)),
    (rq.create("/a", None, 2, op=15), Op.CREATE2, Create("/a", None, OPEN, 2)),
    (rq.create("/a", b"", 0, [], op=19), Op.CREATE_CONTAINER, Create("/a", b"", [], 4)),
    (rq.create_ttl("/a", 77, 6), Op.CREATE_TTL, Create("/a", b"", OPEN, 6, 77)),
    (rq.delete("/a", 4), Op.DELETE, Delete("/a", 4)),
    (rq.exists("/a", True), Op.EXISTS, Watched("/a", True)),
    (rq.get_data("/a"), Op.GET_DATA, Watched("/a", False)),
    (rq.set_data("/a", None, 1), Op.SET_DATA, SetData("/a", None, 1)),
    (rq.get_acl("/a"), Op.GET_ACL, OnPath("/a")),
    (rq.set_acl("/a", rq.OPEN, 2), Op.SET_ACL, SetAcl("/a", OPEN, 2)),
    (rq.get_children("/a", True), Op.GET_CHILDREN, Watched("/a", True)),
    (rq.get_children2("/a"), Op.GET_CHILDREN2, Watched("/a", False)),
    (rq.sync("/a"), Op.SYNC, OnPath("/a")),
    (rq.ping(), Op.PING, Empty()),
    (rq.check("/a", 5), Op.CHECK, Check("/a", 5)),
    (rq.multi(), Op.MULTI, Multi([])),
    (
        rq.multi(rq.create("/a"), rq.delete("/b"), rq.check("/c", 1)),
        Op.MULTI,
        Multi(
            [
                (Op.CREATE, Create("/a", b"", OPEN, 0)),
                (Op.DELETE, Delete("/b", -1)),
                (Op.CHECK, Check("/c", 1)),
            ]
        ),
    ),
    (rq.check_watches("/a", 1), Op.CHECK_WATCHES, WatchKind("/a", 1)),
    (rq.remove_watches("/a", 3), Op.REMOVE_WATCHES, WatchKind("/a", 3)),
    (rq.auth("digest", b"u:p"), Op.AUTH, Auth("digest", b"u:p")),
    (
        rq.set_watches(9, ["/a"], ["/b"], ["/c", "/d"]),
        Op.SET_WATCHES,
        SetWatches(9, ["/a"], ["/b"], ["/c", "/d"], [], []),
    ),
    (
        rq.set_watches2(9, ([], ["/b"], []), ["/p"], ["/r"]),
        Op.SET_WATCHES2,
        SetWatches(9, [], ["/b"], [], ["/p"], ["/r"]),
    ),
    (rq.add_watch("/a", 1), Op.ADD_WATCH, AddWatch("/a", 1)),
    (rq.close(), Op.CLOSE, Empty()),
]


class RequestTests(SynchronousTestCase):
    def test_every_operation_is_read(self) -> None:
        for question, op, request in CASES:
            frame = pack(">ii", 7, question.op) + question.body
            self.assertEqual(read_request(Reader(frame)), (7, op, request))
        self.assertEqual({op for _, op, _ in CASES}, set(Op) - {Op.ERROR})

    def test_an_operation_cut_short_is_malformed(self) -> None:
        for question, _, _ in CASES:
            frame = pack(">ii", 7, question.op) + question.body
            for end in range(len(frame)):
                self.assertRaises(MalformedRequest, read_request, Reader(frame[:end]))

    def test_fields_that_a_later_client_appends_are_ignored(self) -> None:
        question, op, request = CASES[0]
        frame = pack(">ii", 7, question.op) + question.body + b"more"
        self.assertEqual(read_request(Reader(frame)), (7, op, request))

    def test_an_operation_this_server_has_not_keeps_its_transaction_id(self) -> None:
        for number in (16, 102, 99, -1):
            self.assertEqual(read_request(Reader(pack(">ii", 7, number) + b"x")), (7, None, Empty()))

    def test_a_multi_holds_changes_only(self) -> None:
        for question in (rq.exists("/a"), rq.ping(), rq.multi(), Question(16, b"")):
            frame = pack(">ii", 7, 14) + rq.multi(question).body
            self.assertRaises(MalformedRequest, read_request, Reader(frame))

    @given(st.sampled_from([int(op) for op in Op]), st.binary(max_size=100))
    @settings(derandomize=True, deadline=None, database=None, max_examples=500)
    def test_any_bytes_are_a_request_or_malformed(self, op: int, body: bytes) -> None:
        try:
            self.assertEqual(read_request(Reader(pack(">ii", 7, op) + body))[0], 7)
        except MalformedRequest as exc:
            self.assertNotEqual(str(exc), "")


class ConnectTests(SynchronousTestCase):
    def test_a_client_says_whether_it_knows_read_only_by_sending_it(self) -> None:
        fields = (0, 5, 10_000, 3, b"secret")
        for read_only, known in ((b"\0", True), (b"\1", True), (b"", False)):
            frame = rq.connect(10_000, 3, b"secret", 5, read_only)
            self.assertEqual(read_connect(Reader(frame)), Connect(*fields, known))

    def test_a_handshake_cut_short_is_malformed(self) -> None:
        frame = rq.connect(read_only=b"")
        for end in range(len(frame)):
            self.assertRaises(MalformedRequest, read_connect, Reader(frame[:end]))
