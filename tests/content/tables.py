"""The documentation's tables of what becomes of values; ``python -m tests.content.tables`` writes them.

They are made from what the content types do and from the bytes of the real Clojure implementation, and a test
compares the pages with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from pathlib import Path
from typing import Any
from uuid import UUID

from slacker.content import dumps, loads
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged, Unreadable
from slacker.errors import ContentError
from tests.content.vectors import VALUES, entries, is_of, shape

DOCS = Path(__file__).parents[2] / "docs"

_NAMES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (Char, Keyword, List, Map, Symbol, Tagged, Unreadable)},
    **{kind.__name__: kind for kind in (Decimal, Fraction, UUID, date, datetime, timedelta)},
    "utc": timezone.utc,
}

#: What stands in the first column; evaluated, it is what is written and read.
_PYTHON = """
None
True
5
2**53
2**63
1.5
-0.0
float("inf")
float("nan")
Decimal("1.50")
Fraction(1, 3)
"text"
b"\\x00\\xff"
Keyword("a/b")
Symbol("a")
Char("x")
[1, "a"]
(1, "a")
List([1, 2])
{"a": 1}
{Keyword("a"): 1}
{1: 2, None: 3}
{(1, 2): 3}
frozenset([1])
{1}
datetime(2026, 1, 2, 12, tzinfo=utc)
datetime(2026, 1, 2, 12, 0, 0, 1500, utc)
UUID(int=1)
Tagged("app/point", [1, 2])
Tagged("uri", "http://a.b/")
Tagged("inst", "2026")
Tagged("set", [1])
""".strip().splitlines()

#: What no content type carries.
_REFUSED = """
datetime(2026, 1, 2)
date(2026, 1, 2)
timedelta(1)
range(3)
"half a pair: \\ud83d"
Unreadable("java.net.URL")
object()
""".strip().splitlines()

_TYPES = ("clj", "json", "nippy", "transit-json", "transit-msgpack", "msgpack")
_TEXTS = ("clj", "json", "transit-json")
_BYTES = ("nippy", "transit-msgpack", "msgpack")


def _evaluate(text: str) -> Any:
    return eval(text, _NAMES)


def _code(text: str) -> str:
    return f"``{text}``"


def _shown(value: object) -> str:
    """``value`` as the first column would have it."""
    if isinstance(value, float):
        return repr(value) if isfinite(value) else f'float("{value}")'
    if isinstance(value, datetime):
        moment = repr(value).removeprefix("datetime.")
        return moment.replace("tzinfo=datetime.timezone.utc", "tzinfo=utc")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple, frozenset)):
        inner = ", ".join(map(_shown, value))
        return {List: f"List([{inner}])", list: f"[{inner}]", frozenset: f"frozenset([{inner}])"}[type(value)]
    if isinstance(value, Tagged):
        return f"Tagged({_shown(value.tag)}, {_shown(value.value)})"
    if isinstance(value, Unreadable):
        detail = "" if value.detail is None else f", {_shown(value.detail)}"
        return f"Unreadable({_shown(value.class_name)}{detail})"
    return repr(value).replace("'", '"')


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A simple table of reStructuredText."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    written = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([rule, written[0], rule, *written[1:], rule])


def _written(names: Sequence[str], show: Callable[[bytes], str]) -> str:
    def cell(name: str, value: object) -> str:
        try:
            return _code(show(dumps(name, value)))
        except ContentError:
            return "refused"

    rows = [[_code(text), *[cell(name, _evaluate(text)) for name in names]] for text in _PYTHON]
    return table(["Python", *names], rows)


def text() -> str:
    """What the content types write that are text."""
    return _written(_TEXTS, bytes.decode)


def octets() -> str:
    """What the others write."""
    return _written(_BYTES, bytes.hex)


def back() -> str:
    """What comes back of each value."""

    def cell(name: str, text: str) -> str:
        value = _evaluate(text)
        try:
            read = loads(name, dumps(name, value))
        except ContentError:
            return "refused"
        return "the same" if shape(read) == shape(value) else _code(_shown(read))

    return table(
        ["Python", *_TYPES], [[_code(text), *[cell(name, text) for name in _TYPES]] for text in _PYTHON]
    )


def refused() -> str:
    """What none of them writes, and what they say."""

    def reason(text: str) -> str:
        messages = set()
        for name in _TYPES:
            try:
                dumps(name, _evaluate(text))
            except ContentError as error:
                messages.add(str(error).partition(": it ")[2])
        (message,) = messages
        return message

    return table(["Python", "it …"], [[_code(text), reason(text)] for text in _REFUSED])


#: What a Clojure peer sends, by the name of the entry in the vectors.
_CLOJURE = """
one bigint-2^63 java-int-5 double-0.1 java-float-1.5 double-nan ratio--22/7 bigdec-1.50M
str-hello char-a kw-dotted sym-plus vec-2 list-3 range-5 queue map-int-keys sorted-map set-1 map-entry
date-now sql-timestamp instant duration int-array bytes-empty regex java-arraylist stacktrace-element
url deftype
"""

_FILES = {
    "clj": "edn",
    "json": "json",
    "nippy": "nippy",
    "transit-json": "transit_json",
    "transit-msgpack": "transit_msgpack",
}


def from_clojure() -> str:
    """What Python reads of what a Clojure peer wrote."""
    files = {name: entries(file) for name, file in _FILES.items()}

    def cell(name: str, entry: str) -> str:
        fields = files[name][entry]
        if "hex" not in fields:
            return "not sent"
        try:
            return _code(_shown(loads(name, bytes.fromhex(fields["hex"]))))
        except ContentError:
            return "unreadable"

    def row(entry: str) -> list[str]:
        fields = files["nippy"][entry]
        kind = "(a deftype)" if entry == "deftype" else fields["class"]
        transit = {cell(name, entry) for name in ("transit-json", "transit-msgpack")}
        (both,) = transit
        return [_code(kind), *[cell(name, entry) for name in ("clj", "json", "nippy")], both]

    return table(["Clojure", "clj", "json", "nippy", "transit, both"], map(row, _CLOJURE.split()))


_TO_CLOJURE = """
true one bigint-2^63 double-0.1 double-nan ratio--22/7 bigdec-1.50M str-hello char-a kw-dotted sym-plus
vec-2 list-3 map-int-keys set-1 date-now
"""


def to_clojure() -> str:
    """What a Clojure peer reads of what Python wrote, where its own bytes are the same."""
    files = {name: entries(file) for name, file in _FILES.items()}

    def cell(name: str, entry: str) -> str:
        fields = files[name][entry]
        data = dumps(name, VALUES[entry])
        if is_of(fields, data) or fields["hex"].endswith(data.hex()):  # behind metadata
            return _code(fields["back_class"])
        raise AssertionError(f"{name} writes {entry} in bytes of its own")

    names = ("clj", "nippy", "transit-json")
    return table(
        ["Python", *names],
        [
            [_code(_shown(VALUES[entry])), *[cell(name, entry) for name in names]]
            for entry in _TO_CLOJURE.split()
        ],
    )


#: By page, the tables in it.
PAGES: dict[str, list[Callable[[], str]]] = {
    "reference/values.rst": [text, octets, back, refused],
    "howto/clojure.rst": [from_clojure, to_clojure],
}


def filled(page: str, written: str) -> str:
    """The text of a page with its tables as they should be."""
    for make in PAGES[page]:
        begin, end = f".. begin {make.__name__}\n", f".. end {make.__name__}\n"
        before, _, rest = written.partition(begin)
        _old, found, after = rest.partition(end)
        assert found, f"{page} has no place for the table {make.__name__}"
        written = f"{before}{begin}\n{make()}\n\n{end}{after}"
    return written


def main() -> None:
    """Writes the tables into their pages."""
    for page in PAGES:
        path = DOCS / page
        path.write_text(filled(page, path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
