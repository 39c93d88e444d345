"""What changes do to the nodes, and that none of them can be half done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded.acl import OPEN, Identity
from slacker.zookeeper.embedded.codes import Code, Event, Mode, OperationRefused
from slacker.zookeeper.embedded.records import Acl, Create
from slacker.zookeeper.embedded.tree import DataTree, Transaction, changed_since

JOE: Identity = ("digest", "joe:x")
READ_ONLY = [Acl(1, "world", "anyone")]


def create(path: str, data: bytes | None = b"", mode: int = 0, ttl: int = -1, acl: Any = OPEN) -> Create:
    return Create(path, data, list(acl), mode, ttl)


class TreeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.tree = DataTree()
        self.zxid = 0

    def transaction(self, session: int = 1, now: int = 1_000) -> Transaction:
        self.zxid += 1
        return Transaction(self.zxid, now, session, [JOE])

    def create(self, path: str, *args: Any, **named: Any) -> str:
        return self.tree.create(self.transaction(), create(path, *args, **named))

    def refused(self, code: Code, change: Callable[..., Any], *args: Any) -> None:
        """The change is refused with this code, and nothing has changed."""
        before, txn = snapshot(self.tree), self.transaction()
        refused = self.assertRaises(OperationRefused, change, txn, *args)
        self.assertIs(refused.code, code)
        self.assertEqual((snapshot(self.tree), txn.changes, txn.undo), (before, [], []))


def snapshot(tree: DataTree) -> Any:
    """All there is to see of a tree, by walking it."""
    seen: dict[str, Any] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        node = tree.get(path)
        seen[path] = (node.data, node.acl, node.stat(), sorted(node.children))
        waiting += [f"{path.rstrip('/')}/{name}" for name in node.children]
    owned = {session: sorted(tree.ephemerals(session)) for session in range(5)}
    return seen, len(tree), owned, sorted(tree.stale(10**15)), tree.size


class CreateTests(TreeTestCase):
    def test_a_node_begins_with_what_made_it(self) -> None:
        self.assertEqual(self.create("/a", b"data"), "/a")
        stat = self.tree.get("/a").stat()
        self.assertEqual((stat.czxid, stat.mzxid, stat.pzxid), (1, 1, 1))
        self.assertEqual((stat.ctime, stat.mtime, stat.data_length), (1_000, 1_000, 4))
        self.assertEqual((stat.version, stat.cversion, stat.aversion), (0, 0, 0))

    def test_the_parent_counts_creations_and_deletions(self) -> None:
        self.create("/a")
        self.create("/a/b")
        self.create("/a/c")
        self.tree.delete(self.transaction(), "/a/b", -1)
        stat = self.tree.get("/a").stat()
        self.assertEqual((stat.cversion, stat.num_children, stat.pzxid), (3, 1, 4))

    def test_sequential_names_count_creations_not_the_visible_version(self) -> None:
        self.create("/a")
        self.assertEqual(self.create("/a/n-", mode=2), "/a/n-0000000000")
        self.tree.delete(self.transaction(), "/a/n-0000000000", -1)
        self.create("/a/other")
        self.assertEqual(self.create("/a/n-", mode=3), "/a/n-0000000002")
        self.assertEqual(self.create("/a/", mode=2), "/a/0000000003")

    def test_only_an_ephemeral_node_shows_an_owner(self) -> None:
        for path, mode, ttl, owner in (("/p", 0, -1, 0), ("/e", 1, -1, 1), ("/c", 4, -1, 0), ("/t", 5, 9, 0)):
            self.create(path, mode=mode, ttl=ttl)
            self.assertEqual(self.tree.get(path).stat().ephemeral_owner, owner)

    def test_refusals_have_their_codes(self) -> None:
        self.create("/a")
        self.create("/e", mode=1)
        self.create("/closed", acl=READ_ONLY)
        for code, request in (
            (Code.NODE_EXISTS, create("/a")),
            (Code.NODE_EXISTS, create("/")),
            (Code.NO_NODE, create("/x/y")),
            (Code.NO_CHILDREN_FOR_EPHEMERALS, create("/e/x")),
            (Code.NO_AUTH, create("/closed/x")),
            (Code.INVALID_ACL, create("/x", acl=())),
            (Code.BAD_ARGUMENTS, create("x")),
            (Code.BAD_ARGUMENTS, create("/a/")),
            (Code.BAD_ARGUMENTS, create("/x\0")),
            (Code.BAD_ARGUMENTS, create("/x", mode=7)),
            (Code.BAD_ARGUMENTS, create("/x", mode=-1)),
            (Code.BAD_ARGUMENTS, create("/x", mode=0, ttl=5)),
            (Code.BAD_ARGUMENTS, create("/x", mode=5)),
            (Code.BAD_ARGUMENTS, create("/x", mode=6, ttl=0)),
            (Code.BAD_ARGUMENTS, create("/x", mode=5, ttl=2**40)),
        ):
            self.refused(code, self.tree.create, request)

    def test_nodes_and_bytes_have_a_limit_that_what_is_deleted_gives_back(self) -> None:
        self.tree = DataTree(max_nodes=6, max_bytes=20)
        self.create("/a", b"x" * 8)
        self.create("/b", b"x" * 8)
        self.refused(Code.QUOTA_EXCEEDED, self.tree.create, create("/c"))
        self.refused(Code.QUOTA_EXCEEDED, self.tree.set_data, "/a", b"x" * 9, -1)
        self.tree.set_data(self.transaction(), "/a", b"x" * 4, -1)
        self.tree.delete(self.transaction(), "/b", -1)
        self.refused(Code.QUOTA_EXCEEDED, self.tree.create, create("/c", b"x" * 13))
        self.create("/c", b"x" * 12)


class ChangeTests(TreeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.create("/a", b"1")

    def test_data_is_replaced_and_counted(self) -> None:
        self.tree.set_data(self.transaction(now=5), "/a", None, 0)
        node = self.tree.get("/a")
        self.assertEqual((node.data, node.version, node.mzxid, node.mtime, node.czxid), (None, 1, 2, 5, 1))

    def test_rules_are_replaced_and_counted_apart(self) -> None:
        self.tree.set_acl(self.transaction(), "/a", [Acl(31, "auth", "")], 0)
        node = self.tree.get("/a")
        self.assertEqual((node.acl, node.version, node.aversion), ((Acl(31, *JOE),), 0, 1))

    def test_refusals_have_their_codes(self) -> None:
        self.create("/a/b")
        self.create("/closed", acl=[Acl(8, "world", "anyone")])
        for code, change, args in (
            (Code.NO_NODE, self.tree.set_data, ("/x", b"", -1)),
            (Code.BAD_VERSION, self.tree.set_data, ("/a", b"", 1)),
            (Code.BAD_ARGUMENTS, self.tree.set_data, ("a", b"", 1)),
            (Code.NO_AUTH, self.tree.set_data, ("/closed", b"", 1)),
            (Code.NO_NODE, self.tree.set_acl, ("/x", OPEN, -1)),
            (Code.BAD_VERSION, self.tree.set_acl, ("/a", OPEN, 1)),
            (Code.INVALID_ACL, self.tree.set_acl, ("/a", (), -1)),
            (Code.NO_AUTH, self.tree.set_acl, ("/closed", OPEN, -1)),
            (Code.NO_NODE, self.tree.check, ("/x", -1)),
            (Code.BAD_VERSION, self.tree.check, ("/a", 1)),
            (Code.NO_AUTH, self.tree.check, ("/closed", -1)),
            (Code.NO_NODE, self.tree.delete, ("/x", -1)),
            (Code.NO_NODE, self.tree.delete, ("/x/y", -1)),
            (Code.BAD_VERSION, self.tree.delete, ("/a", 1)),
            (Code.NOT_EMPTY, self.tree.delete, ("/a", -1)),
            (Code.BAD_ARGUMENTS, self.tree.delete, ("/zookeeper/config", -1)),
            (Code.BAD_ARGUMENTS, self.tree.delete, ("/", -1)),
            (Code.BAD_ARGUMENTS, self.tree.delete, ("a", -1)),
        ):
            self.refused(code, change, *args)

    def test_what_happened_is_kept_for_the_watches_with_who_may_hear_of_it(self) -> None:
        txn = self.transaction()
        self.tree.create(txn, create("/a/b", acl=READ_ONLY))
        self.tree.set_data(txn, "/a", b"2", -1)
        self.tree.delete(txn, "/a/b", -1)
        rules = tuple(READ_ONLY)
        self.assertEqual(
            txn.changes,
            [
                (Event.CREATED, "/a/b", rules, OPEN),
                (Event.CHANGED, "/a", OPEN, ()),
                (Event.DELETED, "/a/b", rules, OPEN),
            ],
        )


class EndTests(TreeTestCase):
    def test_a_session_takes_its_nodes_with_it_whatever_their_rules(self) -> None:
        self.create("/a")
        self.create("/a/e", mode=1)
        self.create("/f", mode=3, acl=READ_ONLY)
        self.tree.set_acl(self.transaction(), "/a", READ_ONLY, -1)
        self.tree.create(self.transaction(session=2), create("/other", mode=1))
        txn = self.transaction(session=1)
        self.tree.close_session(txn)
        self.assertEqual([change.path for change in txn.changes], ["/a/e", "/f0000000001"])
        self.assertEqual((self.tree.ephemerals(1), self.tree.ephemerals(2)), ([], ["/other"]))

    def test_a_container_goes_after_its_last_child_but_not_before_its_first(self) -> None:
        self.create("/c", mode=Mode.CONTAINER)
        self.assertEqual(self.tree.stale(10**9), [])
        self.create("/c/x")
        self.assertEqual(self.tree.stale(10**9), [])
        self.tree.delete(self.transaction(), "/c/x", -1)
        self.assertEqual(self.tree.stale(10**9), ["/c"])
        self.tree.reap(self.transaction(), "/c")
        self.assertIsNone(self.tree.find("/c"))

    def test_a_ttl_node_goes_when_it_was_not_written_for_that_long_and_has_no_child(self) -> None:
        self.create("/t", mode=Mode.TTL, ttl=500)
        self.assertEqual(self.tree.stale(1_500), [])
        self.assertEqual(self.tree.stale(1_501), ["/t"])
        self.tree.set_data(self.transaction(now=1_200), "/t", b"", -1)
        self.assertEqual(self.tree.stale(1_700), [])
        self.assertEqual(self.tree.stale(1_701), ["/t"])
        self.create("/t/x")
        self.assertEqual(self.tree.stale(9_999), [])

    def test_what_a_client_missed(self) -> None:
        self.create("/a")
        self.create("/a/b")
        self.tree.set_data(self.transaction(), "/a", b"", -1)
        for path, zxid, children, expected in (
            ("/a", 2, False, Event.CHANGED),
            ("/a", 3, False, None),
            ("/a", 1, True, Event.CHILD),
            ("/a", 2, True, None),
            ("/x", 9, False, Event.DELETED),
            ("/x", 9, True, Event.DELETED),
        ):
            self.assertIs(changed_since(self.tree, path, zxid, children=children), expected)


paths = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
versions = st.sampled_from([-1, -1, 0, 1])
changes = st.one_of(
    st.tuples(st.just("create"), paths, st.sampled_from(list(Mode)), st.sampled_from([1, 2])),
    st.tuples(st.just("delete"), paths, versions, st.just(1)),
    st.tuples(st.just("set_data"), paths, versions, st.just(1)),
    st.tuples(st.just("set_acl"), paths, versions, st.just(1)),
    st.tuples(st.just("close"), st.just(""), st.just(0), st.sampled_from([1, 2])),
)


class RollBackTests(TreeTestCase):
    @given(st.lists(changes, max_size=20), st.lists(changes, max_size=20))
    @settings(derandomize=True, deadline=None, database=None, max_examples=200)
    def test_a_transaction_that_is_rolled_back_leaves_no_trace(
        self, before: list[Any], undone: list[Any]
    ) -> None:
        self.setUp()
        for change in before:
            self.apply(self.transaction(session=change[3]), change)
        kept = snapshot(self.tree)
        txn = self.transaction()
        for change in undone:
            txn.session_id = change[3]
            self.apply(txn, change)
        txn.roll_back()
        self.assertEqual(snapshot(self.tree), kept)
        self.assertEqual(txn.changes, [])

    def apply(self, txn: Transaction, change: Any) -> None:
        what, path, detail, _ = change
        try:
            if what == "create":
                ttl = 5 if detail.has_ttl else -1
                self.tree.create(txn, create(path, b"x" * len(path), detail, ttl))
            elif what == "delete":
                self.tree.delete(txn, path, detail)
            elif what == "set_data":
                self.tree.set_data(txn, path, b"new", detail)
            elif what == "set_acl":
                self.tree.set_acl(txn, path, OPEN, detail)
            else:
                self.tree.close_session(txn)
        except OperationRefused:
            pass
