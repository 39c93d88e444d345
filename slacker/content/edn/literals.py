r"""The literals of EDN: numbers, names, characters, strings, ``#inst``; and what text is a name.

The rules are those of ``clojure.lang.EdnReader`` and ``clojure.instant``. Each function raises ValueError
with a sentence about its token; the reader adds where the token stands.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from slacker.content.values import Char, Keyword, Symbol

#: Java's Character.isWhitespace, and the comma: for the inside of a character class.
SPACE = r" ,\t\n\v\f\r\x1c-\x1f\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000"

# Two pairs of characters are put away before a text is cut, so that every quote left in it begins or ends a
# string, and every backslash left begins an escape or a character. What stands for them cannot be in a text
# that was UTF-8. (A pattern that skips escapes itself makes Python's re keep 190 bytes for each of them.)
_BACKSLASHES = "\ud800"
_BACKSLASH_QUOTE = "\ud801"

#: What stands for the opening bracket of a set where a text is split at spaces.
SET = "\ud802"

#: What begins a character literal: for the inside of a character class.
CHARACTER = r"\\" + _BACKSLASHES + _BACKSLASH_QUOTE

#: What ends a name, a number or a character: for the inside of a character class.
ENDS = SPACE + r'";()\[\]{}^' + CHARACTER

_CONSTITUENTS = re.compile(rf"[^{ENDS}@`~]+")
_NAME = re.compile(r":?([^0-9/].*/)?(/|[^0-9/][^/]*)", re.DOTALL)
_INTEGER = re.compile(
    r"([+-]?)(?:(0|[1-9][0-9]*)|0[xX]([0-9A-Fa-f]+)|0([0-7]+)|([1-9][0-9]?)[rR]([0-9A-Za-z]+?)|0[0-9]+)N?"
)
_RATIO = re.compile(r"([+-]?[0-9]+)/([0-9]+)")
_FLOAT = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?(M?)")
_LOOKS_NUMERIC = re.compile(r"[+-]?\d")  # of any script: Clojure reads none of the others, either
_INSTANT = re.compile(
    r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?)?)?)?)?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))?"
)
_ESCAPE = re.compile(
    r"\\u([dD][89abAB][0-9A-Fa-f]{2})\\u([dD][c-fC-F][0-9A-Fa-f]{2})"  # two that are one character
    r"|\\u([0-9A-Fa-f]{4})|\\([0-7]{1,3})|\\[\s\S]?"
)
_ESCAPES = (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\f", "\f"), ("\\b", "\b"))

#: The characters that have a name, with it.
CHARACTER_NAMES = {
    "\n": "newline",
    "\r": "return",
    " ": "space",
    "\t": "tab",
    "\b": "backspace",
    "\f": "formfeed",
}
_NAMED_CHARACTERS = {name: character for character, name in CHARACTER_NAMES.items()}

#: The values other than nil that have one name each.
CONSTANTS = {
    "true": True,
    "false": False,
    "##Inf": float("inf"),
    "##-Inf": float("-inf"),
    "##NaN": float("nan"),
}


def _is_name(token: str) -> bool:
    match = _NAME.fullmatch(token)
    return (
        match is not None
        and _CONSTITUENTS.fullmatch(token) is not None
        and not token.endswith(":")
        and "::" not in token
        and not (match[1] or "").endswith(":/")
    )


def is_keyword(text: str) -> bool:
    """Whether an EDN reader takes ``":" + text`` for the keyword of that text."""
    return _is_name(":" + text)


def is_symbol(text: str) -> bool:
    """Whether an EDN reader takes ``text`` for the symbol of that text."""
    return (
        _is_name(text)
        and text[0] not in ":#"
        and text not in CONSTANTS
        and text != "nil"
        and _LOOKS_NUMERIC.match(text) is None
    )


def is_tag(text: str) -> bool:
    """Whether an EDN reader takes ``"#" + text`` for the tag of that text."""
    return text[:1].isalpha() and _is_name(text)


def keyword(token: str) -> Keyword:
    """The keyword of ``token``, which begins with a colon."""
    if not _is_name(token):
        raise ValueError(f"{shown(token)} is no keyword")
    return Keyword(token[1:])


def symbol(token: str) -> Symbol:
    """The symbol of ``token``, which does not begin as a number, a keyword or a ``#`` form does."""
    if not _is_name(token):
        raise ValueError(f"{shown(token)} is no symbol")
    return Symbol(token)


def put_away(text: str) -> str:
    """``text`` with one character for every two backslashes, and one for every backslash and quote."""
    return text.replace("\\\\", _BACKSLASHES).replace('\\"', _BACKSLASH_QUOTE)


def put_back(text: str) -> str:
    """The text that was put away as ``text``."""
    return text.replace(_BACKSLASH_QUOTE, '\\"').replace(_BACKSLASHES, "\\\\").replace(SET, "#{")


def shown(token: str) -> str:
    """``token`` for a message: never long."""
    return repr(put_back(token if len(token) <= 40 else token[:37] + "..."))


def looks_numeric(token: str) -> bool:
    """Whether ``token`` is a number or nothing."""
    return _LOOKS_NUMERIC.match(token) is not None


def number(token: str) -> int | float | Decimal | Fraction:
    """The number of ``token``, which begins with a digit or with a sign and a digit."""
    match = _INTEGER.fullmatch(token)
    if match is not None:
        sign, decimal, hexadecimal, octal, radix, digits = match.groups()
        if decimal:
            value = _int(decimal, 10)
        elif hexadecimal:
            value = int(hexadecimal, 16)
        elif octal:
            value = int(octal, 8)
        elif radix:
            value = _int(digits, int(radix))
        else:
            raise ValueError(f"{shown(token)} is no number: a leading 0 means octal")
        return -value if sign == "-" else value
    match = _FLOAT.fullmatch(token)
    if match is not None:
        if not match[1]:
            return float(token)
        try:
            return Decimal(token[:-1])
        except InvalidOperation:
            raise ValueError(f"{shown(token)} has an exponent beyond the range of Decimal") from None
    match = _RATIO.fullmatch(token)
    if match is not None:
        numerator, denominator = _int(match[1], 10), _int(match[2], 10)
        if not denominator:
            raise ValueError(f"{shown(token)} divides by zero")
        ratio = Fraction(numerator, denominator)
        return ratio.numerator if ratio.denominator == 1 else ratio
    raise ValueError(f"{shown(token)} is no number")


def _int(digits: str, radix: int) -> int:
    try:
        return int(digits, radix)
    except ValueError:  # a digit or radix that cannot be, or more than Python's limit of 4,300 digits
        raise ValueError(f"{shown(digits)} is no integer of radix {radix} that could be read") from None


def character(token: str) -> Char:
    r"""The character of ``token``, which begins with a backslash."""
    text = put_back(token)[1:]
    if len(text) == 1:
        code = ord(text)
    elif text in _NAMED_CHARACTERS:
        code = ord(_NAMED_CHARACTERS[text])
    elif re.fullmatch("u[0-9A-Fa-f]{4}", text):
        code = int(text[1:], 16)
    elif re.fullmatch("o[0-3]?[0-7]{1,2}", text):
        code = int(text[1:], 8)
    else:
        raise ValueError(f"{shown(token)} is no character")
    if 0xD800 <= code <= 0xDFFF or code > 0xFFFF:
        raise ValueError(f"{shown(token)} is no character of 16 bits that stands alone")
    return Char(chr(code))


def string(body: str) -> str:
    """The string whose quoted form has ``body``, put away, between its quotes."""
    text = body
    if "\\" in text:
        for escape, escaped in _ESCAPES:
            text = text.replace(escape, escaped)
        if "\\" in text:
            text = _ESCAPE.sub(_unescape, text)
    return text.replace(_BACKSLASH_QUOTE, '"').replace(_BACKSLASHES, "\\")


def _unescape(match: re.Match[str]) -> str:
    high, low, unicode, octal = match.groups()
    if high:
        return chr(0x10000 + (int(high, 16) - 0xD800 << 10) + int(low, 16) - 0xDC00)
    if unicode:
        code = int(unicode, 16)
        if 0xD800 <= code <= 0xDFFF:
            raise ValueError(f"{match[0]} in a string is half a surrogate pair, which is no Unicode text")
        return chr(code)
    if octal:
        code = int(octal, 8)
        if code > 0o377:
            raise ValueError(f"{match[0]} in a string is beyond \\377")
        return chr(code)
    raise ValueError(f"{match[0]} in a string is no escape")


def instant(value: object) -> datetime:
    """The datetime of ``#inst value``, in the time zone it names; all but the year may be missing.

    Digits beyond microseconds are dropped, as Java drops those beyond milliseconds.
    """
    match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f'#inst takes a string such as "2026-11-22T10:38:17.819-00:00", not {shown(str(value))}'
        )
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = match.groups()
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset) if offset else timezone.utc
        moment = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), tzinfo=zone
        )
        seconds = int(second or 0)
        if seconds > (
            60 if minute == "59" else 59
        ):  # 60: a leap second, which is the first of the next minute
            raise ValueError("second must be in 0..59")
        return moment + timedelta(seconds=seconds, microseconds=int(f"{(fraction or '0')[:6]:0<6}"))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"#inst {shown(match[0])} is no time that Python has: {error}") from None
