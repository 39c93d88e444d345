"""The documentation's tables of values are true."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.content.tables import DOCS, PAGES, filled, table


class TableTests(SynchronousTestCase):
    """``tests.content.tables``."""

    def test_pages_show_what_the_content_types_do(self) -> None:
        """Each table in them is as the code makes it."""
        for page in PAGES:
            written = (DOCS / page).read_text("utf-8")
            self.assertEqual(written, filled(page, written), "run python -m tests.content.tables")

    def test_a_page_without_a_place_for_its_table(self) -> None:
        """It is told, rather than left without."""
        error = self.assertRaises(AssertionError, filled, "reference/values.rst", "nothing")
        self.assertIn("no place for the table", str(error))

    def test_columns_are_as_wide_as_their_widest_cell(self) -> None:
        """As reStructuredText wants it."""
        self.assertEqual(table(["a", "bb"], [["ccc", "d"]]), "===  ==\na    bb\n===  ==\nccc  d\n===  ==")
