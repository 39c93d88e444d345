"""Which paths ZooKeeper accepts (``PathUtils.validatePath``)."""

from __future__ import annotations

import re

from slacker.zookeeper.embedded.codes import Code, OperationRefused

# Java sees text as UTF-16, so a character outside the basic plane is two surrogates to it, and refused as
# they are.
_BAD_CHARACTER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\U0010ffff]")
_BAD_NAME = re.compile(r"//|/\.{1,2}(?:/|\Z)")


def check_path(path: str) -> None:
    """Pass a path a node may have.

    :raises OperationRefused: BAD_ARGUMENTS, with the reason.
    """
    if not path.startswith("/"):
        raise OperationRefused(Code.BAD_ARGUMENTS, f"the path {path!r} does not begin with a slash")
    if path == "/":
        return
    if path.endswith("/"):
        raise OperationRefused(Code.BAD_ARGUMENTS, f"the path {path!r} ends with a slash")
    bad = _BAD_NAME.search(path)
    if bad:
        raise OperationRefused(
            Code.BAD_ARGUMENTS, f"the path {path!r} has an empty name, '.' or '..' at {bad.start()}"
        )
    bad = _BAD_CHARACTER.search(path)
    if bad:
        raise OperationRefused(
            Code.BAD_ARGUMENTS, f"the path {path!r} has a character at {bad.start()} that ZooKeeper refuses"
        )


def parent_of(path: str) -> str:
    """The path of the node above; "/" is its own."""
    return path.rpartition("/")[0] or "/"
