"""What the documentation shows of the benchmark is what its results say."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import pages, results
from benchmarks.harness import ROOT

PAGE = (ROOT / "docs" / "performance.rst").read_text("utf-8")


class PagesTests(SynchronousTestCase):
    def test_tables_are_made_of_the_results_that_stand_beside_them(self) -> None:
        shown = results.load(results.SHOWN)
        for name, table in pages.TABLES.items():
            self.assertEqual((pages.FOLDER / name).read_text("utf-8"), table(shown), name)

    def test_the_page_shows_all_of_it_and_nothing_else(self) -> None:
        shown = set(re.findall(r"^\.\. (?:include|image):: performance/(\S+)$", PAGE, re.MULTILINE))
        there = {path.name for path in pages.FOLDER.iterdir()} - {results.SHOWN.name}
        self.assertEqual(shown, there)

    def test_a_call_is_made_of_what_the_page_says(self) -> None:
        said = pages.anatomy_words(results.load(results.SHOWN))
        self.assertGreater(said["client"], said["room"])
        self.assertApproximates(said["deferred"], said["floor client"], 0.3 * said["floor client"])

    def test_pictures_are_small_and_know_no_date(self) -> None:
        for path in pages.FOLDER.glob("*.svg"):
            text = path.read_text("utf-8")
            self.assertLess(len(text), 60_000, path.name)
            self.assertIn("<text", text, path.name)
            self.assertNotIn("<dc:date>", text, path.name)
