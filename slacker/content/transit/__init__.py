"""Content types 4 and 5, ``transit-json`` and ``transit-msgpack``: Clojure's data within JSON or MessagePack.

What JSON and MessagePack lack, transit writes as text with a prefix (``~:a`` is a keyword), or as a pair of
tag and value (``["~#set", [1]]``); text that comes again is a short code (``^0``). The writer and the reader
here know trees of lists, pairs and text alone; the two encodings make bytes of such trees.
"""

from __future__ import annotations

from slacker.content.transit.json import CODEC as JSON
from slacker.content.transit.msgpack import CODEC as MSGPACK

__all__ = ["JSON", "MSGPACK"]
