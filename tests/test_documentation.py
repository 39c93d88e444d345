"""Every code block of README.rst and docs/ is run, as it stands there.

The blocks of one page are one story, in one folder, in their order:

- a Python block whose first line is a comment with a file's name is that file; any other is run as a program;
- in a console block, ``$ twistd …`` or ``$ … &`` starts a process that runs until the page ends, and the next
  command is run when it listens (and is published, with ``--cluster``); ``$ make …`` has to be a target of
  the Makefile, and any other command has to succeed and to print what stands below it (``...`` for any text);
- the ports 2104 to 2109 are replaced by free ones, as consecutive as these, and 2181 by another,
  everywhere in the page;
- blocks of text and other languages are for reading. A block without a language is an error.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.integration.processes import ROOT, Child, free_ports, until

PAGES = [ROOT / "README.rst", ROOT / "examples" / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
READ_ONLY = {"text", "clojure", "rst"}
PORTS = ["2104", "2105", "2106", "2107", "2108", "2109", "2181"]
_PORT = re.compile(rf"(?<!\d)({'|'.join(PORTS)})(?!\d)")


class _Sphinx(Directive):
    """A directive that only Sphinx knows, and that holds no code."""

    optional_arguments = 1000
    has_content = True
    option_spec = None

    def run(self) -> list[nodes.Node]:
        return []


for _name in ("toctree", "automodule", "currentmodule", "autoclass", "autofunction", "autoexception"):
    directives.register_directive(_name, _Sphinx)


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each code block."""
    tree = publish_doctree(
        path.read_text("utf-8"),
        source_path=str(path),
        settings_overrides={"report_level": 5, "halt_level": 5},
    )
    for block in tree.findall(nodes.literal_block):
        classes = [name for name in block["classes"] if name != "code"]
        yield (classes[0] if "code" in block["classes"] and classes else ""), block.astext()


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block and the output shown below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = command[:-1] + more
        yield command.strip(), output.strip()


def matches(shown: str, printed: str) -> bool:
    pattern = ".*?".join(re.escape(piece) for piece in shown.split("..."))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


class Story:
    """The blocks of one page, being run in a folder."""

    def __init__(self, test: TestCase, folder: Path) -> None:
        self._test = test
        self._folder = folder
        # In the same order, because what a page sorts by address stays sorted.
        first = free_ports(test, len(PORTS))
        self._ports = {port: str(first + index) for index, port in enumerate(PORTS)}
        self._programs = 0

    def translated(self, text: str) -> str:
        """The text with this run's ports."""
        return _PORT.sub(lambda found: self._ports[found[0]], text)

    async def run(self, language: str, text: str) -> None:
        text = self.translated(text)
        if language == "python":
            await self._python(text)
        elif language == "console":
            for command, output in commands(text):
                await self._command(command, output)
        elif language not in READ_ONLY:
            raise AssertionError(
                f"a code block needs a language of {{python, console}} or {READ_ONLY}:\n{text}"
            )

    async def _python(self, text: str) -> None:
        named = re.match(r"# (\S+\.py)\n", text)
        name = named[1] if named else f"program{self._programs}.py"
        (self._folder / name).write_text(text + "\n")
        if not named:
            self._programs += 1
            await self._finished(self._start([sys.executable, name]), text)

    async def _command(self, command: str, output: str) -> None:
        words = shlex.split(command, comments=True)
        program = words[0]
        if program == "make":
            makefile = (ROOT / "Makefile").read_text("utf-8")
            for target in words[1:]:
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), (
                    f"the Makefile has no target {target}"
                )
            return
        in_background = words[-1] == "&"
        child = self._start([self._found(program), *words[1 : -1 if in_background else None]])
        if program == "twistd" or in_background:
            for word in words:
                if listening := re.match(r"tcp:(\d+)", word):
                    await until(partial(self._answers, child, int(listening[1])), f"{command} to listen")
            if "--cluster" in words:
                await child.printed(" is published in ")
            return
        await self._finished(child, command)
        if output:
            assert matches(output, child.output), (
                f"{command} printed\n{child.output}\nwhere the page shows\n{output}"
            )

    def _found(self, program: str) -> str:
        return sys.executable if program == "python" else str(Path(sys.executable).with_name(program))

    def _start(self, arguments: list[str]) -> Child:
        child = Child.start(arguments, cwd=self._folder)
        self._test.addCleanup(child.clean_up)
        return child

    async def _finished(self, child: Child, what: str) -> None:
        status = await child.ended()
        assert status == 0, f"{what}\nended with {status}:\n{child.output}"

    async def _answers(self, child: Child, port: int) -> bool:
        from twisted.internet import reactor

        assert child.running, f"it ended with {child.status}:\n{child.output}"
        try:
            protocol = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(
                Factory.forProtocol(_Look)
            )
        except Exception:  # nobody there yet
            return False
        await protocol.gone  # type: ignore[attr-defined]  # it is a _Look
        return True


class _Look(Protocol):
    """Connects, and closes again."""

    def connectionMade(self) -> None:
        self.gone: Deferred[None] = Deferred()
        assert self.transport is not None
        self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.gone.callback(None)


class DocumentationTests(TestCase):
    """One test for each page, added below."""


def _new_folder(test: TestCase) -> Path:
    folder = Path(test.mktemp()).resolve()
    folder.mkdir()
    return folder


def _page_test(path: Path) -> Callable[[DocumentationTests], Any]:
    async def test(self: DocumentationTests) -> None:
        story = Story(self, ROOT if path.parent.name == "examples" else _new_folder(self))
        for language, text in blocks(path):
            await story.run(language, text)

    test.__doc__ = f"The code of {path.relative_to(ROOT)} does what the page says."
    return test


for _path in PAGES:
    _test = "test_" + re.sub(r"\W", "_", str(_path.relative_to(ROOT).with_suffix("")))
    setattr(DocumentationTests, _test, _page_test(_path))


class SchemeTests(SynchronousTestCase):
    def test_blocks_come_with_their_language(self) -> None:
        page = Path(self.mktemp())
        page.write_text(
            ".. code-block:: python\n\n   1\n\n.. code-block:: console\n\n   $ a\n   b\n\nx::\n\n   y\n"
        )
        self.assertEqual(list(blocks(page)), [("python", "1"), ("console", "$ a\nb"), ("", "y")])

    def test_commands_come_with_their_output(self) -> None:
        self.assertEqual(
            list(commands("$ one \\\n   more\n$ two\nsays\nthis\n")),
            [("one    more", ""), ("two", "says\nthis")],
        )

    def test_dots_stand_for_any_text(self) -> None:
        self.assertTrue(matches("a ... c", "a b\nb c\n"))
        self.assertFalse(matches("a ... c", "a b"))
        self.assertFalse(matches("a", "a b"))

    def test_every_page_is_there(self) -> None:
        self.assertGreater(len(PAGES), 5)
        for path in PAGES:
            self.assertTrue(path.exists(), path)
