"""docs/reference/limits.rst says what the code does: each of its rows is compared with a value there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree
from twisted.trial.unittest import SynchronousTestCase

from slacker import Client, ClusterClient, ClusterServer, SlackerServer
from slacker.client import blocking, link, names, pace, staged
from slacker.client import connection as client_connection
from slacker.client import inspection as client_inspection
from slacker.client.client import DEFAULT_BACKLOG
from slacker.cluster import discovery, dispatch, manager, publisher, routes, zookeeper_discovery
from slacker.cluster import server as cluster_server
from slacker.content import codec, msgpack, values
from slacker.content.edn import reader as edn_reader
from slacker.content.edn import writer as edn_writer
from slacker.content.nippy import atoms as nippy_atoms
from slacker.content.nippy import reader as nippy_reader
from slacker.content.transit import cache as transit_cache
from slacker.interceptors import arguments, statistics
from slacker.server import Limits, admission, auth, inspection, pipeline, service, workers
from slacker.tap import process, records, supervisor
from slacker.zookeeper import client as zookeeper_client
from slacker.zookeeper import lease, recipes, requests, session
from slacker.zookeeper.embedded import connection as embedded_connection
from slacker.zookeeper.embedded import server as embedded_server
from slacker.zookeeper.embedded import sessions, tree, watches

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "limits.rst"
UNITS = {"s": 1, "MiB": 1024 * 1024}


def default(callable_: Callable[..., Any], option: str) -> Any:
    """What an option is if nobody gives it."""
    return inspect.signature(callable_).parameters[option].default


LIMITS = Limits()

#: Heading of the page → what a row is about → the value in the code.
VALUES: dict[str, dict[str, Any]] = {
    "A server, for each connection": {
        "bytes of a frame": LIMITS.max_frame,
        "bytes of a frame of a peer that has not said who it is": admission.STRANGERS_FRAME,
        "calls that run or wait": LIMITS.max_in_flight,
        "bytes of their arguments": LIMITS.max_unanswered,
        "bytes of answers that are not read": LIMITS.max_unsent,
        "seconds for a first frame, and from the begin of one to its end": LIMITS.frame_timeout,
        "wrong tokens": admission.MOST_FAILURES,
        "seconds before the answer to a wrong token": admission.FAILURE_DELAY,
        "share of a worker pool": Fraction(workers._SHARE, workers._SHARE + 1),
    },
    "A server, in all": {
        "connections": LIMITS.max_connections,
        "worker threads": default(SlackerServer, "threads"),
        "calls that wait for a thread": default(SlackerServer, "queue_size"),
        "bytes of results that wait for the reactor": workers._MOST_UNDELIVERED,
        "seconds to finish calls at the end": default(SlackerServer, "drain_timeout"),
        "seconds without a call, after that, until connections are closed": service._QUIET,
        "seconds that it waits for that": service._QUIET_LIMIT,
        "seconds for a peer to take the last bytes, until it is cut": service._CLOSE_TIMEOUT,
        "bytes of an answer to an inspection": inspection._MAX_ANSWER,
        "characters of an exception's text": pipeline.MOST_TEXT,
        "characters of its stack trace": pipeline.MOST_TRACE,
        "characters of a token's secret, at least": auth.MIN_SECRET,
        "characters of a token": auth._MAX_TOKEN,
    },
    "Several processes": {
        "workers": supervisor.MOST_WORKERS,
        "seconds until one that died is replaced": supervisor.FIRST_PAUSE,
        "seconds until one that died is replaced, at most": supervisor.LONGEST_PAUSE,
        "seconds after which one counts as well": supervisor.WELL_AFTER,
        "seconds to stop, beyond those to finish calls": supervisor.KILL_MARGIN,
        "seconds for what one has said before its end": process._LAST_WORDS,
        "characters of an event in its log": records.LONGEST_TEXT,
        "bytes of a line that it prints": records.LONGEST_LINE,
    },
    "A client": {
        "seconds of a call": default(Client, "timeout"),
        "calls that wait for answers": default(Client, "backlog"),
        "bytes that wait for a server that does not read": client_connection.MAX_UNSENT,
        "bytes of a frame that is received": default(Client, "max_frame"),
        "seconds to connect": default(Client, "connect_timeout"),
        "seconds for a TLS handshake": client_connection.HANDSHAKE_TIMEOUT,
        "seconds for the answer to a hello": client_connection.HELLO_TIMEOUT,
        "seconds for the answer to a token": client_connection.AUTH_TIMEOUT,
        "seconds of silence": default(Client, "keepalive"),
        "seconds between attempts to connect": link._LONGEST_PAUSE,
        "seconds that a connection has to last for the pauses to begin anew": link._SETTLED,
        "seconds for a connection to close": client_connection.CLOSE_TIMEOUT,
        "extensions of a call": staged._MOST_EXTENSIONS,
        "bytes of one extension": staged._MAX_EXTENSION,
        "bytes of the text of an inspection": client_inspection._MAX_ARGUMENT,
        "bytes of a function's name": names._MAX_NAME,
        "seconds that a blocking call waits beyond its timeout": blocking.GRACE,
    },
    "Values": {
        "levels of nesting": codec.MAX_DEPTH,
        "levels of lists, sets and tagged values in MessagePack": msgpack.MAX_EXTENSIONS,
        "names and numbers that EDN's reader remembers": edn_reader._MAX_ATOMS,
        "names that EDN's writer remembers": edn_writer._MAX_NAMES,
        "keywords that nippy's reader remembers": nippy_atoms._MAX_KEYWORDS,
        "values that references in nippy may add": nippy_reader.FREE_VALUES,
        "characters that codes in transit may stand for": transit_cache.FREE_CHARACTERS,
        "keys of a map or members of a set with the same hash": values.MAX_SAME_HASH,
        "bytes of an integer in ratios, and in nippy's decimals": codec.MAX_PART,
        "characters of a namespace that keys of a map share in EDN": edn_reader.MAX_NAMESPACE,
    },
    "A cluster's client": {
        "namespaces that are followed": discovery._MAX_NAMESPACES,
        "calls that wait for a server of a namespace": DEFAULT_BACKLOG,
        "such calls that look again in one turn of the reactor": routes._WOKEN_AT_ONCE,
        "servers that may refuse a call in one turn of the reactor": dispatch._ASKED_AT_ONCE,
        "servers whose data are followed": zookeeper_discovery._MAX_SERVERS,
        "connections that are opened at once": pace.AT_ONCE,
        "seconds between two reads of a namespace": recipes._READ_INTERVAL,
        "servers of a namespace from which on new ones wait": routes._MANY,
        "seconds that the last servers stay": zookeeper_discovery._GRACE,
    },
    "A cluster's server": {
        "seconds without a word until ZooKeeper drops it": default(ClusterServer, "zk_session_timeout"),
        "part of that in which a leader leads without a word": Fraction(lease._LEASE).limit_denominator(100),
        "seconds to connect to ZooKeeper": default(ClusterServer, "zk_connect_timeout"),
        "seconds to leave ZooKeeper": publisher._STOP_LIMIT,
        "seconds without a call until it closes": cluster_server._QUIET,
        "seconds that it waits for that": cluster_server._QUIET_LIMIT,
        "seconds between two looks at its nodes": publisher._AUDIT,
        "seconds that the manager waits for ZooKeeper": manager._PATIENCE,
    },
    "ZooKeeper": {
        "requests on their way": requests._MAX_IN_FLIGHT,
        "requests that wait": requests._MAX_WAITING,
        "watches": requests._MAX_WATCHES,
        "bytes of a node": zookeeper_client._MAX_DATA,
        "seconds between attempts with refused credentials": session._REFUSED_DELAY,
        "seconds without a connection until a session is given up": session._FORGET_AFTER,
        "bytes of a request": embedded_connection.MAX_FRAME,
        "bytes that wait for a client": embedded_connection.MAX_UNREAD,
        "clients": embedded_server.MAX_CONNECTIONS,
        "seconds of a connection without a session": embedded_server.HANDSHAKE_TIMEOUT,
        "sessions": sessions.MAX_SESSIONS,
        "watches of all clients": watches.MAX_WATCHES,
        "nodes": tree.MAX_NODES,
        "bytes of all nodes": tree.MAX_BYTES,
    },
    "Interceptors": {
        "functions that CallStatistics tells apart": statistics._MOST_FUNCTIONS,
        "characters of arguments that FailedArguments logs": arguments._LONGEST,
    },
}


def rows() -> Iterator[tuple[str, list[str]]]:
    """Heading and cells of each row of the page's tables."""
    settings = {"report_level": 5, "halt_level": 5}  # Sphinx's own roles are not known here
    tree_ = publish_doctree(PAGE.read_text("utf-8"), settings_overrides=settings)
    for section in tree_.findall(nodes.section):
        for body in section.findall(nodes.tbody):
            for row in body.findall(nodes.row):
                cells = [" ".join(cell.astext().split()) for cell in row.findall(nodes.entry)]
                yield section[0].astext(), cells


def number(text: str) -> Fraction:
    """What a default says, in seconds, bytes, or what else is counted."""
    amount, _, unit = text.partition(" ")
    return Fraction(amount.replace(",", "")) * UNITS.get(unit, 1)


class LimitsPageTests(SynchronousTestCase):
    def test_each_default_is_that_of_the_code(self) -> None:
        shown = {(heading, what): number(value) for heading, (what, value, _, _) in rows()}
        real = {
            (heading, what): Fraction(str(value))  # of 0.05 the decimal, not the double
            for heading, values in VALUES.items()
            for what, value in values.items()
        }
        self.assertEqual(shown, real)

    def test_seconds_and_bytes_are_told_apart(self) -> None:
        for _, (what, value, _, _) in rows():
            self.assertEqual(value.endswith(" s"), what.startswith("seconds"), what)

    def test_the_options_it_names_exist(self) -> None:
        known = {
            name
            for target in (SlackerServer, ClusterServer, Client, ClusterClient)
            for name in inspect.signature(target).parameters
        }
        for _, (what, _, changed_by, _) in rows():
            for option in changed_by.split(", "):
                if option.endswith("="):
                    self.assertIn(option.removesuffix("="), known, what)
                elif not option.startswith("-") and option != "fixed":
                    self.assertTrue(hasattr(LIMITS, option.split()[0]), what)
