"""The command line of ``twistd slacker``."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from getopt import getopt
from typing import Any, get_type_hints

from twisted.python.usage import UsageError

from slacker import content
from slacker.errors import ConfigurationError, ContentError
from slacker.server import Limits
from slacker.server.auth import Authenticator
from slacker.tap.exposure import resolve_exposure
from slacker.tap.ports import check_distinct, endpoint_of, node_of
from slacker.tap.starting import OneLineOptions
from slacker.tap.supervisor import MOST_WORKERS
from slacker.tls import ServerTls
from slacker.zookeeper import ZookeeperTls
from slacker.zookeeper.paths import parse_servers

_EMBEDDED = "embedded"
_EMBEDDED_PORT = 2181
_ZK_AUTH = "SLACKER_ZK_AUTH"
#: Names on the command line, and what kind of number each is.
_LIMITS = {name.replace("_", "-"): kind for name, kind in get_type_hints(Limits).items()}


class Options(OneLineOptions):
    command = "slacker"
    synopsis = "[--expose MODULE]… [--listen ENDPOINT]… [--cluster NAME --zk ADDRESS] [options]"
    longdesc = (
        "Exposes functions of Python modules to slacker clients. Modules are found as python -m would find "
        "them, in the current directory too."
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's has no types
        self["expose"] = []
        self["listen"] = []
        self["server_data"] = None
        self["content-types"] = None
        self["limits"] = {}
        self["pools"] = {}
        self._given: list[str] = []

    def parseOptions(self, options: list[str] | None = None) -> None:
        self._given = sys.argv[1:] if options is None else list(options)
        super().parseOptions(self._given)

    optFlags = [
        [
            "manager",
            None,
            "Expose slacker.cluster.manager, whose functions control this server, to this machine.",
        ],
        ["debug", None, "Tell callers the stack traces of exceptions."],
    ]
    optParameters = [
        ["cluster", None, None, "Name of the cluster to join; needs --zk."],
        [
            "zk",
            None,
            None,
            "ZooKeeper: HOST:PORT[,HOST:PORT…][/PATH], or embedded[:PORT] to run one in this process "
            f"(on loopback, port {_EMBEDDED_PORT}).",
        ],
        ["zk-root", None, "/slacker/cluster", "Path in ZooKeeper under which clusters are kept."],
        ["zk-session-timeout", None, "15", "Seconds after which ZooKeeper gives up a silent server."],
        ["zk-connect-timeout", None, "10", "Seconds that one attempt to connect to ZooKeeper may take."],
        [
            "zk-wait",
            None,
            None,
            "Give up with an error if this server is not published within so many seconds. "
            "Without this it serves, and is published when ZooKeeper comes.",
        ],
        [
            "node",
            None,
            None,
            "HOST or HOST:PORT under which this server is published, instead of the port of the first TCP "
            "--listen and its interface, or, where it has none, the address from which ZooKeeper is reached.",
        ],
        [
            "zk-auth",
            None,
            None,
            "Who this server is to ZooKeeper: digest:USER:PASSWORD or sasl:USER:PASSWORD. Rather than on the "
            f"command line, where everybody reads it, it may stand in the environment as {_ZK_AUTH}.",
        ],
        [
            "zk-acl",
            None,
            None,
            "Who may do what with the nodes it creates: creator, or entries like world:anyone:r.",
        ],
        ["zk-tls-ca", None, None, "PEM file of the authorities that sign ZooKeeper's certificate: use TLS."],
        ["zk-tls-certificate", None, None, "PEM file of this server's certificate for ZooKeeper."],
        ["zk-tls-key", None, None, "PEM file of its private key."],
        ["threads", None, "10", "Worker threads."],
        ["queue-size", None, "3000", "Calls that may wait for a worker thread."],
        ["drain-timeout", None, "30", "Seconds to finish the calls that run when the server is stopped."],
        [
            "workers",
            None,
            "1",
            f"Server processes, {MOST_WORKERS} at most, each with all threads. Ports of --listen, --http and "
            "--node are those of the first, and go up by one from worker to worker.",
        ],
        ["tls-certificate", None, None, "PEM file of the server's certificate: listen with TLS."],
        ["tls-key", None, None, "PEM file of its private key, if that is not in the certificate's file."],
        [
            "tls-client-ca",
            None,
            None,
            "PEM file of the authorities that sign clients' certificates: let in nobody without one.",
        ],
        ["http", None, None, "Answer HTTP, too, on this Twisted endpoint: tcp:8080:interface=127.0.0.1…"],
        ["auth", None, None, "TOML file of who may call what: let in nobody else."],
    ]

    def opt_expose(self, text: str) -> None:
        """Expose a module: [NAME=]PACKAGE.MODULE[:MAPPING].

        NAME is the namespace instead of the module's own name; MAPPING names a dictionary in the module that
        says what to expose: functions by name, or namespaces of such. May be given several times.
        """
        self["expose"].append(_usage(resolve_exposure, text))

    def opt_listen(self, text: str) -> None:
        """Listen on a Twisted endpoint: tcp:2104, tcp:2104:interface=127.0.0.1… May be repeated."""
        self["listen"].append(text)

    def opt_pool(self, text: str) -> None:
        """A worker pool for one namespace: NAMESPACE=THREADS:QUEUE-SIZE. May be given several times."""
        namespace, _, sizes = text.partition("=")
        threads, colon, queue_size = sizes.partition(":")
        if not (namespace and colon):
            raise UsageError(f"--pool {text!r} should be NAMESPACE=THREADS:QUEUE-SIZE")
        self["pools"][namespace] = (_whole("pool", threads, 1), _whole("pool", queue_size, 0))

    def opt_limit(self, text: str) -> None:
        """Change a limit: NAME=NUMBER, like max-frame=1048576 or frame-timeout=10. May be repeated."""
        name, equals, number = text.partition("=")
        kind = _LIMITS.get(name)
        if kind is None or not equals:
            raise UsageError(f"--limit {text!r} should be NAME=NUMBER, with one of {', '.join(_LIMITS)}")
        value = _whole("limit", number, 1) if kind is int else _seconds("limit", number)
        self["limits"][name.replace("-", "_")] = value

    def opt_content_types(self, text: str) -> None:
        """What calls may be written in, and in nothing else: NAME[,NAME…], like json,clj."""
        names = text.split(",")
        for name in names:
            try:
                content.get(name)
            except ContentError as error:
                raise UsageError(f"--content-types {text!r}: {error}") from None
        self["content-types"] = names

    def opt_server_data(self, text: str) -> None:
        """What is published about this server, as an EDN value: '{:weight 3}'."""
        try:
            self["server_data"] = content.loads("clj", text.encode("utf-8"))
        except ContentError as error:
            raise UsageError(f"--server-data {text!r} should be an EDN value: {error}") from None

    def postOptions(self) -> None:
        if not self["expose"]:
            raise UsageError("nothing to expose: name a module, like --expose myapp.api")
        if not self["listen"] and (self["http"] is None or self["cluster"] is not None):
            raise UsageError("nowhere to listen: name an endpoint, like --listen tcp:2104")
        if (self["cluster"] is None) != (self["zk"] is None):
            raise UsageError("--cluster and --zk go together")
        if self["zk"] is None:
            for name in ("zk-wait", "node", "zk-auth", "zk-acl", "zk-tls-ca", "manager"):
                if self[name]:
                    raise UsageError(f"--{name} is for members of a cluster: add --cluster and --zk")
            if self["server_data"] is not None:
                raise UsageError("--server-data is for members of a cluster: add --cluster and --zk")
        else:
            self["zk"] = _usage(parse_zk, self["zk"])
        for name in ("threads", "queue-size"):
            self[name] = _whole(name, self[name], least=1 if name == "threads" else 0)
        for name in ("zk-session-timeout", "zk-connect-timeout", "zk-wait", "drain-timeout"):
            if self[name] is not None:
                self[name] = _seconds(name, self[name])
        for name in ("tls-key", "tls-client-ca"):
            if self[name] is not None and self["tls-certificate"] is None:
                raise UsageError(f"--{name} goes with the server's own certificate: add --tls-certificate")
        for name in ("zk-tls-certificate", "zk-tls-key"):
            if self[name] is not None and self["zk-tls-ca"] is None:
                raise UsageError(f"--{name} goes with --zk-tls-ca")
        self._check_workers()
        try:
            self["limits"] = Limits(**self["limits"])
        except ValueError as error:
            raise UsageError(f"--limit: {error}") from None
        self["zk-auth"] = self["zk-auth"] or os.environ.get(_ZK_AUTH)
        self["tls"] = _usage(self._tls, self["tls-certificate"])
        self["auth"] = _usage(Authenticator.from_file, self["auth"])

    def zk_tls(self) -> ZookeeperTls | None:
        """How ZooKeeper is reached."""
        if self["zk-tls-ca"] is None:
            return None
        return ZookeeperTls(
            ca=self["zk-tls-ca"], certificate=self["zk-tls-certificate"], key=self["zk-tls-key"]
        )

    def of_worker(self, index: int, zk: str | None) -> list[str]:
        """The command line of worker ``index``, from 0 on.

        :param zk: the address of the embedded ZooKeeper, if there is one.
        """
        arguments = []
        given, _ = getopt(self._given, self.shortOpt, self.longOpt)
        for name, text in given:
            if name in ("--listen", "--http"):
                arguments.append(f"{name}={endpoint_of(text, index)}")
            elif name == "--node":
                arguments.append(f"{name}={node_of(text, index)}")
            elif name == "--zk":
                arguments.append(f"{name}={zk or text}")
            elif name != "--workers":
                takes_text = f"{name[2:]}=" in self.longOpt
                arguments.append(f"{name}={text}" if takes_text else name)
        return arguments

    def _check_workers(self) -> None:
        workers = self["workers"] = _whole("workers", self["workers"], 1)
        if workers > MOST_WORKERS:
            raise UsageError(f"--workers {workers}: there may be {MOST_WORKERS} at most")
        if workers == 1:
            return
        http = [] if self["http"] is None else [self["http"]]
        try:
            check_distinct([*self["listen"], *http], workers)
            node_of(self["node"] or "", workers - 1)
        except ConfigurationError as error:
            raise UsageError(str(error)) from None

    def _tls(self, certificate: str) -> ServerTls:
        return ServerTls(certificate=certificate, key=self["tls-key"], client_ca=self["tls-client-ca"])


def parse_zk(text: str) -> str | int:
    """A connection string as it is, or the port of an embedded ZooKeeper.

    :raises ConfigurationError: if it is neither.
    """
    kind, colon, port = text.partition(":")
    if kind == _EMBEDDED:
        if not colon:
            return _EMBEDDED_PORT
        if port.isascii() and port.isdigit() and int(port) < 65_536:
            return int(port)
        raise ConfigurationError(f"--zk {text!r} should be embedded or embedded:PORT")
    try:
        parse_servers(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"--zk {text!r}: {error}") from None
    return text


def _usage(read: Callable[[str], Any], text: str | None) -> Any:
    """What the text of an option says; None where it was not given."""
    try:
        return None if text is None else read(text)
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def _whole(name: str, text: str, least: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least:
        return int(text)
    raise UsageError(f"--{name} {text!r} should be a whole number, {least} or more")


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if seconds > 0 and math.isfinite(seconds):
        return seconds
    raise UsageError(f"--{name} {text!r} should be a number of seconds above 0")
