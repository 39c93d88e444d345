"""docs/howto/twistd.rst names every option of ``twistd slacker``, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from slacker.tap.server import Options

PAGE = Path(__file__).resolve().parents[1] / "docs" / "howto" / "twistd.rst"
#: Those of twistd itself that the page speaks of, and those that every command has.
OTHERS = {"pidfile", "help", "version"}


class TwistdPageTests(SynchronousTestCase):
    def test_the_page_has_the_options_that_there_are(self) -> None:
        named = set(re.findall(r"--([a-z][a-z-]*)", PAGE.read_text("utf-8")))
        known = {name.replace("_", "-").rstrip("=") for name in Options().longOpt}
        self.assertEqual(named - OTHERS, known - OTHERS)
