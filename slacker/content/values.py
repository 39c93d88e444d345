"""What EDN has and Python lacks: keywords, symbols, characters, lists beside vectors, tagged values.

====================================  ==========================================================
on the wire                           in Python
====================================  ==========================================================
nil, booleans, integers, floats       None, bool, int, float
string                                str
keyword, symbol, character            :class:`Keyword`, :class:`Symbol`, :class:`Char`
vector                                list (a tuple is written as a vector too)
list, sequence                        :class:`List`
map, set                              dict, frozenset
ratio, big decimal                    fractions.Fraction, decimal.Decimal
``#inst``, ``#uuid``                  aware datetime.datetime, uuid.UUID
any other tagged value                :class:`Tagged`
an object only its own peer can hold  :class:`Unreadable`
====================================  ==========================================================

Map keys and set members must be hashable: inside them a vector or list is a tuple, a map a :class:`Map`.
"""

from __future__ import annotations

import reprlib
import threading
from collections import Counter
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakValueDictionary

import attrs

from slacker.errors import ContentError

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")


class _Interned:
    """A piece of text that is no string: immutable, and the same object for the same text.

    So it is equal to itself alone, and is compared and hashed, as the key of most maps, in C.

    :ivar text: the text.
    """

    __slots__ = ("__weakref__", "text")
    text: str
    _known: WeakValueDictionary[str, Any]
    # Two threads must not make two objects for one text. (Reentrant: the garbage collector may run anything.)
    _making = threading.RLock()

    def __init_subclass__(cls) -> None:
        cls._known = WeakValueDictionary()  # weak: peers choose the texts, and there is no end to them

    def __new__(cls, text: str) -> Self:
        known: Self | None = cls._known.get(text) if isinstance(text, str) else None
        if known is not None:
            return known
        cls._check(text)
        made = super().__new__(cls)
        object.__setattr__(made, "text", str.__str__(text))
        with cls._making:
            return cast("Self", cls._known.setdefault(made.text, made))

    @classmethod
    def _check(cls, text: object) -> None:
        if not isinstance(text, str):
            raise ContentError(f"{cls.__name__} takes its name as a str, not {reprlib.repr(text)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __lt__(self, other: object) -> bool:
        return self._rank() < other._rank() if type(other) is type(self) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._rank() <= other._rank() if type(other) is type(self) else NotImplemented

    def _rank(self) -> tuple[str, str]:
        return "", self.text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.text,)


class _Name(_Interned):
    """A name, perhaps with a namespace: ``namespace/name``.

    Names are ordered as Clojure orders them: without a namespace first, then by namespace, then by name.
    """

    __slots__ = ()

    @property
    def namespace(self) -> str | None:
        """What stands before the first slash; None where there is none (``/`` itself is a name)."""
        return self._parts()[0]

    @property
    def name(self) -> str:
        """What stands behind the first slash, or the whole text."""
        return self._parts()[1]

    def _parts(self) -> tuple[str | None, str]:
        namespace, _slash, name = self.text.partition("/")
        return (namespace, name) if namespace and name else (None, self.text)

    def _rank(self) -> tuple[str, str]:
        namespace, name = self._parts()
        return namespace or "", name


class Keyword(_Name):
    """``:a/b`` is ``Keyword("a/b")``; ``str()`` of it gives the colon back, as in Clojure."""

    __slots__ = ()

    def __str__(self) -> str:
        return ":" + self.text


class Symbol(_Name):
    """``a/b`` is ``Symbol("a/b")``."""

    __slots__ = ()


class Char(_Interned):
    r"""One character, one code point and no surrogate: ``\a`` is ``Char("a")``."""

    __slots__ = ()

    @classmethod
    def _check(cls, text: object) -> None:
        if not isinstance(text, str) or len(text) != 1 or "\ud800" <= text <= "\udfff":
            raise ContentError(f"a Char is one character and no surrogate, not {reprlib.repr(text)}")


class List(list[_T]):
    """A list or sequence, ``(1 2)``: a list in every respect, but written as a list and not as a vector."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"List({super().__repr__()})"


class Map(Mapping[Any, Any]):
    """A map that is itself a map key or set member: immutable, hashable, equal to a dict of the same entries.

    Keys and values are made hashable on the way in (see :func:`freeze`).
    """

    __slots__ = ("_entries", "_hash")

    def __init__(self, entries: Mapping[Any, Any] | None = None) -> None:
        source = entries or {}
        self._entries: dict[Any, Any] = {freeze(key): freeze(value) for key, value in source.items()}
        if len(self._entries) != len(source):
            raise _collision("keys of one map", source)
        self._hash = hash(frozenset(self._entries.items()))

    def __getitem__(self, key: Any) -> Any:
        return self._entries[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Map):
            return self._entries == other._entries
        return self._entries == other if isinstance(other, dict) else NotImplemented

    def items(self) -> ItemsView[Any, Any]:
        return self._entries.items()

    def __reduce__(self) -> tuple[type[Map], tuple[dict[Any, Any]]]:
        return Map, (self._entries,)  # the hash is of this process alone

    def __repr__(self) -> str:
        return f"Map({self._entries!r})"


def _tag_text(tag: str | Symbol) -> str:
    if isinstance(tag, Symbol):
        return tag.text
    if not isinstance(tag, str):
        raise ContentError(f"a tag is a str or a Symbol, not {tag!r}")
    return tag


@attrs.frozen(slots=True)
class Tagged:
    """A value under a tag without meaning here: ``#app/point [1 2]`` is ``Tagged("app/point", [1, 2])``.

    :ivar tag: without the ``#``; a Symbol is taken too, and kept as its text.
    """

    tag: str = attrs.field(converter=_tag_text)
    value: Any


@attrs.frozen(slots=True)
class Unreadable:
    """An object that only its own peer can hold: ``#object[java.net.URL …]``, a Java-serialised exception.

    It is inert: it names a class and never loads one, and no content type writes it back.

    :ivar class_name: the foreign class, as its peer named it.
    :ivar detail: what else the peer printed of it, text as a rule; None if nothing.
    """

    class_name: str
    detail: Any = None


#: What most vectors consist of, and is hashable as it is.
_ATOMS = frozenset({type(None), bool, int, float, str, bytes, Keyword})


def freeze(value: Any) -> Any:
    """The twin of ``value`` for a map key or set member, which must be hashable.

    Lists become tuples, dicts become :class:`Map`, sets become frozensets, at every level.

    :raises ContentError: entries that were different are equal in Python, or the value cannot be hashed.
    """
    if isinstance(value, (list, tuple)):
        return tuple([item if item.__class__ in _ATOMS else freeze(item) for item in value])
    if isinstance(value, dict):
        return Map(value)
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, Tagged):
        return Tagged(value.tag, freeze(value.value))
    if isinstance(value, Unreadable):
        return Unreadable(value.class_name, freeze(value.detail))
    try:
        hash(value)
    except TypeError:
        raise ContentError(f"a {type(value).__name__} cannot be a map key or a set member") from None
    return value


#: So many keys of a map, or members of a set, may have the same hash. Putting them in takes time that grows
#: with the square of their number, and they are easy to make: all vectors of -1 and -2 have one hash in
#: Python, and so have integers that differ by 2 to the 61, less one. Smaller maps need no check.
MAX_SAME_HASH = 256

#: The same of those that consist of other values: each comparison of two takes as long as they have in
#: common. (So many have points in five dimensions whose coordinates are all -1 or -2.)
MAX_SAME_HASH_COMPOUND = 32

_COMPOUND = (tuple, frozenset, Map, Tagged, Unreadable)


def _check_hashes(keys: Sequence[Any], most: int, what: str = "keys") -> None:
    if max(Counter(map(hash, keys)).values(), default=0) > most:
        raise ContentError(f"more than {most} {what} of one map or set have the same hash in Python")


def _frozen(keys: Sequence[Any]) -> list[Any]:
    frozen = [freeze(key) for key in keys]
    if len(frozen) > MAX_SAME_HASH_COMPOUND:
        compound = [key for key in frozen if isinstance(key, _COMPOUND)]
        _check_hashes(compound, MAX_SAME_HASH_COMPOUND, "compound keys")
    return frozen


def make_dict(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """The map of these entries as they were read.

    :raises ContentError: two keys are equal in Python, as ``1``, ``1.0`` and ``True`` are; or too many have
        the same hash.
    """
    try:
        if len(pairs) > MAX_SAME_HASH:
            _check_hashes([key for key, _value in pairs], MAX_SAME_HASH)
        entries = dict(pairs)
    except TypeError:  # an unhashable key
        keys = _frozen([key for key, _value in pairs])
        return make_dict([(key, value) for key, (_key, value) in zip(keys, pairs, strict=True)])
    if len(entries) != len(pairs):
        raise _collision("keys of one map", [key for key, _value in pairs])
    return entries


def make_set(members: Sequence[Any]) -> frozenset[Any]:
    """The set of these members as they were read.

    :raises ContentError: two members are equal in Python, as ``1``, ``1.0`` and ``True`` are; or too many
        have the same hash.
    """
    try:
        if len(members) > MAX_SAME_HASH:
            _check_hashes(members, MAX_SAME_HASH)
        result = frozenset(members)
    except TypeError:  # an unhashable member
        return make_set(_frozen(members))
    if len(result) != len(members):
        raise _collision("members of one set", members)
    return result


def _collision(what: str, keys: Iterable[Any]) -> ContentError:
    """The error that names the first two of ``keys`` that are equal; two are."""
    frozen = [freeze(key) for key in keys]
    first: dict[Any, int] = {}
    again = next(index for index, key in enumerate(frozen) if first.setdefault(key, index) != index)
    one, other = frozen[first[frozen[again]]], frozen[again]
    return ContentError(f"two {what} are equal in Python: {reprlib.repr(one)} and {reprlib.repr(other)}")
