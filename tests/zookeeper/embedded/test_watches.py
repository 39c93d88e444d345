"""Who hears of what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded.codes import Event
from slacker.zookeeper.embedded.watches import ANY, Kind, WatchTable


class WatchTableTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table: WatchTable[str] = WatchTable()

    def test_a_data_watch_hears_once(self) -> None:
        for event in (Event.CREATED, Event.CHANGED, Event.DELETED):
            self.table.add("joe", Kind.DATA, "/a")
            self.assertEqual(self.table.fire(event, "/a"), [("joe", event, "/a")])
            self.assertEqual(self.table.fire(event, "/a"), [])
        self.assertEqual(len(self.table), 0)

    def test_a_child_watch_hears_of_children_and_of_its_nodes_end(self) -> None:
        for event in (Event.CREATED, Event.DELETED):
            self.table.add("joe", Kind.CHILDREN, "/a")
            self.assertEqual(self.table.fire(Event.CHANGED, "/a"), [])
            self.assertEqual(self.table.fire(Event.CHANGED, "/a/b"), [])
            self.assertEqual(self.table.fire(event, "/a/b/c"), [])
            self.assertEqual(self.table.fire(event, "/a/b"), [("joe", Event.CHILD, "/a")])
        self.table.add("joe", Kind.CHILDREN, "/a")
        self.assertEqual(self.table.fire(Event.DELETED, "/a"), [("joe", Event.DELETED, "/a")])

    def test_the_root_hears_of_its_children(self) -> None:
        self.table.add("joe", Kind.CHILDREN, "/")
        self.assertEqual(self.table.fire(Event.CREATED, "/a"), [("joe", Event.CHILD, "/")])

    def test_two_watches_on_one_path_hear_of_its_end_once(self) -> None:
        self.table.add("joe", Kind.DATA, "/a")
        self.table.add("joe", Kind.CHILDREN, "/a")
        self.assertEqual(self.table.fire(Event.DELETED, "/a"), [("joe", Event.DELETED, "/a")])
        self.assertEqual(len(self.table), 0)

    def test_the_node_is_reported_before_its_parent(self) -> None:
        self.table.add("joe", Kind.CHILDREN, "/")
        self.table.add("joe", Kind.DATA, "/a")
        self.assertEqual(
            self.table.fire(Event.CREATED, "/a"), [("joe", Event.CREATED, "/a"), ("joe", Event.CHILD, "/")]
        )

    def test_a_persistent_watch_hears_always(self) -> None:
        self.table.add("joe", Kind.PERSISTENT, "/a")
        for _ in range(2):
            self.assertEqual(self.table.fire(Event.CREATED, "/a"), [("joe", Event.CREATED, "/a")])
            self.assertEqual(self.table.fire(Event.CREATED, "/a/b"), [("joe", Event.CHILD, "/a")])
            self.assertEqual(self.table.fire(Event.CHANGED, "/a/b"), [])
            self.assertEqual(self.table.fire(Event.DELETED, "/a"), [("joe", Event.DELETED, "/a")])

    def test_a_recursive_watch_hears_of_every_node_below_but_not_of_children(self) -> None:
        self.table.add("joe", Kind.RECURSIVE, "/a")
        self.table.add("eve", Kind.RECURSIVE, "/")
        for path in ("/a", "/a/b", "/a/b/c"):
            for event in (Event.CREATED, Event.CHANGED, Event.DELETED):
                self.assertEqual(self.table.fire(event, path), [("joe", event, path), ("eve", event, path)])
        self.assertEqual(self.table.fire(Event.CREATED, "/ab"), [("eve", Event.CREATED, "/ab")])

    def test_a_read_leaves_a_persistent_watch_in_place(self) -> None:
        self.table.add("joe", Kind.PERSISTENT, "/a")
        self.table.add("joe", Kind.DATA, "/a")
        for _ in range(2):
            self.assertEqual(self.table.fire(Event.CHANGED, "/a"), [("joe", Event.CHANGED, "/a")])

    def test_the_same_watch_twice_is_one(self) -> None:
        self.table.add("joe", Kind.DATA, "/a")
        self.table.add("joe", Kind.DATA, "/a")
        self.assertEqual(len(self.table), 1)

    def test_watchers_hear_in_the_order_in_which_they_came(self) -> None:
        names = [f"watcher {number}" for number in range(20)]
        for name in names:
            self.table.add(name, Kind.DATA, "/a")
        self.assertEqual([name for name, _, _ in self.table.fire(Event.CHANGED, "/a")], names)

    def test_watches_are_found_and_removed_by_their_kind(self) -> None:
        for kind in Kind:
            self.table.add("joe", kind, "/a")
        for kind in Kind:
            self.assertTrue(self.table.has("joe", kind, "/a"))
            self.assertTrue(self.table.remove("joe", kind, "/a"))
            self.assertFalse(self.table.has("joe", kind, "/a"))
            self.assertFalse(self.table.remove("joe", kind, "/a"))
        self.assertEqual(len(self.table), 0)

    def test_any_is_every_kind_on_that_path_and_of_that_watcher(self) -> None:
        for kind in Kind:
            self.table.add("joe", kind, "/a")
        self.table.add("joe", Kind.DATA, "/b")
        self.table.add("eve", Kind.DATA, "/a")
        self.assertFalse(self.table.has("eve", ANY, "/b"))
        self.assertTrue(self.table.remove("joe", ANY, "/a"))
        self.assertFalse(self.table.has("joe", ANY, "/a"))
        self.assertEqual(len(self.table), 2)

    def test_a_watcher_that_is_gone_leaves_nothing_behind(self) -> None:
        for kind in Kind:
            self.table.add("joe", kind, "/a")
        self.table.add("eve", Kind.DATA, "/a")
        self.table.forget("joe")
        self.table.forget("nobody")
        self.assertEqual(self.table.fire(Event.DELETED, "/a"), [("eve", Event.DELETED, "/a")])
        self.assertEqual(len(self.table), 0)
