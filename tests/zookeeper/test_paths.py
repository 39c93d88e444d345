"""What ZooKeeper takes as a path, and what as a connection string."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ConfigurationError
from slacker.zookeeper.errors import BadArgumentsException
from slacker.zookeeper.paths import check_path, name_problem, parse_servers


class PathTests(SynchronousTestCase):
    def test_ordinary_names_are_taken(self) -> None:
        for name in ("a", "slacker.example.api", "127.0.0.1:2104", "set-server-data!", "grüße", "..."):
            self.assertIsNone(name_problem(name), name)

    def test_names_that_zookeeper_refuses_are_refused_with_a_reason(self) -> None:
        bad = (
            "",
            ".",
            "..",
            "a/b",
            "a\x00",
            "a\x1f",
            "a\x7f",
            "a\x9f",
            "\ud800",
            "\uf000",
            "\uffff",
            "\U0001f600",
        )
        for name in bad:
            self.assertIsInstance(name_problem(name), str, repr(name))

    def test_absolute_paths_are_taken(self) -> None:
        for path in ("/", "/a", "/a/b.c"):
            check_path(path)

    def test_other_paths_are_refused(self) -> None:
        for path in ("", "a", "/a/", "//", "/a//b", "/a/./b", "/a/..", "/a\x01"):
            with self.assertRaises(BadArgumentsException, msg=path):
                check_path(path)

    def test_a_sequence_may_have_no_name_of_its_own(self) -> None:
        check_path("/locks/", sequence=True)
        with self.assertRaises(BadArgumentsException):
            check_path("/locks//", sequence=True)


class ServersTests(SynchronousTestCase):
    def test_a_connection_string_is_split_into_addresses_and_chroot(self) -> None:
        for text, expected in {
            "127.0.0.1:2181": (["127.0.0.1:2181"], ""),
            "zk1": (["zk1:2181"], ""),
            "zk1:1, zk2:2 ,zk3": (["zk1:1", "zk2:2", "zk3:2181"], ""),
            "zk1:1,zk2:2/a/b": (["zk1:1", "zk2:2"], "/a/b"),
            "zk1:1/": (["zk1:1"], ""),
            "zk1:1/a/": (["zk1:1"], "/a"),
            "[::1]:2181": (["[::1]:2181"], ""),
            "[::1]/a": (["[::1]:2181"], "/a"),
        }.items():
            self.assertEqual(parse_servers(text), expected, text)

    def test_a_malformed_connection_string_says_which_part_is_wrong(self) -> None:
        for text, part in {
            "": "''",
            "zk1:1,": "''",
            "zk1:port": "zk1:port",
            "zk1:0": "zk1:0",
            "zk1:70000": "zk1:70000",
            "::1": "::1",
            "zk 1:1": "zk 1",
            ("a" * 64) + ":1": "a" * 64,
            "zk1:1/a//b": "chroot",
            "zk1:1/../b": "chroot",
        }.items():
            error = self.assertRaises(ConfigurationError, parse_servers, text)
            self.assertIn(part, str(error))
