"""What a server bears: of one peer, and of all."""

from __future__ import annotations

from attrs import field, frozen, validators

from slacker.wire import DEFAULT_MAX_FRAME

_MEGABYTE = 1024 * 1024


@frozen(kw_only=True)
class Limits:
    """Limits of a server. Each can be raised; what it costs to be without it, is said there.

    :ivar max_frame: bytes of one frame; a peer that announces a larger one is closed. It is known before
        anything is buffered, so that one number in a peer's bytes cannot make the server allocate gigabytes.
        With ``auth`` a peer that has not said who it is may send no more than 131,080, the largest hello.
    :ivar max_in_flight: calls of one connection that run or wait; one more is answered "thread pool full". A
        Clojure client keeps up to 5,000.
    :ivar max_unanswered: bytes of one connection's calls that run or wait: their names, arguments and
        extensions; beyond it the connection is not read until some have ended. Without it 5,000 calls could
        bring 5,000 frames of the largest size.
    :ivar max_unsent: bytes of answers that wait for one peer to read; a peer that does not take what was
        handed over (up to one answer) within ``frame_timeout`` while more wait is closed, and one for which
        four times as many wait at once: that, and one batch of results of worker threads, is what a peer that
        never reads can cost. From the first 64 KiB on it is not read, and what its last read brought waits,
        too, so that only answers of calls that run already can come to this.
    :ivar frame_timeout: seconds in which a peer has to send a first frame, and to end one that it has begun;
        one that trickles, or connects and says nothing, is closed then (not before, and after one and a half
        times as long at the latest).
    :ivar max_connections: of all peers; one more is closed at once. A process has only so many sockets, and
        without those that are left it could not open its files, or reach ZooKeeper.
    """

    max_frame: int = field(default=DEFAULT_MAX_FRAME, validator=validators.ge(64))
    max_in_flight: int = field(default=5_000, validator=validators.ge(1))
    max_unanswered: int = field(default=64 * _MEGABYTE, validator=validators.ge(1))
    max_unsent: int = field(default=64 * _MEGABYTE, validator=validators.ge(1))
    frame_timeout: float = field(default=30.0, validator=validators.gt(0))
    max_connections: int = field(default=10_000, validator=validators.ge(1))
