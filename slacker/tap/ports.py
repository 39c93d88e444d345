"""Which port each of several workers has: those of the command line, plus one from worker to worker. Pure."""

from __future__ import annotations

import re

from slacker.address import format_address, parse_address
from slacker.errors import ConfigurationError

_LAST_PORT = 65_535
_WITH_PORTS = {"tcp", "tcp6", "ssl", "tls"}
# A port is the first argument, or named; Twisted writes a colon that separates nothing as \:
_PORT = re.compile(r"^(?P<before>(?:haproxy:)?(?P<kind>\w+):(?:(?:.*:)?(?<!\\:)port=)?)(?P<port>\d+)(?=:|$)")


def endpoint_of(endpoint: str, index: int) -> str:
    """The endpoint of worker ``index``, from 0 on: ``tcp:2104`` is ``tcp:2106`` for 2, ``tcp:0`` stays.

    :raises ConfigurationError: if it has no port (``unix:``), or there is none left for this worker.
    """
    found = _PORT.match(endpoint)
    if found is None or found["kind"] not in _WITH_PORTS:
        raise ConfigurationError(
            f"endpoint {endpoint!r} cannot be shared out: with --workers, each worker has a port of its own, "
            "as in tcp:2104, which is 2105 for the second"
        )
    port = int(found["port"])
    return f"{found['before']}{_next(endpoint, port, index) if port else 0}{endpoint[found.end() :]}"


def node_of(node: str, index: int) -> str:
    """The ``--node`` of worker ``index``: a host stays, a port goes up as those of endpoints do.

    :raises ConfigurationError: if there is no port left for this worker.
    """
    if node.endswith("]") or ":" not in node:
        return node
    host, port = parse_address(node)
    return format_address(host, _next(node, port, index))


def check_distinct(endpoints: list[str], workers: int) -> None:
    """See that no worker gets a port that another has.

    :raises ConfigurationError: if one does, or one of :func:`endpoint_of` is raised.
    """
    owners: dict[str, int] = {}
    for index in range(workers):
        for endpoint in endpoints:
            own = endpoint_of(endpoint, index)
            if index and own == endpoint:  # port 0: each gets a free one
                continue
            owner = owners.setdefault(own, index)
            if owner != index:
                raise ConfigurationError(
                    f"{own!r} would be for worker {owner + 1} and for worker {index + 1}: with --workers "
                    f"{workers}, ports on the command line lie {workers} apart or more"
                )


def _next(text: str, port: int, index: int) -> int:
    if port + index > _LAST_PORT:
        raise ConfigurationError(
            f"{text!r}: worker {index + 1} would have port {port + index}, and {_LAST_PORT} is the last"
        )
    return port + index
