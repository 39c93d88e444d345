"""Who wants to hear of what.

Pure, and indifferent to what a watcher is: any hashable object; the server uses connections.

A watch of reads is gone once it fired; an added one (persistent, or persistent and recursive) stays. Real
servers before 3.9 let a read's watch replace an added one on the same path; here, as in 3.9, both live side
by side, and a watcher hears of one event once.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Generic, TypeVar

from slacker.zookeeper.embedded.codes import Event
from slacker.zookeeper.embedded.paths import parent_of

W = TypeVar("W")

# About 500 bytes each: 100 MB at worst. kazoo and Curator set one or two per node they follow.
MAX_WATCHES = 200_000


class Kind(IntEnum):
    """The kinds of watches, numbered as ``removeWatches`` numbers them; it calls :data:`ANY` by 3."""

    CHILDREN = 1
    DATA = 2
    PERSISTENT = 4
    RECURSIVE = 5


ANY = 3

_DATA_KINDS = (Kind.DATA, Kind.PERSISTENT)
_CHILD_KINDS = (Kind.CHILDREN, Kind.PERSISTENT)
_ALL_KINDS = (Kind.DATA, Kind.CHILDREN, Kind.PERSISTENT)


class WatchTable(Generic[W]):
    """The watches of one server."""

    def __init__(self) -> None:
        # (kind, path) -> watchers in order of arrival; and the way back, for the end of a connection.
        self._watchers: dict[tuple[Kind, str], dict[W, None]] = {}
        self._keys: dict[W, dict[tuple[Kind, str], None]] = {}
        self._count = 0
        self._recursive = 0  # without any, nobody climbs from a changed node to the root

    def __len__(self) -> int:
        return self._count

    def add(self, watcher: W, kind: Kind, path: str) -> None:
        """Watch a path; once more is the same."""
        watchers = self._watchers.setdefault((kind, path), {})
        if watcher not in watchers:
            watchers[watcher] = None
            self._keys.setdefault(watcher, {})[kind, path] = None
            self._count += 1
            self._recursive += kind is Kind.RECURSIVE

    def has(self, watcher: W, kind: int, path: str) -> bool:
        """Whether the watcher has a watch of this kind (or of :data:`ANY`) on this path."""
        return any((one, path) in self._keys.get(watcher, ()) for one in _kinds(kind))

    def remove(self, watcher: W, kind: int, path: str) -> bool:
        """Forget the watches of this kind (or of :data:`ANY`) on this path; whether there was one."""
        found = [(one, path) for one in _kinds(kind) if (one, path) in self._keys.get(watcher, ())]
        for key in found:
            self._discard(watcher, key)
        return bool(found)

    def forget(self, watcher: W) -> None:
        """The watcher is gone."""
        for key in list(self._keys.get(watcher, ())):
            self._discard(watcher, key)

    def fire(self, event: Event, path: str) -> list[tuple[W, Event, str]]:
        """Who must hear of what, in order, when a node was created or deleted or its data changed.

        A creation and a deletion are also a change of the parent's children.
        """
        heard: dict[W, None] = {}
        kinds = _ALL_KINDS if event is Event.DELETED else _DATA_KINDS
        for kind in kinds:
            heard.update(self._take(kind, path))
        if self._recursive:
            at = path
            while True:
                heard.update(self._watchers.get((Kind.RECURSIVE, at), {}))
                if at == "/":
                    break
                at = parent_of(at)
        told = [(watcher, event, path) for watcher in heard]
        if event is not Event.CHANGED:
            parent = parent_of(path)
            heard = {}
            for kind in _CHILD_KINDS:
                heard.update(self._take(kind, parent))
            told.extend((watcher, Event.CHILD, parent) for watcher in heard)
        return told

    def _take(self, kind: Kind, path: str) -> dict[W, None]:
        """The watchers; those that hear only once are forgotten."""
        watchers = self._watchers.get((kind, path), {})
        if kind in (Kind.DATA, Kind.CHILDREN):
            watchers = dict(watchers)
            for watcher in watchers:
                self._discard(watcher, (kind, path))
        return watchers

    def _discard(self, watcher: W, key: tuple[Kind, str]) -> None:
        self._count -= 1
        self._recursive -= key[0] is Kind.RECURSIVE
        watchers, keys = self._watchers[key], self._keys[watcher]
        del watchers[watcher], keys[key]
        if not watchers:
            del self._watchers[key]
        if not keys:
            del self._keys[watcher]


def _kinds(kind: int) -> tuple[Kind, ...]:
    return tuple(Kind) if kind == ANY else (Kind(kind),)
