"""How Sphinx builds these pages; nothing here needs the network."""

from slacker._version import VERSION

project = "txslacker"
author = "The txslacker developers"
copyright = author  # Sphinx wants this name
release = version = VERSION
extensions = ["sphinx.ext.autodoc"]
autodoc_mock_imports = ["crochet"]  # of which nothing is shown
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Slacker for Python, on Twisted", "page_width": "72em"}
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
