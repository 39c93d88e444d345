"""The command line of ``twistd slacker``: what it reads, and what it says to what it cannot read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker import tap, tap_zookeeper
from slacker.content.values import Keyword
from slacker.errors import ConfigurationError
from slacker.tap import Options, parse_zk, resolve_exposure

ENOUGH = ["--expose", "statistics", "--listen", "tcp:0"]
CLUSTER = ["--cluster", "c", "--zk", "127.0.0.1:2181"]


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


class OptionsTests(SynchronousTestCase):
    def test_everything_has_its_place(self) -> None:
        options = parsed(
            *["--expose", "json", "--expose", "stats=statistics"],
            *["--listen", "tcp:2104", "--listen", "tcp:2105:interface=127.0.0.1"],
            *["--cluster", "example", "--zk", "h1:2181,h2:2181/root", "--zk-root", "/r"],
            *["--zk-session-timeout", "7.5", "--zk-wait", "3", "--node", "10.0.0.1:9"],
            *["--server-data", "{:weight 3}", "--threads", "4", "--queue-size", "0"],
        )
        self.assertEqual(options["expose"], [json, {"stats": statistics}])
        self.assertEqual(options["listen"], ["tcp:2104", "tcp:2105:interface=127.0.0.1"])
        self.assertEqual(
            [options[name] for name in ("cluster", "zk", "zk-root", "node")],
            ["example", "h1:2181,h2:2181/root", "/r", "10.0.0.1:9"],
        )
        self.assertEqual((options["zk-session-timeout"], options["zk-wait"]), (7.5, 3.0))
        self.assertEqual(options["server_data"], {Keyword("weight"): 3})
        self.assertEqual((options["threads"], options["queue-size"]), (4, 0))

    def test_the_defaults_are_upstreams(self) -> None:
        options = parsed(*ENOUGH)
        self.assertEqual((options["threads"], options["queue-size"]), (10, 3000))
        self.assertEqual((options["zk-root"], options["zk-session-timeout"]), ("/slacker/cluster", 15.0))
        self.assertIsNone(options["zk-wait"])

    def test_an_embedded_zookeeper_is_asked_for_by_port(self) -> None:
        self.assertEqual(parse_zk("embedded"), 2181)
        self.assertEqual(parse_zk("embedded:0"), 0)
        self.assertEqual(parse_zk("embedded:2999"), 2999)

    def test_each_mistake_is_one_line_that_names_it_and_a_status_that_is_not_zero(self) -> None:
        cases: list[tuple[list[str], str]] = [
            (["--listen", "tcp:0"], "nothing to expose"),
            (["--expose", "json"], "nowhere to listen"),
            ([*ENOUGH, "--nonsense"], "nonsense"),
            ([*ENOUGH, "--cluster", "c"], "--cluster and --zk go together"),
            ([*ENOUGH, "--zk", "127.0.0.1:2181"], "--cluster and --zk go together"),
            ([*ENOUGH, "--zk-wait", "3"], "--zk-wait is for members of a cluster"),
            ([*ENOUGH, "--server-data", "1"], "--server-data is for members of a cluster"),
            ([*ENOUGH, "--node", "h"], "--node is for members of a cluster"),
            ([*ENOUGH, *CLUSTER, "--zk", "nowhere"], "--zk 'nowhere'"),
            ([*ENOUGH, *CLUSTER, "--zk", "h:2181/"], "--zk 'h:2181/'"),
            ([*ENOUGH, *CLUSTER, "--zk", "embedded:x"], "--zk 'embedded:x'"),
            ([*ENOUGH, *CLUSTER, "--server-data", "{:a"], "--server-data '{:a'"),
            ([*ENOUGH, *CLUSTER, "--zk-session-timeout", "soon"], "--zk-session-timeout 'soon'"),
            ([*ENOUGH, *CLUSTER, "--zk-wait", "nan"], "--zk-wait 'nan'"),
            ([*ENOUGH, "--threads", "0"], "--threads '0'"),
            ([*ENOUGH, "--queue-size", "-1"], "--queue-size '-1'"),
            (["--expose", "no.such.module", "--listen", "tcp:0"], "no module 'no'"),
        ]
        for arguments, expected in cases:
            message = self.refused(Options(), arguments)
            self.assertIn(expected, message)
            self.assertTrue(message.startswith("twistd slacker: "), message)

    def test_the_zookeeper_command_does_so_too(self) -> None:
        message = self.refused(tap_zookeeper.Options(), ["--port", "1"])
        self.assertTrue(message.startswith("twistd slacker-zookeeper: "), message)

    def refused(self, options: Any, arguments: list[str]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            ending = self.assertRaises(SystemExit, options.parseOptions, arguments)
        self.assertEqual(printed.getvalue(), "")
        message = ending.code
        assert isinstance(message, str), "a text goes to standard error, with status 1"
        self.assertNotIn("\n", message)
        return message

    def test_help_names_every_option(self) -> None:
        text = str(Options())
        for name in [
            *["expose", "listen", "cluster", "zk", "zk-root", "zk-session-timeout", "zk-wait", "node"],
            *["server-data", "threads", "queue-size"],
        ]:
            self.assertIn(f"--{name}=", text)

    def test_two_functions_of_one_name_end_in_one_line(self) -> None:
        ending = self.assertRaises(
            SystemExit, tap.makeService, parsed("--expose", "json", "--expose", "json", "--listen", "tcp:0")
        )
        self.assertIn("two functions meet in the name json/dump", str(ending.code))


class ExposureTests(SynchronousTestCase):
    def module(self, text: str) -> ModuleType:
        """A module of this text, as ``tap_test_module`` in a folder of its own."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "tap_test_module.py").write_text(text)
        self.patch(sys, "path", [str(folder.resolve()), *sys.path])
        self.addCleanup(sys.modules.pop, "tap_test_module", None)
        return ModuleType("unused")

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

    def test_a_syntax_error_is_reported_in_one_line(self) -> None:
        self.module("def f(:")
        error = self.assertRaises(ConfigurationError, resolve_exposure, "tap_test_module")
        self.assertIn("tap_test_module does not load: SyntaxError", str(error))
