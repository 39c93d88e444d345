"""Types beyond those of :mod:`slacker.content.values`: subclasses of them, and types that users register."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar
from uuid import UUID

import attrs

from slacker.content.edn.literals import is_tag
from slacker.content.refusal import Refusal, unknown_type
from slacker.content.values import Char, Keyword, List, Map, Symbol, Tagged
from slacker.errors import ConfigurationError, ContentError

_T = TypeVar("_T")

#: Tags with a meaning in EDN or transit, where those of one letter have one, too.
_RESERVED = frozenset(["inst", "uuid", "uri", "object", "set", "list", "cmap", "ratio", "link"])


@attrs.frozen(slots=True)
class _Registered:
    type: type
    tag: str
    to: Callable[[Any], object]
    from_: Callable[[Any], object]


_BY_TYPE: dict[type, _Registered] = {}
_BY_TAG: dict[str, _Registered] = {}


def register(type_: type[_T], tag: str, to: Callable[[_T], object], from_: Callable[[Any], _T]) -> None:
    """From now on instances of ``type_`` are written as ``#tag`` and what ``to`` makes of them.

    In clj, nippy, both transits and msgpack; JSON has no tags. Both sides of a call need to know the tag;
    where it is unknown, the value arrives as :class:`~slacker.content.values.Tagged`. Register before
    anything is sent or received.

    :param type_: a class; instances of its subclasses are written in the same way.
    :param tag: as ``"app/point"``, by which the type is known everywhere. (EDN keeps tags without a namespace
        for itself.)
    :param to: makes of an instance a value that content types carry.
    :param from_: makes an instance of such a value again. A map key or set member has to be hashable.
    :raises ConfigurationError: the tag is none, the type has a form of its own, or either is registered.
    """
    if not isinstance(type_, type):
        raise ConfigurationError(f"register takes a class, not {type_!r}")
    if type_ in _CARRIED:
        raise ConfigurationError(f"{type_.__name__} has a form of its own in every content type")
    if not isinstance(tag, str) or not is_tag(tag) or len(tag) == 1 or tag in _RESERVED:
        raise ConfigurationError(f"{tag!r} is no tag for {type_.__name__}; take one as 'app/point'")
    for known in (_BY_TYPE.get(type_), _BY_TAG.get(tag)):
        if known is not None:
            raise ConfigurationError(f"{known.type.__name__} is registered already, as #{known.tag}")
    _BY_TYPE[type_] = _BY_TAG[tag] = _Registered(type_, tag, to, from_)


def tagged(tag: str, value: Any) -> Any:
    """What was read as ``#tag value``: an instance of the type of that tag, or a :class:`Tagged`.

    :raises ContentError: the type's own function refuses the value.
    """
    read = Tagged(tag, value)
    known = _BY_TAG.get(read.tag)
    if known is None:
        return read
    try:
        return known.from_(value)
    except Exception as error:
        raise ContentError(f"#{tag} is no {known.type.__name__}: {error!r}") from error


def plain(value: Any) -> Any:
    """The value that stands for an instance of a type that writers do not know.

    That of a registered type is tagged. That of a subclass of what they know is the built-in value: a named
    tuple's list, an IntEnum's int. None where there is no such value.

    :raises Refusal: the function that was registered for the type raised.
    """
    if _BY_TYPE:
        for kind in type(value).__mro__:
            known = _BY_TYPE.get(kind)
            if known is not None:
                try:
                    return Tagged(known.tag, known.to(value))
                except Exception as error:
                    raise Refusal(value, f"cannot be made #{known.tag}: {error!r}") from error
    for base, convert in _BASES:
        if isinstance(value, base):
            return convert(value)
    return None


def write_twin(value: Any, write: Callable[[Any], _T]) -> _T:
    """Writes what stands for ``value``, see :func:`plain`.

    :raises Refusal: there is no such thing, or it cannot be written.
    """
    twin = plain(value)
    if twin is None:
        raise unknown_type(value)
    try:
        return write(twin)
    except Refusal as refusal:
        if type(twin) is not Tagged or refusal.element is None:
            raise
        # Whoever reads the message has never seen the twin.
        raise Refusal(value, f"is registered as #{twin.tag}, and what it becomes {refusal.reason}") from None


def _plain_datetime(value: datetime) -> datetime:
    return datetime.combine(value.date(), value.timetz())


# str() and int() would call what the subclass made of them: str() of a str Enum is its name.
_BASES: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, bytes),
    (List, List),
    (list, list),
    (tuple, list),
    (dict, dict),
    (Map, dict),
    (set, frozenset),
    (frozenset, frozenset),
    (datetime, _plain_datetime),
)

#: What writers know without asking.
_CARRIED = {
    *[base for base, _convert in _BASES],
    *(bool, type(None), bytearray, memoryview, Decimal, Fraction, UUID, Keyword, Symbol, Char, Tagged),
}
