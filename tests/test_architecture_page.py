"""docs/reference/architecture.rst knows every file, and who may import whom as it is held by another test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from docutils.core import publish_doctree
from twisted.trial.unittest import SynchronousTestCase

from tests.test_imports import ALLOWED, COMMON, PACKAGE, ROOT, TOP, TYPES_ONLY

PAGE = ROOT / "docs" / "reference" / "architecture.rst"


def names_of(folder: Path) -> set[str]:
    """The modules and packages in a folder."""
    return {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}


def first(inside: nodes.Element, kind: type[nodes.Element]) -> nodes.Element:
    """The first element of this kind."""
    return next(iter(inside.findall(kind)))


class ArchitecturePageTests(SynchronousTestCase):
    def setUp(self) -> None:
        settings = {"report_level": 5, "halt_level": 5}  # Sphinx's own roles are not known here
        self.page = publish_doctree(PAGE.read_text("utf-8"), settings_overrides=settings)

    def rooms(self) -> Iterator[tuple[str, str]]:
        for row in first(self.page, nodes.tbody).findall(nodes.row):
            room, _, may_import = (cell.astext() for cell in row.findall(nodes.entry))
            yield room, may_import

    def test_every_room_is_in_the_table(self) -> None:
        there = {name for name in names_of(PACKAGE) if not name.startswith("_")}
        self.assertEqual({room for room, _ in self.rooms()}, there)

    def test_rooms_may_import_what_the_table_says(self) -> None:
        for room, may_import in self.rooms():
            if room in TOP:
                self.assertIn("nobody imports it", may_import)
                continue
            allowed = ALLOWED[room] - COMMON - {there for here, there in TYPES_ONLY if here == room}
            self.assertEqual(set(may_import.split(", ")) - {"nothing"}, allowed, room)

    def test_every_file_is_named_in_its_room(self) -> None:
        named = {
            first(item, nodes.term).astext(): {
                literal.astext() for literal in first(item, nodes.definition).findall(nodes.literal)
            }
            for item in self.page.findall(nodes.definition_list_item)
        }
        for room in (path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()):
            self.assertEqual(names_of(PACKAGE / room) - named[room], set(), f"not on the page, in {room}")

    def test_every_file_that_it_names_exists(self) -> None:
        for literal in self.page.findall(nodes.literal):
            room, slash, name = literal.astext().partition("/")
            if slash and (PACKAGE / room).is_dir():
                self.assertIn(name, names_of(PACKAGE / room), literal.astext())
