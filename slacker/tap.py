"""``twistd slacker``: a server that exposes modules, alone or as a member of a cluster.

Whatever is wrong with the command line or at the start ends in one line on standard error and exit status 1.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from slacker.address import parse_address
from slacker.cluster import ClusterServer
from slacker.content import loads
from slacker.errors import ConfigurationError, ContentError, SlackerError
from slacker.server import SlackerServer
from slacker.zookeeper.embedded import EmbeddedZooKeeper

Exposed = ModuleType | Mapping[str, Any]

_EMBEDDED = "embedded"
_EMBEDDED_PORT = 2181


class OneLineOptions(UsageOptions):
    """Options whose errors are one line; twistd itself would print its whole help around it."""

    command = ""

    def parseOptions(self, options: list[str] | None = None) -> None:
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]  # Twisted's has no types
        except UsageError as error:
            sys.exit(f"twistd {self.command}: {error}; --help lists the options")


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
            "HOST or HOST:PORT under which this server is published, instead of the address "
            "from which it reaches ZooKeeper and the port of the first --listen.",
        ],
        ["threads", None, "10", "Worker threads."],
        ["queue-size", None, "3000", "Calls that may wait for a worker thread."],
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

    def opt_server_data(self, text: str) -> None:
        """What is published about this server, as an EDN value: '{:weight 3}'."""
        try:
            self["server_data"] = loads("clj", text.encode("utf-8"))
        except ContentError as error:
            raise UsageError(f"--server-data {text!r} should be an EDN value: {error}") from None

    def postOptions(self) -> None:
        if not self["expose"]:
            raise UsageError("nothing to expose: name a module, like --expose myapp.api")
        if not self["listen"]:
            raise UsageError("nowhere to listen: name an endpoint, like --listen tcp:2104")
        if (self["cluster"] is None) != (self["zk"] is None):
            raise UsageError("--cluster and --zk go together")
        if self["zk"] is None:
            for name in ("zk-wait", "node"):
                if self[name] is not None:
                    raise UsageError(f"--{name} is for members of a cluster: add --cluster and --zk")
            if self["server_data"] is not None:
                raise UsageError("--server-data is for members of a cluster: add --cluster and --zk")
        else:
            self["zk"] = _usage(parse_zk, self["zk"])
        for name in ("threads", "queue-size"):
            self[name] = _whole(name, self[name], least=1 if name == "threads" else 0)
        for name in ("zk-session-timeout", "zk-wait"):
            if self[name] is not None:
                self[name] = _seconds(name, self[name])


def resolve_exposure(text: str) -> Exposed:
    """What ``[name=]package.module[:mapping]`` stands for, as ``SlackerServer`` takes it.

    :raises ConfigurationError: if there is no such module or mapping, or the module does not load.
    """
    name, equals, path = text.rpartition("=")
    module_name, colon, mapping_name = path.partition(":")
    if not module_name or (equals and not name) or (colon and not mapping_name):
        raise ConfigurationError(f"--expose {text!r} should be [name=]package.module[:mapping]")
    module = _import(text, module_name)
    if not colon:
        return {name: module} if name else module
    mapping = getattr(module, mapping_name, None)
    if not isinstance(mapping, Mapping):
        problem = "has no" if mapping is None else "holds no dictionary in"
        raise ConfigurationError(f"--expose {text!r}: module {module_name} {problem} {mapping_name!r}")
    holds_namespaces = all(isinstance(value, (Mapping, ModuleType)) for value in mapping.values())
    if not holds_namespaces:
        return {name or module_name: mapping}
    if name:
        raise ConfigurationError(
            f"--expose {text!r}: {mapping_name} holds whole namespaces, which have their names already"
        )
    return mapping


def _import(text: str, module_name: str) -> ModuleType:
    # The twistd script looks in its own folder, where python -m looks in the current one.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise ConfigurationError(f"--expose {text!r}: there is no module {error.name!r} here") from None
        raise ConfigurationError(f"--expose {text!r}: {module_name} needs a module: {error}") from None
    except Exception as error:  # the module's own code may raise anything
        raise ConfigurationError(
            f"--expose {text!r}: {module_name} does not load: {type(error).__name__}: {_one_line(error)}"
        ) from error


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
    addresses, slash, path = text.partition("/")
    for address in addresses.split(","):
        try:
            parse_address(address)
        except ConfigurationError as error:
            raise ConfigurationError(f"--zk {text!r}: {error}") from None
    if slash and (not path or path.endswith("/") or "//" in path):
        raise ConfigurationError(f"--zk {text!r}: the path after the addresses should be like /prod/slacker")
    return text


class StartedService(Service):
    """A service that starts and stops asynchronously; if it cannot start, the process ends with status 1.

    (By itself twistd would go on without it, or print a traceback.)
    """

    log = Logger()
    command = ""
    _begun: Deferred[None] | None = None
    _reason = ""

    async def begin(self) -> None:
        """Start; what this raises is the reason for not starting."""
        raise NotImplementedError

    async def end(self) -> None:
        """Stop, however far ``begin`` came."""
        raise NotImplementedError

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's has no types
        self._begun = Deferred.fromCoroutine(self.begin())
        self._begun.addErrback(self._failed)
        if self._reason:  # the reactor does not run yet: ending is simple
            sys.exit(self._reason)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's has no types
        if self._begun is not None:
            self._begun.cancel()
        return Deferred.fromCoroutine(self.end())

    def _failed(self, failure: Failure) -> None:
        from twisted.internet import reactor

        if not self.running:  # stopped while it was starting
            return
        if not isinstance(failure.value, (SlackerError, CannotListenError, OSError)):
            self.log.failure("twistd {command} cannot start", failure, command=self.command)
        self._reason = f"twistd {self.command}: {_one_line(failure.value)}"
        if reactor.running:
            self.log.error("{reason}", reason=self._reason)
            # twistd ends with status 0 whatever happened; this comes after its own clean-up.
            atexit.register(_exit_with_one, self._reason)
            reactor.stop()


class Member(StartedService):
    """The server of one process, alone or in a cluster, and the embedded ZooKeeper if it was asked for."""

    command = "slacker"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._zookeeper: EmbeddedZooKeeper | None = None
        self._server = SlackerServer(
            options["expose"], threads=options["threads"], queue_size=options["queue-size"]
        )
        self._member: SlackerServer | ClusterServer = self._server

    async def begin(self) -> None:
        options = self._options
        if options["cluster"] is not None:
            zk = options["zk"]
            if isinstance(zk, int):
                self._zookeeper = EmbeddedZooKeeper()
                await self._zookeeper.listen(f"tcp:{zk}:interface=127.0.0.1")
                zk = self._zookeeper.address
            self._member = ClusterServer(
                self._server,
                cluster=options["cluster"],
                zk=zk,
                zk_root=options["zk-root"],
                zk_session_timeout=options["zk-session-timeout"],
                node=options["node"],
                server_data=options["server_data"],
            )
        for endpoint in options["listen"]:
            await self._member.listen(endpoint)

    async def end(self) -> None:
        await self._member.stop()
        if self._zookeeper is not None:
            await self._zookeeper.stop()


def makeService(options: Options) -> Service:
    """What twistd runs; ends the process with one line where something cannot be exposed."""
    try:
        return Member(options)
    except ConfigurationError as error:
        sys.exit(f"twistd slacker: {error}")


def _exit_with_one(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _usage(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
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
