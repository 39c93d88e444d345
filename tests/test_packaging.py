"""What is installed: the package with its type marker, and the twistd commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

ROOT = Path(__file__).resolve().parents[1]
_BUILD = """\
import sys
from setuptools import build_meta
print("built:" + getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""


def build(kind: str, source: Path, target: Path) -> Path:
    """Run a hook of setuptools' build backend in ``source``, as pip does."""
    target.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, kind, str(target)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.rpartition("built:")[2].strip()


class PackagingTests(SynchronousTestCase):
    def setUp(self) -> None:
        if int(version("setuptools").split(".")[0]) < 77:
            raise SkipTest("building needs setuptools 77; make test installs it")
        # A copy, because building leaves files behind.
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.source = self.folder / "source"
        self.source.mkdir()
        for name in ("pyproject.toml", "setup.py", "README.rst", "LICENSE"):
            shutil.copy(ROOT / name, self.source)
        for name in ("slacker", "twisted", "tests", "examples", "benchmarks"):
            shutil.copytree(ROOT / name, self.source / name, ignore=shutil.ignore_patterns("__pycache__"))

    def help_of_twistd(self, *path: Path) -> str:
        """What ``twistd --help`` says with only this before the installed packages on the path."""
        program = (
            f"import sys; sys.path[:0] = {[str(p) for p in path]!r}\n"
            f"sys.path[:] = [p for p in sys.path if p not in ('', {str(ROOT)!r})]\n"
            "sys.argv[1:] = ['--help']\n"
            "from twisted.scripts.twistd import run\nrun()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=self.folder, capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_wheel_has_the_package_its_type_marker_and_the_twistd_commands(self) -> None:
        wheel = build("build_wheel", self.source, self.folder / "wheel")
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            archive.extractall(self.folder / "installed")
        for name in ("slacker/__init__.py", "slacker/py.typed", "twisted/plugins/slacker_plugin.py"):
            self.assertIn(name, names)
        strangers = {
            name
            for name in names
            if not name.startswith(("slacker/", "twisted/plugins/slacker_plugin", "txslacker-"))
        }
        self.assertEqual(strangers, set())
        printed = self.help_of_twistd(self.folder / "installed")
        self.assertIn("slacker ", printed)
        self.assertIn("slacker-zookeeper", printed)

    def test_an_editable_install_has_the_twistd_commands_too(self) -> None:
        wheel = build("build_editable", self.source, self.folder / "wheel")
        with zipfile.ZipFile(wheel) as archive:
            links = [archive.read(name).decode() for name in archive.namelist() if name.endswith(".pth")]
        # One line: the folder itself. Anything cleverer hides twisted/plugins from twistd.
        self.assertEqual([link.strip() for link in links], [str(self.source)])
        self.assertIn("slacker-zookeeper", self.help_of_twistd(*(Path(link.strip()) for link in links)))
