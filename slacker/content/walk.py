"""Looking through values, level by level, without recursion."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any

from slacker.content.values import Map, Tagged


def elements(value: Any) -> Iterable[Any]:
    """What stands directly inside ``value``; nothing in what is no container."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, (dict, Map)):
        return chain(value, value.values())
    return (value.value,) if isinstance(value, Tagged) else ()


def is_deeper(value: Any, levels: int) -> bool:
    """Whether more than so many containers stand in each other in ``value``, itself among them."""
    level = [value]
    for _ in range(levels + 1):
        level = [element for container in level for element in elements(container)]
        if not level:
            return False
    return True


def measure(value: Any, limit: int) -> tuple[int, int]:
    """How many values and characters ``value`` would be if nothing in it were shared, and how many
    containers stand in each other; neither is counted on when the first is beyond ``limit``.
    """
    size = depth = 0
    level = [value]
    while level and size <= limit:
        size += len(level) + sum([len(text) for text in level if isinstance(text, (str, bytes))])
        depth += 1
        level = list(islice(chain.from_iterable(map(elements, level)), limit + 1))
    return size, depth - 1
