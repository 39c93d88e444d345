"""Which paths a node may have."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded.codes import Code, OperationRefused
from slacker.zookeeper.embedded.paths import check_path, parent_of

GOOD = ["/", "/a", "/a/b", "/a b", "/...", "/.a", "/a.", "/a/..b", "/é€", "/\xa0", "/zookeeper"]
BAD = [
    "",
    "a",
    "a/b",
    "//",
    "/a/",
    "/a//b",
    "/.",
    "/..",
    "/./a",
    "/../a",
    "/a/.",
    "/a/..",
    "/a/./b",
    "/a/../b",
]
BAD += [
    "/\0",
    "/a\n",
    "/\x1f",
    "/\x7f",
    "/\x9f",
    "/\ud800",
    "/\ue000",
    "/\uf8ff",
    "/\ufff0",
    "/\uffff",
    "/\U0001f600",
]


class PathTests(SynchronousTestCase):
    def test_good_paths_pass(self) -> None:
        for path in GOOD:
            check_path(path)

    def test_bad_paths_are_bad_arguments_and_the_message_shows_them(self) -> None:
        for path in BAD:
            refused = self.assertRaises(OperationRefused, check_path, path)
            self.assertIs(refused.code, Code.BAD_ARGUMENTS)
            self.assertIn(repr(path), str(refused))

    def test_the_parent_is_one_name_shorter(self) -> None:
        self.assertEqual([parent_of(path) for path in ("/a/b/c", "/a", "/")], ["/a/b", "/", "/"])
