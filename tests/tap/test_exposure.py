"""``--expose``: which modules and dictionaries it finds, and what it says of those it cannot take."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ConfigurationError
from slacker.tap.exposure import resolve_exposure


class ExposureTests(SynchronousTestCase):
    def module(self, text: str) -> None:
        """A module of this text, as ``tap_test_module`` in a folder of its own."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "tap_test_module.py").write_text(text)
        self.patch(sys, "path", [str(folder.resolve()), *sys.path])
        self.addCleanup(sys.modules.pop, "tap_test_module", None)

    def test_a_module_is_exposed_under_its_own_name_or_another(self) -> None:
        self.assertIs(resolve_exposure("json"), json)
        self.assertIs(resolve_exposure("xml.sax.saxutils"), sys.modules["xml.sax.saxutils"])
        self.assertEqual(resolve_exposure("other.name=json"), {"other.name": json})

    def test_a_dictionary_of_functions_is_a_namespace(self) -> None:
        self.module("functions = {'length!': len}")
        self.assertEqual(resolve_exposure("tap_test_module:functions"), {"tap_test_module": {"length!": len}})
        self.assertEqual(resolve_exposure("n=tap_test_module:functions"), {"n": {"length!": len}})

    def test_a_dictionary_of_namespaces_is_taken_as_it_is(self) -> None:
        self.module("import json\nall = {'a': {'length': len}, 'b': json}")
        self.assertEqual(resolve_exposure("tap_test_module:all"), {"a": {"length": len}, "b": json})
        error = self.assertRaises(ConfigurationError, resolve_exposure, "n=tap_test_module:all")
        self.assertIn("names already", str(error))

    def test_modules_of_the_current_directory_are_found(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "tap_test_local.py").write_text("def f(): pass")
        self.addCleanup(sys.modules.pop, "tap_test_local", None)
        self.patch(sys, "path", [entry for entry in sys.path if entry])
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(folder)
        module = resolve_exposure("tap_test_local")
        self.assertEqual(getattr(module, "__name__", None), "tap_test_local")

    def test_what_cannot_be_exposed_is_named_with_the_reason(self) -> None:
        self.module("import surely_not_there")
        cases = [
            ("", "should be [name=]package.module[:mapping]"),
            ("=json", "should be [name=]package.module[:mapping]"),
            ("json:", "should be [name=]package.module[:mapping]"),
            ("nowhere_at_all", "there is no module 'nowhere_at_all' here"),
            ("json.nowhere", "there is no module 'json.nowhere' here"),
            ("json:nothing", "module json has no 'nothing'"),
            ("json:dumps", "module json holds no dictionary in 'dumps'"),
            ("tap_test_module", "tap_test_module needs a module: No module named 'surely_not_there'"),
        ]
        for text, expected in cases:
            error = self.assertRaises(ConfigurationError, resolve_exposure, text)
            self.assertIn(expected, str(error))
            self.assertIn(repr(text), str(error))

    def test_a_module_that_raises_while_it_loads_is_reported_in_one_line(self) -> None:
        self.module("raise OSError('first\\nsecond')")
        error = self.assertRaises(ConfigurationError, resolve_exposure, "tap_test_module")
        self.assertIn("tap_test_module does not load: OSError: first second", str(error))

    def test_a_module_that_exits_while_it_loads_is_reported_and_does_not_end_the_process(self) -> None:
        self.module("import sys; sys.exit(3)")
        error = self.assertRaises(ConfigurationError, resolve_exposure, "tap_test_module")
        self.assertIn("tap_test_module exits on import, with 3", str(error))

    def test_a_syntax_error_is_reported_in_one_line(self) -> None:
        self.module("def f(:")
        error = self.assertRaises(ConfigurationError, resolve_exposure, "tap_test_module")
        self.assertIn("tap_test_module does not load: SyntaxError", str(error))
