"""What the two forms of transit have in common, and how they differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from slacker.content.codec import Codec
from slacker.content.refusal import refuse, told
from slacker.content.transit.reader import Reader
from slacker.content.transit.writer import Write, Writer
from slacker.errors import ContentError


@attrs.frozen(slots=True)
class Encoding:
    """One form of transit.

    :ivar name: of the content type.
    :ivar scalars: see :class:`~slacker.content.transit.writer.Writer`, as for ``keys`` and ``make_map``.
    :ivar encode: the bytes of a tree.
    :ivar decode: the tree of bytes; raises ValueError.
    """

    name: str
    scalars: Mapping[type, Write]
    keys: Mapping[type, Write]
    make_map: Callable[[list[Any]], list[Any] | dict[Any, Any]]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def codec(self, wire_id: int) -> Codec:
        return Codec(self.name, wire_id, self.dumps, self.loads)

    def dumps(self, value: object) -> bytes:
        """``value`` as transit.

        :raises ContentError: it holds something that transit cannot carry; the message says what and where.
        """
        try:
            return self.encode(Writer(self.scalars, self.keys, self.make_map).top(value))
        except Exception as error:
            refuse(self.name, value, error)

    def loads(self, data: bytes) -> Any:
        """The one value that ``data`` is.

        :raises ContentError: it is not one value of transit, or nested too deeply.
        """
        try:
            return Reader(len(data)).read(self.decode(data))
        except RecursionError:
            reason = "it is nested too deeply"
        except ValueError as error:
            reason = str(error)
        except Exception as error:  # a registered type's own, when its instances become keys
            reason = told(error)
        raise ContentError(f"not a {self.name} payload: {reason}")
