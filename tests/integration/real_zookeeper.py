"""The real ZooKeeper of Debian's package ``zookeeper``, as child processes on free loopback ports.

A test class that needs it says ``require_real_zookeeper(self)`` in its ``setUp`` and then either takes the
instance that all tests of this process share (``await shared_zookeeper()``; keep to a path of your own), or
starts its own ``RealZooKeeper(nodes=3)`` to kill, pause and restart.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from slacker.address import parse_address
from tests.certificates import Authority
from tests.integration.processes import PATIENCE, Child, deferred, reserve_ports, until
from tests.skips import leave_out

_JARS = [Path("/usr/share/java") / name for name in ("zookeeper.jar", "slf4j-log4j12.jar", "log4j-1.2.jar")]
_NETTY = [
    Path("/usr/share/java") / f"netty-{part}.jar"
    for part in ("buffer", "codec", "common", "handler", "resolver", "transport", "transport-native-epoll")
] + [Path("/usr/share/java/netty-transport-native-unix-common.jar")]
_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
_LOGGING = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1} %m%n
"""
_CONFIGURATION = """\
tickTime=500
clientPort={port}
clientPortAddress=127.0.0.1
dataDir={folder}
admin.enableServer=false
4lw.commands.whitelist=*
maxClientCnxns=0
minSessionTimeout=1000
maxSessionTimeout=40000
"""
_SASL = """\
authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider
"""
_TLS = """\
serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory
secureClientPort={port}
secureClientPortAddress=127.0.0.1
ssl.keyStore.location={folder}/server.pem
ssl.keyStore.type=PEM
ssl.trustStore.location={folder}/authority.pem
ssl.trustStore.type=PEM
ssl.clientAuth={client_auth}
"""


def missing() -> str | None:
    """What keeps the real ZooKeeper from running here, as a sentence; None if nothing does."""
    if shutil.which("java") is None or not all(jar.exists() for jar in _JARS):
        return "left out: it needs the real ZooKeeper (on Debian and Ubuntu: apt install zookeeper)"
    return None


def require_real_zookeeper(testcase: SynchronousTestCase) -> None:
    """Skip the test where there is no real ZooKeeper; with ``SLACKER_REQUIRE_ZOOKEEPER=1`` fail it."""
    reason = missing()
    if reason is not None:
        leave_out(testcase, reason)


class RealZooKeeper:
    """A ZooKeeper of one node, or an ensemble of three; nodes are named by their index from 0.

    A node that was killed or stopped keeps its port and data, and ``restart`` brings it back.

    :param users: passwords by user: clients may authenticate with SASL (DIGEST-MD5).
    :param tls: a node listens for TLS at :attr:`secure_address`, too; ``none``, ``want`` or ``need`` say
        whether clients have to show a certificate.
    :param settings: lines for the configuration file.
    :ivar authority: where ``tls`` is given, who signed the server's certificate; from the start on.
    """

    authority: Authority

    def __init__(
        self,
        nodes: int = 1,
        *,
        users: Mapping[str, str] | None = None,
        tls: str | None = None,
        settings: str = "",
    ) -> None:
        self._count = nodes
        self._users = users
        self._tls = tls
        self._settings = settings
        self._secure_port = 0
        self._folder: Path | None = None
        self._ports: list[int] = []
        self._release_ports: Callable[[], None] = lambda: None
        self._children: list[Child | None] = [None] * nodes

    @property
    def addresses(self) -> list[str]:
        """``host:port`` of each node."""
        return [f"127.0.0.1:{port}" for port in self._ports]

    @property
    def connect_string(self) -> str:
        """What a client is given: all addresses, joined by commas."""
        return ",".join(self.addresses)

    @property
    def secure_address(self) -> str:
        """``host:port`` where a single node listens for TLS."""
        return f"127.0.0.1:{self._secure_port}"

    @property
    def running(self) -> bool:
        """Whether every node's process is alive."""
        return all(child is not None and child.running for child in self._children)

    @deferred
    async def start(self) -> None:
        """Start all nodes; fires when clients can write. Tried again if somebody took a port meanwhile."""
        for last_try in (False, False, True):
            self._prepare()
            for index in range(self._count):
                self._spawn(index)
            try:
                await DeferredList([self.serving(i) for i in range(self._count)], fireOnOneErrback=True)
                return
            except Exception:
                in_use = any("Address already in use" in self._log(i) for i in range(self._count))
                await self.stop()
                if last_try or not in_use:
                    raise

    @deferred
    async def stop(self) -> None:
        """Kill all nodes and forget their data; fires when they are gone."""
        await DeferredList([child.clean_up() for child in self._children if child is not None])
        self._children = [None] * self._count
        self._release_ports()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    @deferred
    async def kill(self, index: int = 0, signal: str = "KILL") -> None:
        """End one node with a signal; fires when it is gone."""
        await self._child(index).stop(signal)

    @deferred
    async def restart(self, index: int = 0) -> None:
        """Start a node again, on its port and data (killing it first if it runs); fires when it serves."""
        await self._child(index).clean_up()
        self._spawn(index)
        await self.serving(index)

    def pause(self, index: int = 0) -> None:
        """Freeze a node: its connections stay open and nothing is answered."""
        self._child(index).signal("STOP")

    def resume(self, index: int = 0) -> None:
        """Let a frozen node go on."""
        self._child(index).signal("CONT")

    @deferred
    async def serving(self, index: int = 0, patience: float = PATIENCE) -> None:
        """Fires when the node serves clients (as standalone, leader or follower)."""

        async def serves() -> bool:
            if not self._child(index).running:
                raise AssertionError(f"ZooKeeper node {index} ended:\n{self._log(index)}")
            return await self.mode(index) != ""

        await until(lambda: Deferred.fromCoroutine(serves()), f"ZooKeeper node {index} serving", patience)

    @deferred
    async def mode(self, index: int = 0) -> str:
        """``standalone``, ``leader`` or ``follower``; empty while the node does not serve."""
        for line in (await four_letter_word(self.addresses[index], "srvr")).splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ")
        return ""

    @deferred
    async def leader_index(self) -> int:
        """The index of the node that leads now; waits for an election that is under way."""
        found: list[int] = []

        async def look() -> bool:
            for index, child in enumerate(self._children):
                if child is not None and child.running and await self.mode(index) in ("leader", "standalone"):
                    found.append(index)
                    return True
            return False

        await until(lambda: Deferred.fromCoroutine(look()), "a leader")
        return found[0]

    def _child(self, index: int) -> Child:
        child = self._children[index]
        assert child is not None, "not started"
        return child

    def _log(self, index: int) -> str:
        assert self._folder is not None
        return (self._folder / f"{index}.log").read_text("utf-8", "replace")

    def _prepare(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="slacker-zookeeper-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        (self._folder / "log4j.properties").write_text(_LOGGING)
        first, self._release_ports = reserve_ports(3 * self._count + 1)
        free = iter(range(first, first + 3 * self._count + 1))
        self._ports = [next(free) for _ in range(self._count)]
        more = self._settings
        if self._count > 1:
            more += "initLimit=10\nsyncLimit=5\n" + "".join(
                f"server.{n}=127.0.0.1:{next(free)}:{next(free)}\n" for n in range(1, self._count + 1)
            )
        if self._users is not None:
            more += _SASL
            users = "".join(f'  user_{user}="{password}"\n' for user, password in self._users.items())
            module = "org.apache.zookeeper.server.auth.DigestLoginModule required"
            (self._folder / "jaas.conf").write_text(f"Server {{\n  {module}\n{users};\n}};\n")
        if self._tls is not None:
            self.authority = Authority(self._folder)
            certificate, key = self.authority.issue("zookeeper", hosts=["127.0.0.1"])
            both = Path(key).read_bytes() + Path(certificate).read_bytes()
            (self._folder / "server.pem").write_bytes(both)
            self._secure_port = next(free)
            more += _TLS.format(port=self._secure_port, folder=self._folder, client_auth=self._tls)
        for index, port in enumerate(self._ports):
            data = self._folder / str(index)
            data.mkdir()
            (data / "myid").write_text(str(index + 1))
            text = _CONFIGURATION.format(port=port, folder=data) + more
            (self._folder / f"{index}.cfg").write_text(text)

    def _spawn(self, index: int) -> None:
        assert self._folder is not None
        java = [
            "java",
            "-Xmx256m",
            "-XX:TieredStopAtLevel=1",  # starts sooner, and these processes never live long
            f"-Dlog4j.configuration=file:{self._folder / 'log4j.properties'}",
            *([f"-Djava.security.auth.login.config={self._folder / 'jaas.conf'}"] if self._users else []),
            "-cp",
            ":".join(map(str, _JARS if self._tls is None else _JARS + _NETTY)),
            _MAIN,
            str(self._folder / f"{index}.cfg"),
        ]
        # A trial process that is killed takes its ZooKeeper with it, where the system has the means.
        guard = shutil.which("setpriv")
        command = [guard, "--pdeathsig", "KILL", "--", *java] if guard else java
        log = os.open(self._folder / f"{index}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            child = Child.start(command, output_to=log)
        finally:
            os.close(log)
        self._children[index] = child
        atexit.register(child.signal, "KILL")


class _Collect(Protocol):
    """Sends a four-letter word and keeps the answer until the server closes."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._parts: list[bytes] = []
        self.answer: Deferred[str] = Deferred(lambda _: self._give_up())

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._word.encode("ascii"))

    def dataReceived(self, data: bytes) -> None:
        self._parts.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            self.answer.callback(b"".join(self._parts).decode("utf-8", "replace"))

    def _give_up(self) -> None:
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]  # every TCP transport has it


@deferred
async def four_letter_word(address: str, word: str, timeout: float = 2.0) -> str:
    """What the node answers to ``ruok``, ``srvr``…; empty if nothing came within ``timeout`` seconds."""
    from twisted.internet import reactor

    host, port = parse_address(address)
    factory = Factory.forProtocol(lambda: _Collect(word))
    factory.noisy = False
    try:
        endpoint = TCP4ClientEndpoint(reactor, host, port, timeout=timeout)
        protocol = await endpoint.connect(factory)
        assert isinstance(protocol, _Collect)
        return await protocol.answer.addTimeout(timeout, reactor)
    except Exception:  # refused, reset, silent: it does not serve
        return ""


_shared: RealZooKeeper | None = None


@deferred
async def shared_zookeeper() -> RealZooKeeper:
    """The single node that this process's tests share, started when first asked for (about two seconds).

    It ends with the process. Keep to a path of your own, and don't kill or pause it.
    """
    global _shared  # noqa: PLW0603  # one per process is the point
    if _shared is None or not _shared.running:
        fresh = RealZooKeeper()
        await fresh.start()
        _shared = fresh
    return _shared
