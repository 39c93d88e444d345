"""Which contenders meet in which cases: each suite is one interleaved run of the harness."""

from __future__ import annotations

from itertools import product

from attrs import field, frozen

from benchmarks.harness import Case, Contender
from benchmarks.peers import PEERS, Peer
from slacker.cluster.grouping import ONE_SERVER
from slacker.content import CODECS

_CONTENDERS = "benchmarks.contenders"
_CLIENT = "benchmarks.contenders.client"
_CLUSTER = "benchmarks.contenders.cluster"

FLOOR = Contender("floor", "benchmarks.contenders.floor", "floor")
ON_REACTOR = Contender("on reactor", _CLIENT, "reactor")
IN_WORKERS = Contender("in workers", _CLIENT, "workers")

#: How many servers a cluster's client knows, in the curve of what that costs a call.
KNOWN = [3, 30, 300, 1000]


@frozen
class Suite:
    """:ivar about: what it tells, in a headline.
    :ivar notes: what a reader of its table should know.
    :ivar longer: how many times as long as others its measurements take.
    """

    name: str
    about: str
    contenders: list[Contender]
    cases: list[Case]
    notes: list[str] = field(factory=list)
    longer: float = 1.0


def _cases(workloads: list[str], depths: list[int]) -> list[Case]:
    return list(product(workloads, depths))


CALLS = Suite(
    "calls",
    "calls on one connection, beside a bare Twisted exchange",
    [FLOOR, ON_REACTOR, IN_WORKERS],
    _cases(["echo 20", "rand-ints 5"], [1, 40, 500]),
)
PAYLOADS = Suite(
    "payloads",
    "larger arguments and results",
    [FLOOR, ON_REACTOR, IN_WORKERS],
    _cases(["rand-ints 40", "1 KB"], [1, 40, 500]),
)
LARGE = Suite(
    "large",
    "payloads of a megabyte (not with 500 in flight, which fill memories)",
    [FLOOR, ON_REACTOR, IN_WORKERS],
    _cases(["1 MB"], [1, 40]),
    longer=4.0,
)
WAYS = Suite(
    "ways",
    "the ways of a call: an interceptor on both sides, TLS, a cluster's client",
    [
        ON_REACTOR,
        Contender("interceptor", _CLIENT, "interceptor"),
        Contender("TLS", _CLIENT, "tls"),
        Contender("blocking API", f"{_CONTENDERS}.blocking", "blocking"),
        Contender("3 connections", _CLUSTER, "direct-3"),
        Contender("random of 3", _CLUSTER, "random-3"),
        Contender("all of 3", _CLUSTER, "all-3"),
        Contender("all of 100", _CLUSTER, "all-100"),
    ],
    _cases(["echo 20"], [1, 40]),
)
CONTENT = Suite(
    "content",
    "content types",
    [FLOOR, *(Contender(name, _CLIENT, name) for name in CODECS)],
    _cases(["echo 20", "rand-ints 5"], [40]),
)


def _peer(peer: Peer) -> Contender:
    return Contender(peer.name, f"benchmarks.peers.{peer.name}", peer.name, python=str(peer.python))


OTHERS = Suite(
    "others",
    "other libraries",
    [
        FLOOR,
        ON_REACTOR,
        IN_WORKERS,
        Contender("AMP", f"{_CONTENDERS}.amp", "amp", most=65_535),
        Contender("PB", f"{_CONTENDERS}.pb", "pb", most=640 * 1024),
        *(_peer(peer) for peer in PEERS if peer.ready.exists()),
    ],
    [*_cases(["echo 20"], [1, 40, 500]), ("rand-ints 5", 40), ("1 KB", 40), ("1 MB", 10)],
    [
        "AMP, PB: callRemote(), one connection; a value of AMP has at most 64 KB, one of PB 640 KB",
        *(
            f"{peer.name}: {peer.form if peer.ready.exists() else 'not there; make bench-peers'}"
            for peer in PEERS
        ),
    ],
)
IN_FLIGHT = Suite(
    "in-flight",
    "what a call costs beside calls in flight",
    [FLOOR, ON_REACTOR, IN_WORKERS],
    _cases(["echo 20"], [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]),
)
SIZES = Suite(
    "sizes",
    "what a call costs beside the size of its payload",
    [FLOOR, ON_REACTOR, IN_WORKERS],
    _cases(["20 B", "100 B", "1 KB", "10 KB", "100 KB", "1 MB"], [10]),
)
PROCESSES = Suite(
    "processes",
    "server processes (twistd slacker --workers), a function of 5 ms CPU, a cluster's client",
    [
        Contender("1 process", f"{_CONTENDERS}.processes", "1"),
        Contender("2 processes", f"{_CONTENDERS}.processes", "2"),
    ],
    [("burn 5", 20)],
    ["the servers' CPU is not counted here"],
    longer=8.0,
)


def known_servers(policy: str) -> Suite:
    """What a call costs beside the servers that its client knows, one call at a time.

    :param policy: a grouping; or ``direct`` for as many clients in turn and no cluster: what it costs to use
        one cold connection after the other.
    """
    return Suite(
        f"known-{policy}",
        f"what a call costs beside the servers that its client knows, grouping {policy}",
        [Contender(f"{count} servers", _CLUSTER, f"{policy}-{count}") for count in KNOWN],
        [("echo 20", 1)],
    )


SUITES = [
    CALLS,
    PAYLOADS,
    LARGE,
    WAYS,
    CONTENT,
    OTHERS,
    IN_FLIGHT,
    SIZES,
    PROCESSES,
    *(known_servers(policy) for policy in [*ONE_SERVER, "direct"]),
]
