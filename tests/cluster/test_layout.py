"""Paths and contents, against a dump of the tree of two real servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.cluster.layout import (
    DEFAULT_ROOT,
    Layout,
    function_bytes,
    is_server,
    leader_address,
    leader_bytes,
    server_data_bytes,
    server_data_value,
)
from slacker.content.values import Keyword, List, Symbol
from slacker.errors import ConfigurationError, ContentError

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "zk_tree.json"
API = "slacker.example.api"


def tree() -> dict[str, bytes | None]:
    """Path → data of two real servers."""
    nodes: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["two_servers"]
    return {n["path"]: None if n["data_hex"] is None else bytes.fromhex(n["data_hex"]) for n in nodes}


class PathTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.layout = Layout(DEFAULT_ROOT, "example-cluster")

    def test_every_path_of_the_real_cluster_is_said_here(self) -> None:
        layout, address = self.layout, "127.0.0.1:2401"
        real = tree()
        for path in (
            layout.root,
            layout.servers,
            layout.server(address),
            layout.namespaces,
            layout.namespace(API),
            layout.member(API, address),
            layout.leader(API),
            layout.mutex(API),
            layout.functions(API),
            layout.function(API, "rand-ints"),
            layout.function("slacker.cluster.manager", "set-server-data!"),
        ):
            self.assertIn(path, real)

    def test_the_root_is_written_as_the_user_likes(self) -> None:
        for root, path in {"/": "/c", "/a": "/a/c", "/a/b/": "/a/b/c", "//a": "/a/c"}.items():
            self.assertEqual(Layout(root, "c").root, path)

    def test_names_zookeeper_cannot_hold_are_refused(self) -> None:
        layout = self.layout
        uses: list[Callable[[str], object]] = [
            lambda bad: Layout("/slacker", bad),
            layout.namespace,
            layout.functions,
            lambda bad: layout.function(API, bad),
        ]
        for bad in ("", ".", "..", "a/b", "a\x00", "a\x1f", "\U0001f600"):
            for use in uses:
                error = self.assertRaises(ConfigurationError, use, bad)
                self.assertIn(repr(bad), str(error))

    def test_the_clusters_own_names_are_refused(self) -> None:
        for use in (
            lambda: self.layout.namespace("_leader"),
            lambda: self.layout.member("_x", "h:1"),
            lambda: self.layout.functions("_x"),
            lambda: self.layout.server("_host:1"),
            lambda: self.layout.member(API, "_host:1"),
        ):
            self.assertRaises(ConfigurationError, use)
        self.assertTrue(self.layout.function(API, "_private").endswith("/_private"))
        self.assertFalse(is_server("_leader"))
        self.assertTrue(is_server("127.0.0.1:2401"))

    def test_a_root_that_is_no_path_is_refused(self) -> None:
        for root in ("", "slacker", "/a/../b", "/a\x01"):
            self.assertRaises(ConfigurationError, Layout, root, "c")

    def test_an_address_is_host_and_port(self) -> None:
        self.assertTrue(self.layout.server("[::1]:2104").endswith("/servers/[::1]:2104"))
        for address in ("host", "host:0", "ho/st:1", ":1"):
            self.assertRaises(ConfigurationError, self.layout.server, address)


class ContentTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.layout = Layout(DEFAULT_ROOT, "example-cluster")
        self.tree = tree()

    def test_server_data_are_the_bytes_of_the_real_servers(self) -> None:
        data = {Keyword("weight"): 3, Keyword("label"): Keyword("example")}
        weighted = self.tree[self.layout.server("127.0.0.1:2401")]
        self.assertEqual(server_data_bytes(data), weighted)
        self.assertEqual(server_data_value(weighted), data)
        silent = self.tree[self.layout.server("127.0.0.1:2402")]
        self.assertEqual(server_data_bytes(None), silent)
        self.assertIsNone(server_data_value(silent))
        self.assertIsNone(server_data_value(None))
        self.assertIsNone(server_data_value(b""))

    def test_functions_are_described_in_the_bytes_of_the_real_servers(self) -> None:
        name, doc, arglists = Keyword("name"), Keyword("doc"), Keyword("arglists")
        for function, metadata in {
            "echo": {arglists: List([[Symbol("x")]]), name: Symbol("echo")},
            "get-m": {name: Symbol("get-m"), arglists: List([[]])},
            "rand-ints": {
                Keyword("line"): 12,
                doc: "test collection result",
                arglists: List([[Symbol("n")]]),
                name: Symbol("rand-ints"),
            },
        }.items():
            self.assertEqual(function_bytes(metadata), self.tree[self.layout.function(API, function)])
        unknown = self.tree[self.layout.function("slacker.example.api2", "echo2")]
        self.assertEqual(function_bytes({}), unknown)

    def test_the_leader_is_plain_text(self) -> None:
        leader = self.tree[self.layout.leader(API)]
        self.assertEqual(leader_bytes("127.0.0.1:2401"), leader)
        self.assertEqual(leader_address(leader), "127.0.0.1:2401")
        self.assertEqual(
            [leader_address(None), leader_address(b""), leader_address(b"\xff")], ["", "", "\ufffd"]
        )

    def test_what_is_no_edn_is_our_own_error(self) -> None:
        self.assertRaises(ContentError, server_data_value, b"{:a")
        self.assertRaises(ContentError, server_data_bytes, object())
