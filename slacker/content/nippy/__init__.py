"""Content type 3, ``nippy``: the binary form of Clojure's data that slacker's author recommends.

Headerless, uncompressed, unencrypted. What Nippy 3.1.3 writes for a value is written here; what any version
of Nippy ever wrote is read, as far as its bytes tell where a value ends.
"""

from __future__ import annotations

from slacker.content.codec import Codec
from slacker.content.nippy.reader import loads
from slacker.content.nippy.writer import dumps

__all__ = ["CODEC", "dumps", "loads"]

CODEC = Codec("nippy", 3, dumps, loads)
