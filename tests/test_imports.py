"""Who may import whom, what importing loads, and which names are public."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "slacker"

#: What everybody may import.
COMMON = {"errors", "address", "_version"}
#: Room → the other rooms it may import besides. A room is the first name below ``slacker``.
ALLOWED = {
    "errors": {"cluster"},  # for types only: see TYPES_ONLY
    "address": set(),
    "_version": set(),
    "wire": set(),
    "content": set(),
    "interceptors": {"content"},
    "tls": set(),
    "outgoing": {"tls"},
    "server": {"wire", "content", "interceptors", "tls", "outgoing"},
    "client": {"wire", "content", "interceptors", "tls", "outgoing"},
    "zookeeper": set(),
    "cluster": {"server", "client", "zookeeper", "wire", "content", "interceptors"},
    "": {"server", "client", "cluster"},  # slacker/__init__.py
}
TOP = {"tap", "cli", "testing"}
TYPES_ONLY = {("errors", "cluster")}
#: Library → the only places that may import it.
LIBRARIES = {
    "kazoo": ["zookeeper/"],
    "msgpack": ["content/msgpack.py", "content/transit/"],
}
NO_TWISTED = {"errors", "address", "_version", "wire", "content"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each module a file imports, and whether only for types. ``from slacker import x`` is ``slacker.x``."""
    tree = ast.parse(path.read_text("utf-8"))
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in guarded
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            if node.module == "slacker":
                for alias in node.names:
                    yield f"slacker.{alias.name}", id(node) in guarded
            else:
                yield node.module, id(node) in guarded


def room(relative: Path) -> str:
    first = relative.parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


class ImportDirectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.files = sorted(PACKAGE.rglob("*.py"))
        self.assertGreater(len(self.files), 20)

    def test_each_room_imports_only_the_rooms_below_it(self) -> None:
        wrong = []
        for path in self.files:
            here = room(path.relative_to(PACKAGE))
            if here in TOP:
                continue
            self.assertIn(here, ALLOWED, f"{path} is in a room that the table does not know")
            for name, for_types in imports(path):
                parts = name.split(".")
                if parts[0] != "slacker" or len(parts) == 1 or parts[1] == here:
                    continue
                there = parts[1]
                ok = there in COMMON or there in ALLOWED[here]
                if not ok or ((here, there) in TYPES_ONLY and not for_types):
                    wrong.append(f"{path.relative_to(ROOT)} imports {name}")
        self.assertEqual(wrong, [])

    def test_nobody_imports_what_stands_on_top(self) -> None:
        wrong = [
            f"{path.relative_to(ROOT)} imports {name}"
            for path in self.files
            if room(path.relative_to(PACKAGE)) not in TOP
            for name, _ in imports(path)
            if name.startswith("slacker.") and name.split(".")[1] in TOP
        ]
        self.assertEqual(wrong, [])

    def test_each_library_has_its_only_place(self) -> None:
        wrong = [
            f"{path.relative_to(ROOT)} imports {name}"
            for path in self.files
            for name, _ in imports(path)
            for library, places in LIBRARIES.items()
            if name.split(".")[0] == library
            and not any(path.relative_to(PACKAGE).as_posix().startswith(place) for place in places)
        ]
        self.assertEqual(wrong, [])

    def test_wire_and_content_know_no_twisted(self) -> None:
        wrong = [
            f"{path.relative_to(ROOT)} imports {name}"
            for path in self.files
            if room(path.relative_to(PACKAGE)) in NO_TWISTED
            for name, _ in imports(path)
            if name.split(".")[0] == "twisted"
        ]
        self.assertEqual(wrong, [])


class LoadingTests(SynchronousTestCase):
    def test_importing_slacker_installs_no_reactor(self) -> None:
        modules = [
            ".".join(("slacker", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
            for path in sorted(PACKAGE.rglob("*.py"))
        ]
        program = (
            "import sys\n"
            + "".join(f"import {name}\n" for name in modules)
            + "assert 'twisted.internet.reactor' not in sys.modules\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 0)

    def test_the_twistd_plugin_loads_nothing_of_slacker(self) -> None:
        program = (
            "import sys, twisted.plugins.slacker_plugin\n"
            "heavy = ('slacker', 'kazoo', 'msgpack')\n"
            "print(*sorted(name for name in sys.modules if name.split('.')[0] in heavy))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.stdout.strip(), done.stderr), ("", ""))


class PublicNamesTests(SynchronousTestCase):
    def test_slacker_has_these_names_and_no_other(self) -> None:
        import slacker

        self.assertEqual(
            sorted(slacker.__all__),
            [
                "AccessDenied",
                "BacklogOverflow",
                "CallError",
                "CallTimeout",
                "Canceled",
                "Client",
                "ClusterClient",
                "ClusterError",
                "ClusterServer",
                "ConfigurationError",
                "ConnectionLost",
                "ContentError",
                "FunctionNotFound",
                "NotSent",
                "PeerProtocolError",
                "ProtocolError",
                "RemoteError",
                "ServerBusy",
                "SlackerError",
                "SlackerServer",
                "Unavailable",
                "ZookeeperError",
                "__version__",
            ],
        )
        self.assertEqual([name for name in slacker.__all__ if not hasattr(slacker, name)], [])
