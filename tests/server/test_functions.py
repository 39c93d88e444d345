"""What a server exposes, and under which names."""

from __future__ import annotations

import statistics
import zlib
from types import ModuleType
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from slacker.content.values import Keyword, List, Symbol
from slacker.errors import ConfigurationError
from slacker.server.functions import Functions, expose, no_slacker, nonblocking


def module(source: str, name: str = "shop.api") -> ModuleType:
    """A module made of this source."""
    made = ModuleType(name)
    made.__dict__.update(expose=expose, no_slacker=no_slacker, nonblocking=nonblocking)
    exec(source, made.__dict__)
    return made


def echo(x: Any, y: Any = None) -> Any:
    """Give back what came."""
    return x if y is None else [x, y]


class ModuleTests(SynchronousTestCase):
    """A module is exposed under its dotted name."""

    def test_a_function_is_canonically_kebab_case_and_answers_to_both_spellings(self) -> None:
        functions = Functions([module("def rand_ints(n): return [n]")])
        self.assertEqual(functions.names(), ["shop.api/rand-ints"])
        self.assertIs(functions.find("shop.api/rand-ints"), functions.find("shop.api/rand_ints"))
        self.assertIsNone(functions.find("shop.api/randints"))

    def test_private_imported_and_hidden_names_and_classes_are_left_out(self) -> None:
        source = """
from os.path import join
class Thing: pass
constant = 1
def _private(): pass
@no_slacker
def hidden(): pass
def seen(): pass
"""
        self.assertEqual(Functions([module(source)]).names(), ["shop.api/seen"])

    def test_all_decides_where_there_is_one(self) -> None:
        source = """
from os.path import join
__all__ = ["join", "_odd"]
def _odd(): pass
def unlisted(): pass
"""
        self.assertEqual(sorted(Functions([module(source)]).names()), ["shop.api/-odd", "shop.api/join"])

    def test_expose_gives_a_verbatim_name_even_to_a_private_function(self) -> None:
        functions = Functions([module("@expose(name='set_x!')\ndef _set(x): pass")])
        self.assertEqual(functions.names(), ["shop.api/set_x!"])
        self.assertIsNone(functions.find("shop.api/_set"))

    def test_the_handler_for_missing_functions_is_found_by_its_namespace(self) -> None:
        functions = Functions([module("def _slacker_function_not_found(name, args): return name")])
        handler = functions.not_found_handler("shop.api/anything")
        assert handler is not None
        self.assertEqual(handler.name, "-slacker-function-not-found")
        self.assertIsNone(functions.not_found_handler("other/anything"))
        self.assertIsNone(functions.not_found_handler("no slash"))

    def test_modules_of_the_standard_library_can_be_exposed_as_they_are(self) -> None:
        names = Functions([statistics, zlib]).names()
        self.assertIn("statistics/median-low", names)
        self.assertIn("zlib/crc32", names)

    def test_two_functions_that_meet_in_one_spelling_are_refused(self) -> None:
        source = "def a_b(): pass\n@expose(name='a-b')\ndef other(): pass"
        error = self.assertRaises(ConfigurationError, Functions, [module(source)])
        self.assertIn("shop.api/a-b", str(error))

    def test_a_module_without_functions_is_refused(self) -> None:
        error = self.assertRaises(ConfigurationError, Functions, [module("x = 1")])
        self.assertIn("shop.api", str(error))


class MapTests(SynchronousTestCase):
    """A map names namespaces and functions itself."""

    def test_its_keys_are_verbatim(self) -> None:
        functions = Functions([{"a.b": {"echo_2": echo}}])
        self.assertEqual(functions.names(), ["a.b/echo_2"])
        self.assertIsNone(functions.find("a.b/echo-2"))

    def test_a_module_as_value_is_exposed_under_another_name(self) -> None:
        self.assertEqual(Functions([{"other": module("def f(): pass")}]).names(), ["other/f"])

    def test_bound_methods_can_be_exposed(self) -> None:
        items: list[int] = []
        functions = Functions([{"stack": {"push": items.append}}])
        found = functions.find("stack/push")
        assert found is not None
        found.call(3)
        self.assertEqual(items, [3])

    def test_an_empty_namespace_exists(self) -> None:
        self.assertEqual(dict(Functions([{"empty": {}}]).namespaces), {"empty": {}})

    def test_what_is_no_name_or_no_function_is_refused(self) -> None:
        wrong: list[Any] = [
            {"": {"f": echo}},
            {"a/b": {"f": echo}},
            {"a": {"": echo}},
            {"a": {"f/g": echo}},
            {"a": {"f\n": echo}},
            {"a": {"f": 1}},
            {"a": 1},
            {1: {"f": echo}},
            "a.module",
            None,
        ]
        for item in wrong:
            self.assertRaises(ConfigurationError, Functions, [item])

    def test_names_are_listed_by_prefix(self) -> None:
        functions = Functions([{"a": {"f": echo, "g": echo}, "b": {"f": echo}}])
        self.assertEqual(functions.names("a"), ["a/f", "a/g"])
        self.assertEqual(functions.names(), ["a/f", "a/g", "b/f"])


class WhereTests(SynchronousTestCase):
    """Functions that may block go to a worker, the others run on the reactor."""

    def on_reactor(self, function: Any) -> bool:
        found = Functions([{"n": {"f": function}}]).find("n/f")
        assert found is not None
        return found.on_reactor

    def test_a_plain_function_runs_in_a_worker(self) -> None:
        self.assertFalse(self.on_reactor(echo))
        self.assertFalse(self.on_reactor(len))

    def test_async_functions_and_objects_run_on_the_reactor(self) -> None:
        async def later() -> None: ...

        class Later:
            async def __call__(self) -> None: ...

        self.assertTrue(self.on_reactor(later))
        self.assertTrue(self.on_reactor(Later()))

    def test_a_nonblocking_function_runs_on_the_reactor(self) -> None:
        @nonblocking
        def soon() -> Deferred[int]:
            return succeed(1)

        self.assertTrue(self.on_reactor(soon))
        self.assertTrue(self.on_reactor(nonblocking(len)))
        self.assertEqual(nonblocking(len)("abc"), 3)

    def test_a_whole_module_or_map_can_be_nonblocking(self) -> None:
        functions = Functions([nonblocking(module("def f(): pass")), nonblocking({"m": {"g": echo}})])
        self.assertTrue(all(function.on_reactor for function in functions))


class MetadataTests(SynchronousTestCase):
    """Inspection shows name, doc and arglists in Clojure's shape."""

    def metadata(self, function: Any) -> dict[Keyword, Any]:
        found = Functions([{"n": {"f-1": function}}]).find("n/f-1")
        assert found is not None
        return found.metadata

    def arglists(self, function: Any) -> list[list[str]]:
        return [
            [str(symbol) for symbol in arglist] for arglist in self.metadata(function)[Keyword("arglists")]
        ]

    def test_a_function_has_name_doc_and_one_arglist_per_number_of_arguments(self) -> None:
        self.assertEqual(
            self.metadata(echo),
            {
                Keyword("name"): Symbol("f-1"),
                Keyword("doc"): "Give back what came.",
                Keyword("arglists"): List([[Symbol("x")], [Symbol("x"), Symbol("y")]]),
            },
        )

    def test_rest_arguments_follow_an_ampersand_and_underscores_become_dashes(self) -> None:
        def many(first_one: int, *the_rest: int, key: int = 0) -> None: ...

        self.assertEqual(self.arglists(many), [["first-one", "&", "the-rest"]])
        self.assertEqual(self.arglists(lambda: None), [[]])

    def test_what_is_unknown_is_absent(self) -> None:
        self.assertEqual(self.metadata(dict.fromkeys).get(Keyword("name")), Symbol("f-1"))
        undocumented = self.metadata(lambda: None)
        self.assertNotIn(Keyword("doc"), undocumented)
        self.assertNotIn(Keyword("arglists"), self.metadata(vars))
