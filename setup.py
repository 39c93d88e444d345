"""Metadata is in pyproject.toml; this file only adds the twistd plugin, which lies outside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["slacker", "slacker.*"]), "twisted.plugins"],
    # With the root named, an editable install puts the whole root on sys.path, so that
    # twisted/plugins (a folder without __init__.py) is found by twistd there, too.
    package_dir={"": "."},
)
