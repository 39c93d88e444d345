"""The values that Python lacks."""

from __future__ import annotations

import copy
import pickle
from enum import Enum
from threading import Thread
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.content.values import (
    Char,
    Keyword,
    List,
    Map,
    Symbol,
    Tagged,
    Unreadable,
    freeze,
    make_dict,
    make_set,
)
from slacker.errors import ContentError


class NameTests(SynchronousTestCase):
    """Keyword, Symbol and Char."""

    def test_none_is_a_string(self) -> None:
        """Nor equal to one, nor to each other."""
        for kind in (Keyword, Symbol, Char):
            self.assertFalse(isinstance(kind("a"), str))
            self.assertNotEqual(kind("a"), "a")
        self.assertEqual(len({Keyword("a"), Symbol("a"), Char("a"), "a"}), 4)

    def test_the_same_text_is_the_same_object(self) -> None:
        """However it was made, and in any thread."""
        found: list[object] = []
        threads = [Thread(target=lambda: found.append(Keyword("made in threads"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({id(keyword) for keyword in found}, {id(Keyword("made in threads"))})
        for name in (Keyword("a/b"), Symbol("a/b"), Char("a")):
            self.assertIs(type(name)(name.text), name)
            self.assertIs(copy.deepcopy(name), name)
            self.assertIs(pickle.loads(pickle.dumps(name)), name)

    def test_a_name_nobody_holds_is_forgotten(self) -> None:
        """Peers may choose as many as they like."""
        Keyword("nobody holds this one")
        self.assertNotIn("nobody holds this one", Keyword._known)

    def test_namespace_and_name(self) -> None:
        """They are parted by the first slash, if something stands on both sides of it."""
        for text, namespace, name in (
            ("a", None, "a"),
            ("a/b", "a", "b"),
            ("a/b/c", "a", "b/c"),
            ("/", None, "/"),
            ("a//", "a", "/"),
            ("/a", None, "/a"),
        ):
            self.assertEqual((Keyword(text).namespace, Keyword(text).name), (namespace, name), text)

    def test_order(self) -> None:
        """Without a namespace first, then by namespace, then by name; only among their own kind."""
        names = [Keyword(text) for text in ("b", "a/c", "a", "a/b", "Z")]
        self.assertEqual(str(sorted(names)), str([Keyword(text) for text in ("Z", "a", "b", "a/b", "a/c")]))
        self.assertTrue(Char("a") < Char("b") and Char("b") >= Char("b") and Char("a") <= Char("a"))
        with self.assertRaises(TypeError):
            sorted([Keyword("a"), Symbol("b")])
        with self.assertRaises(TypeError):
            _ = Keyword("a") <= "a"

    def test_text_forms(self) -> None:
        """``repr`` is what one would write, ``str`` what Clojure's ``str`` gives."""
        self.assertEqual(
            [repr(kind("a")) for kind in (Keyword, Symbol, Char)],
            ["Keyword('a')", "Symbol('a')", "Char('a')"],
        )
        self.assertEqual([str(kind("a")) for kind in (Keyword, Symbol, Char)], [":a", "a", "a"])

    def test_they_cannot_be_changed(self) -> None:
        """They are keys."""
        for name in (Keyword("a"), Symbol("a"), Char("a")):
            with self.assertRaises(AttributeError):
                name.text = "b"
            with self.assertRaises(AttributeError):
                del name.text

    def test_what_is_no_name(self) -> None:
        """A name is a str, and a character one code point."""
        for kind in (Keyword, Symbol, Char):
            for wrong in (5, b"a", None, Keyword("a")):
                self.assertRaises(ContentError, kind, wrong)
        for text in ("", "ab", "\ud800"):
            self.assertRaises(ContentError, Char, text)
        self.assertLess(len(str(self.assertRaises(ContentError, Char, "x" * 1000))), 100)


class ContainerTests(SynchronousTestCase):
    """List, Map, Tagged and Unreadable."""

    def test_a_list_is_a_list(self) -> None:
        """Equal to one of the same elements, but it says what it is."""
        self.assertEqual(List([1, 2]), [1, 2])
        self.assertEqual(repr(List([1, List()])), "List([1, List([])])")

    def test_a_map_is_a_mapping_that_can_be_a_key(self) -> None:
        """Equal to a dict or Map of the same entries, in any order."""
        one, other = Map({"a": 1, "b": (2,)}), Map({"b": (2,), "a": 1})
        self.assertEqual(one, other)
        self.assertEqual(hash(one), hash(other))
        self.assertEqual(one, {"a": 1, "b": (2,)})
        self.assertNotEqual(one, [])
        self.assertEqual((one["a"], len(one), list(one), dict(one)), (1, 2, ["a", "b"], {"a": 1, "b": (2,)}))
        self.assertEqual(repr(one), "Map({'a': 1, 'b': (2,)})")
        self.assertEqual(pickle.loads(pickle.dumps(one)), one)
        self.assertEqual(Map(), {})

    def test_what_is_inside_a_key_is_frozen(self) -> None:
        """Lists become tuples, dicts Maps, sets frozensets, at every level."""
        value = [1, {"a": [List([2]), {3}]}, Tagged("t", [4]), Unreadable("c", [5]), frozenset([6])]
        frozen = (
            1,
            Map({"a": [[2], {3}]}),
            Tagged("t", (4,)),
            Unreadable("c", (5,)),
            frozenset([6]),
        )
        self.assertEqual(freeze(value), frozen)
        self.assertEqual(type(freeze(value)[1]["a"][1]), frozenset)
        hash(freeze(value))

    def test_what_cannot_be_a_key(self) -> None:
        """Keys that become equal, and what has no hash."""
        self.assertRaises(ContentError, freeze, [bytearray(b"a")])
        self.assertRaises(ContentError, freeze, [{1: [bytearray()]}])

        class Same(dict[Any, Any]):
            """A dict that is equal to itself alone."""

            __hash__ = object.__hash__  # type: ignore[assignment]  # a dict has None there
            __eq__ = object.__eq__

        error = self.assertRaises(ContentError, Map, {Same(a=1): 1, Same(a=1): 2})
        self.assertEqual(
            str(error), "two keys of one map are equal in Python: Map({'a': 1}) and Map({'a': 1})"
        )

    def test_tags(self) -> None:
        """A tag is text, given as a str or as a Symbol."""
        self.assertEqual(Tagged(Symbol("a/b"), 1), Tagged("a/b", 1))
        self.assertRaises(ContentError, Tagged, 5, 1)
        self.assertRaises(ContentError, Tagged, Keyword("a"), 1)

    def test_keys_that_collide_are_refused(self) -> None:
        """They would be one in Python; the message names both."""
        error = self.assertRaises(ContentError, make_dict, [(1, "a"), (2, "b"), (True, "c")])
        self.assertEqual(str(error), "two keys of one map are equal in Python: 1 and True")
        error = self.assertRaises(ContentError, make_set, [[1.0], "b", [1]])
        self.assertEqual(str(error), "two members of one set are equal in Python: (1.0,) and (1,)")
        self.assertEqual(make_dict([([1], 2), ("a", 3)]), {(1,): 2, "a": 3})
        self.assertEqual(make_set([[1], 2]), frozenset([(1,), 2]))


class _Text(str, Enum):
    A = "a"
