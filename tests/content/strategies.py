"""Values that EDN can carry, for property tests."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from hypothesis import strategies as st

from slacker.content.values import Char, Keyword, List, Symbol, Tagged, freeze
from slacker.errors import ContentError

_names = st.from_regex(
    r"[a-z*+!_?<>=-][a-z0-9*+!_?<>=#'.-]{0,6}(/[a-z?!*][a-z0-9?!*.]{0,4})?", fullmatch=True
).filter(lambda text: text not in ("nil", "true", "false") and re.match(r"[+-]\d", text) is None)
# With a namespace, as EDN has it for tags of users: none means something of its own in a content type.
_tags = st.from_regex(r"[a-z][a-z0-9*+!_?-]{0,3}/[a-z][a-z0-9.]{0,3}", fullmatch=True)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_characters = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
_times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(timezone.utc))

atoms: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-100, 100),
    st.floats(allow_nan=False),
    _text,
    st.builds(Keyword, _names),
    st.builds(Symbol, _names),
    st.builds(Char, _characters),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.fractions().filter(lambda ratio: ratio.denominator != 1),
    _times,
    st.uuids(),
)


def _hashable(value: Any) -> bool:
    try:
        freeze(value)
    except ContentError:  # a map with keys that are equal once they are hashable
        return False
    return True


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = inner.filter(_hashable).map(freeze)
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(List),
        st.dictionaries(keys, inner, max_size=4),
        st.frozensets(keys, max_size=4),
        st.builds(Tagged, _tags, inner),
    )


#: Anything that all content types but JSON carry and give back as it was.
values: st.SearchStrategy[Any] = st.deferred(lambda: st.recursive(atoms, _containers, max_leaves=12))
