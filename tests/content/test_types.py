"""Types beyond the usual: subclasses, and those that users register."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from datetime import datetime, timezone
from enum import Enum, IntEnum
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from slacker.content import CODECS, dumps, loads, register, types
from slacker.content.transit.reader import TAGS
from slacker.content.types import plain
from slacker.content.values import Keyword, List, Tagged
from slacker.errors import ConfigurationError, ContentError
from tests.content.vectors import shape


class _Number(IntEnum):
    ONE = 1


class _Text(str, Enum):
    A = "a"


_Pair = namedtuple("_Pair", "left right")


class _Moment(datetime):
    pass


class PlainTests(SynchronousTestCase):
    """What instances of subclasses are written as."""

    def test_a_subclass_is_what_it_is_a_kind_of(self) -> None:
        """Enumerations with a value, named tuples, the dicts of ``collections``, other datetimes."""
        moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
        for value, twin in (
            (_Number.ONE, 1),
            (_Text.A, "a"),
            (type("F", (float,), {})(1.5), 1.5),
            (type("B", (bytes,), {})(b"b"), b"b"),
            (_Pair(1, 2), [1, 2]),
            (type("L", (List,), {})([1]), List([1])),
            (type("P", (list,), {})([1]), [1]),
            (OrderedDict(a=1), {"a": 1}),
            (defaultdict(int, a=1), {"a": 1}),
            (type("S", (set,), {})([1]), frozenset([1])),
            (type("Z", (frozenset,), {})([1]), frozenset([1])),
            (_Moment(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc), moment),
        ):
            got = plain(value)
            self.assertEqual((type(got), got), (type(twin), twin))

    def test_anything_else_is_nothing(self) -> None:
        """There is no guessing."""
        for value in (object(), iter([]), range(3), 1j):
            self.assertIsNone(plain(value))


@attrs.frozen
class _Point:
    x: Any
    y: Any


class _Place(_Point):
    pass


class _Incomparable:
    """Has a hash, and raises when it is compared."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise KeyError("never")


class _Tea(str):
    __slots__ = ()


class RegisterTests(SynchronousTestCase):
    """:func:`slacker.content.register`."""

    def setUp(self) -> None:
        """Types are registered for this test alone."""
        self.patch(types, "_BY_TYPE", {})
        self.patch(types, "_BY_TAG", {})
        self.tagging = CODECS.keys() - {"json"}

    def point(self, to: Callable[[_Point], object] = lambda point: [point.x, point.y]) -> None:
        register(_Point, "app/point", to, lambda value: _Point(*value))

    def test_it_is_written_and_read_back(self) -> None:
        """Wherever it stands, in every content type that has tags."""
        self.point()
        for name in self.tagging:
            for value in (
                _Point(1, 2),
                [_Point(1, [2])],
                {_Point(1, 2): {Keyword("a"): _Point(_Point(3, 4), None)}},
                List([frozenset([_Point(1, 2)])]),
            ):
                self.assertEqual(loads(name, dumps(name, value)), value, name)

    def test_its_form_is_that_of_a_tagged_value(self) -> None:
        """So a peer that does not know it reads one, and whatever it sends under the tag is an instance."""
        tagged = Tagged("app/point", [1, 2])
        forms = {name: dumps(name, tagged) for name in self.tagging}
        self.assertEqual(forms["clj"], b"#app/point [1 2]")
        self.point()
        for name, form in forms.items():
            self.assertEqual(dumps(name, _Point(1, 2)), form)
            self.assertEqual(dumps(name, tagged), form)
            self.assertEqual(loads(name, form), _Point(1, 2))
            other = Tagged("app/line", 1)
            self.assertEqual(loads(name, dumps(name, other)), other)

    def test_subclasses(self) -> None:
        """They are written in the same way; a subclass of what writers know is no longer that."""
        self.point()
        register(_Tea, "app/tea", str, _Tea)
        for name in self.tagging:
            self.assertEqual(loads(name, dumps(name, _Place(1, 2))), _Point(1, 2))
            read = loads(name, dumps(name, [_Tea("green"), "green", {_Tea("x"): 1}]))
            self.assertEqual(shape(read), shape([_Tea("green"), "green", {_Tea("x"): 1}]))

    def test_json_has_no_tags(self) -> None:
        """It refuses, and says where."""
        self.point()
        error = self.assertRaises(ContentError, dumps, "json", [{"a": _Point(1, 2)}])
        self.assertIn('[0]["a"] is registered as #app/point, and what it becomes is of type', str(error))
        self.assertIn("is a map key, and JSON's are text", str(self.refused("json", {_Point(1, 2): 3})))

    def refused(self, name: str, value: object) -> ContentError:
        error: ContentError = self.assertRaises(ContentError, dumps, name, value)
        self.assertIn(f"{name} cannot carry this value: ", str(error))
        return error

    def test_what_it_becomes_may_be_refused(self) -> None:
        """The message says where the instance stands."""
        self.point()
        for name in self.tagging:
            error = self.refused(name, [_Point(object(), 2)])
            self.assertIn(
                "[0] is registered as #app/point, and what it becomes is of type object", str(error)
            )
            deep: Any = _Point(1, 2)
            for _ in range(100_000):
                deep = [deep]
            self.assertIn("levels deep", str(self.refused(name, deep)))

    def test_what_becomes_itself(self) -> None:
        """It has no end, and is refused."""
        self.point(lambda point: point)
        for name in self.tagging:
            self.refused(name, [_Point(1, 2)])

    def test_functions_that_raise(self) -> None:
        """Whatever they raise, it is a ContentError that names the tag."""
        self.point(lambda point: [point.x / point.y, 1])
        for name in self.tagging:
            error = self.refused(name, [_Point(1, 0)])
            self.assertIn("[0] cannot be made #app/point: ZeroDivisionError", str(error))
            data = dumps(name, Tagged("app/point", [1, 2, 3]))
            error = self.assertRaises(ContentError, loads, name, data)
            self.assertIn("#app/point is no _Point: TypeError", str(error))

    def test_instances_that_cannot_be_keys(self) -> None:
        """Whatever they raise when they are compared, it is a ContentError."""
        register(_Incomparable, "app/odd", lambda odd: 1, lambda value: _Incomparable())
        for name in self.tagging:
            data = dumps(name, frozenset([Tagged("app/odd", 1), Tagged("app/odd", 2)]))
            error = self.assertRaises(ContentError, loads, name, data)
            self.assertIn("KeyError('never')", str(error))

    def test_what_cannot_be_registered(self) -> None:
        """Types that have a form of their own, tags that have a meaning, and either twice."""
        self.point()
        kind: type
        for kind in (int, str, dict, List, Keyword, Tagged, bool, type(None), datetime, tuple):
            error = self.assertRaises(ConfigurationError, register, kind, "app/x", str, str)
            self.assertIn("has a form of its own", str(error))
        for tag in ("inst", "uuid", "uri", "object", *TAGS, "", "a b", "1", 5, ":a", "#a"):
            error = self.assertRaises(ConfigurationError, register, _Place, tag, str, str)
            self.assertIn("is no tag for _Place; take one as 'app/point'", str(error))
        for kind, tag in ((_Point, "app/other"), (_Place, "app/point")):
            error = self.assertRaises(ConfigurationError, register, kind, tag, str, str)
            self.assertIn("_Point is registered already, as #app/point", str(error))
        error = self.assertRaises(ConfigurationError, register, 5, "app/x", str, str)
        self.assertIn("register takes a class, not 5", str(error))
