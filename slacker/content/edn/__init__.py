"""Content type 2, ``clj``: EDN, the notation of Clojure's data.

It is the default of every Clojure peer, and what stands in ZooKeeper. The reader and the writer follow
``clojure.edn`` and ``pr-str``: what is written here, the other side reads as an equal value.
"""

from __future__ import annotations

from slacker.content.codec import Codec
from slacker.content.edn.reader import loads
from slacker.content.edn.writer import dumps

__all__ = ["CODEC", "dumps", "loads"]

CODEC = Codec("clj", 2, dumps, loads)
