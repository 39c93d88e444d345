"""What each operation is answered, and which events leave before the answer."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded import EmbeddedZooKeeper
from slacker.zookeeper.embedded.codes import Code, Event
from slacker.zookeeper.embedded.processor import Processor
from slacker.zookeeper.embedded.tree import DataTree
from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.memory import MemoryClient
from tests.zookeeper.embedded.requests import Question


class ProcessorTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = EmbeddedZooKeeper(self.clock)
        self.one, self.two = self.client(), self.client()

    def client(self) -> MemoryClient:
        client = MemoryClient(self.server, self.clock)
        client.handshake()
        return client

    def ok(self, question: Question, client: MemoryClient | None = None) -> tuple[object, ...]:
        answer = (client or self.one).ask(question)
        self.assertEqual(answer.code, Code.OK)
        return answer.values

    def code(self, question: Question, client: MemoryClient | None = None) -> int:
        return (client or self.one).ask(question).code


class AnswerTests(ProcessorTestCase):
    def test_each_create_answers_with_its_path_and_all_but_the_first_with_a_stat(self) -> None:
        self.assertEqual(self.ok(rq.create("/a", b"", 2)), ("/a0000000000",))
        for question in (rq.create("/b", op=15), rq.create("/c", op=19), rq.create_ttl("/d", 1_000)):
            path, stat = self.ok(question)
            self.assertEqual(stat, self.ok(rq.exists(str(path)))[0])

    def test_reads_answer_with_data_children_rules_and_stats(self) -> None:
        self.ok(rq.create("/a", b"data"))
        self.ok(rq.create("/a/b"))
        stat = self.ok(rq.exists("/a"))[0]
        self.assertEqual(self.ok(rq.get_data("/a")), (b"data", stat))
        self.assertEqual(self.ok(rq.get_children("/a")), (["b"],))
        self.assertEqual(self.ok(rq.get_children2("/a")), (["b"], stat))
        self.assertEqual(self.ok(rq.get_acl("/a")), ([(31, "world", "anyone")], stat))
        self.assertEqual(self.ok(rq.sync("/a")), ("/a",))
        self.assertEqual(self.ok(rq.check("/a", 0)), ())

    def test_data_that_is_none_stays_none(self) -> None:
        self.ok(rq.create("/a", None))
        self.assertEqual(self.ok(rq.get_data("/a"))[0], None)

    def test_an_operation_this_server_has_not_is_unimplemented(self) -> None:
        for number in (16, 102, 103):
            self.assertEqual(self.code(Question(number, b"whatever")), Code.UNIMPLEMENTED)
        self.assertEqual(self.code(rq.ping()), Code.OK)

    def test_a_change_takes_a_transaction_id_even_if_refused_and_a_read_takes_none(self) -> None:
        start = self.one.ask(rq.ping()).zxid
        self.assertEqual(self.one.ask(rq.create("/a")).zxid, start + 1)
        self.assertEqual(self.one.ask(rq.create("/a")).zxid, start + 2)
        self.assertEqual(self.one.ask(rq.get_data("/a", True)).zxid, start + 2)

    def test_the_root_and_curators_configuration_are_there(self) -> None:
        self.assertEqual(self.ok(rq.get_children("/")), (["zookeeper"],))
        self.assertEqual(self.ok(rq.get_data("/zookeeper/config"))[0], b"")


class MultiTests(ProcessorTestCase):
    def test_all_of_it_happens_at_one_transaction_id(self) -> None:
        answer = self.one.ask(
            rq.multi(
                rq.create("/a", b"1"),
                rq.create("/a/s-", b"", 2),
                rq.set_data("/a", b"2"),
                rq.check("/a", 1),
                rq.delete("/a/s-0000000000"),
            )
        )
        kinds = [result[0] for result in answer.values]
        self.assertEqual(kinds, [1, 1, 5, 13, 2])
        stat = answer.values[2][1]
        self.assertEqual((stat["czxid"], stat["mzxid"], stat["version"]), (answer.zxid, answer.zxid, 1))

    def test_or_nothing_and_the_answer_says_what_failed(self) -> None:
        answer = self.one.ask(rq.multi(rq.create("/a"), rq.create("/b"), rq.delete("/c"), rq.create("/d")))
        codes = [Code.OK, Code.OK, Code.NO_NODE, Code.RUNTIME_INCONSISTENCY]
        self.assertEqual(answer.values, tuple(("error", code) for code in codes))
        self.assertEqual(self.ok(rq.get_children("/")), (["zookeeper"],))

    def test_a_multi_that_failed_fires_no_watch(self) -> None:
        self.ok(rq.get_children("/", True), self.two)
        self.one.ask(rq.multi(rq.create("/a"), rq.delete("/c")))
        self.assertEqual(self.two.heard(), [])
        self.one.ask(rq.multi(rq.create("/a")))
        self.assertEqual(self.two.heard(), [(Event.CHILD, "/")])


class AccessTests(ProcessorTestCase):
    def test_a_digest_opens_what_it_closed(self) -> None:
        self.ok(rq.auth("digest", b"joe:secret"))
        self.ok(rq.create("/a", b"", 0, rq.CREATOR))
        self.assertEqual(self.code(rq.get_data("/a"), self.two), Code.NO_AUTH)
        self.assertEqual(self.code(rq.get_acl("/a"), self.two), Code.NO_AUTH)
        self.assertEqual(self.code(rq.exists("/a"), self.two), Code.OK)
        self.ok(rq.auth("digest", b"joe:secret"), self.two)
        self.ok(rq.get_data("/a"), self.two)

    def test_digests_are_hidden_from_who_may_only_read(self) -> None:
        self.ok(rq.auth("digest", b"joe:secret"))
        self.ok(rq.create("/a", b"", 0, [(31, "auth", ""), (1, "world", "anyone")]))
        hidden, shown = self.ok(rq.get_acl("/a"), self.two)[0], self.ok(rq.get_acl("/a"))[0]
        self.assertEqual(hidden, [(31, "digest", "joe:x"), (1, "world", "anyone")])
        self.assertNotEqual(hidden, shown)

    def test_an_address_is_an_identity(self) -> None:
        self.ok(rq.create("/a", b"", 0, [(31, "ip", "127.0.0.0/8")]))
        far = MemoryClient(self.server, self.clock, host="10.0.0.1")
        far.handshake()
        self.assertEqual(self.code(rq.get_data("/a"), far), Code.NO_AUTH)
        self.ok(rq.get_data("/a"), self.two)

    def test_a_watch_does_not_tell_of_a_node_that_was_closed_since(self) -> None:
        self.ok(rq.create("/a"))
        self.ok(rq.get_data("/a", True), self.two)
        self.ok(rq.auth("digest", b"joe:secret"))
        self.ok(rq.set_acl("/a", rq.CREATOR))
        self.ok(rq.set_data("/a", b""))
        self.assertEqual(self.two.heard(), [])


class WatchTests(ProcessorTestCase):
    def test_an_event_leaves_before_the_answer_that_shows_the_change(self) -> None:
        self.assertEqual(self.code(rq.exists("/a", True)), Code.NO_NODE)
        events, answer = self.one.ask_and_hear(rq.create("/a"))
        self.assertEqual((events, answer.code), ([(Event.CREATED, "/a")], Code.OK))
        self.ok(rq.get_data("/a", True), self.two)
        self.ok(rq.set_data("/a", b""))
        events, _ = self.two.ask_and_hear(rq.get_data("/a"))
        self.assertEqual(events, [(Event.CHANGED, "/a")])

    def test_only_a_look_whether_a_node_exists_watches_one_that_does_not(self) -> None:
        for question in (rq.get_data, rq.get_children, rq.get_children2):
            self.assertEqual(self.code(question("/a", True), self.two), Code.NO_NODE)
        self.ok(rq.create("/a"))
        self.assertEqual(self.two.heard(), [])
        self.assertEqual(self.code(rq.exists("/b", True), self.two), Code.NO_NODE)
        self.ok(rq.create("/b"))
        self.assertEqual(self.two.heard(), [(Event.CREATED, "/b")])

    def test_watches_go_with_their_connection(self) -> None:
        self.ok(rq.exists("/zookeeper", True), self.two)
        self.two.transport.lost()
        self.assertEqual(len(self.server.processor.watches), 0)

    def test_watches_can_be_looked_for_and_removed(self) -> None:
        self.ok(rq.get_children("/", True))
        for kind, found in ((1, True), (2, False), (3, True), (4, False), (5, False)):
            expected = Code.OK if found else Code.NO_WATCHER
            self.assertEqual(self.code(rq.check_watches("/", kind)), expected)
        self.assertEqual(self.code(rq.check_watches("/", 9)), Code.MARSHALLING_ERROR)
        self.assertEqual(self.code(rq.remove_watches("/", 2)), Code.NO_WATCHER)
        self.assertEqual(self.code(rq.remove_watches("/", 1)), Code.OK)
        self.assertEqual(self.code(rq.remove_watches("/", 1)), Code.NO_WATCHER)
        self.ok(rq.create("/a"))

    def test_added_watches_stay_and_a_recursive_one_hears_of_everything_below(self) -> None:
        self.assertEqual(self.ok(rq.add_watch("/a", 0), self.one), (0,))
        self.ok(rq.add_watch("/", 1), self.two)
        self.assertEqual(self.code(rq.add_watch("/", 2)), Code.BAD_ARGUMENTS)
        writer = self.client()
        for question in (rq.create("/a"), rq.create("/a/b"), rq.set_data("/a", b""), rq.delete("/a/b")):
            self.ok(question, writer)
        self.assertEqual(
            self.one.heard(),
            [(Event.CREATED, "/a"), (Event.CHILD, "/a"), (Event.CHANGED, "/a"), (Event.CHILD, "/a")],
        )
        self.assertEqual(
            self.two.heard(),
            [(Event.CREATED, "/a"), (Event.CREATED, "/a/b"), (Event.CHANGED, "/a"), (Event.DELETED, "/a/b")],
        )

    def test_watches_set_again_tell_at_once_what_was_missed(self) -> None:
        for path in ("/same", "/changed", "/deleted", "/children"):
            self.ok(rq.create(path))
        seen = self.one.ask(rq.ping()).zxid
        self.ok(rq.set_data("/changed", b""))
        self.ok(rq.delete("/deleted"))
        self.ok(rq.create("/children/x"))
        self.ok(rq.create("/made"))
        data, child = ["/same", "/changed", "/deleted"], ["/same", "/children", "/deleted"]
        events, _ = self.two.ask_and_hear(rq.set_watches(seen, data, ["/made", "/unmade"], child))
        self.assertEqual(
            events,
            [
                (Event.CHANGED, "/changed"),
                (Event.DELETED, "/deleted"),
                (Event.CREATED, "/made"),
                (Event.CHILD, "/children"),
                (Event.DELETED, "/deleted"),
            ],
        )
        for question in (rq.set_data("/same", b""), rq.create("/same/x"), rq.create("/unmade")):
            self.ok(question)
        self.assertEqual(
            self.two.heard(), [(Event.CHANGED, "/same"), (Event.CHILD, "/same"), (Event.CREATED, "/unmade")]
        )

    def test_added_watches_are_set_again_without_a_look_back(self) -> None:
        self.ok(rq.set_watches2(0, ([], [], []), ["/a"], ["/b"]), self.two)
        for _ in range(2):
            for question in (rq.create("/a"), rq.create("/b"), rq.create("/b/c")):
                self.ok(question)
            for question in (rq.delete("/b/c"), rq.delete("/b"), rq.delete("/a")):
                self.ok(question)
        self.assertEqual(
            [event.path for event in self.two.heard()], ["/a", "/b", "/b/c", "/b/c", "/b", "/a"] * 2
        )

    def test_there_are_only_so_many_watches(self) -> None:
        self.server.processor = Processor(self.clock.seconds, tree=DataTree(), max_watches=2)
        self.ok(rq.get_data("/", True))
        self.ok(rq.get_children("/", True))
        for question in (
            rq.exists("/a", True),
            rq.get_data("/zookeeper", True),
            rq.add_watch("/", 0),
            rq.set_watches(0, ["/zookeeper"], [], []),
        ):
            self.assertEqual(self.code(question), Code.THROTTLED)
        self.ok(rq.remove_watches("/", 3))
        self.ok(rq.get_data("/zookeeper", True))
