"""Transit's cache: text that was written once returns as a code of two or three characters.

Writer and reader count along, entry by entry, each for itself. When the codes are used up, both forget
everything and begin anew.
"""

from __future__ import annotations

_DIGITS = [chr(48 + digit) for digit in range(44)]

#: The codes, in the order in which they are given out.
CODES = tuple(
    ["^" + digit for digit in _DIGITS] + ["^" + high + low for high in _DIGITS[1:] for low in _DIGITS]
)

#: The characters that codes may stand for in a payload: so many for each of its bytes, or so many in all.
#: Small values under names of 200 characters stay below; a long string and a million codes of it do not.
CHARACTERS_PER_BYTE = 64
FREE_CHARACTERS = 100_000

#: By code, its place in that order.
INDEXES = {code: index for index, code in enumerate(CODES)}


def is_cacheable(text: str, as_key: bool) -> bool:
    """Whether ``text``, perhaps the key of a map, has a code when it comes again.

    Its length counts as Java counts it, in 16-bit units.
    """
    if len(text) < 4 and (text.isascii() or len(text.encode("utf-16-le", "surrogatepass")) < 8):
        return False
    return as_key or (text[0] == "~" and text[1] in ":$#")
