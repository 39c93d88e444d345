"""``make demo``: a cluster at work on this machine, and what happens when one of its servers is killed.

One process is ZooKeeper (the embedded one), two are servers started with twistd, this one is the client.
The exit status is 0 only if everything happened as told.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater, react
from twisted.python.failure import Failure

from slacker import ClusterClient, ConnectionLost, RemoteError

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "slacker.example.api"
CLUSTER = "demo"
CALLERS = 20  # loops that call at the same time while a server is killed
PATIENCE = 30.0  # seconds for anything that has to happen; a loaded machine is slow
SESSION = 15.0  # seconds; so late does ZooKeeper say that a server died
NOTICED = 10.0  # seconds in which the client has to notice by itself; it takes a few milliseconds


class Broken(Exception):
    """Something did not happen as promised."""


class Child(ProcessProtocol):
    """A twistd process of this demo. Its output goes to a file and is shown if something goes wrong."""

    def __init__(self, reactor: IReactorProcess, log: Path, *arguments: str) -> None:
        self.log = log
        self._ended: Deferred[None] = Deferred()
        twistd = str(Path(sys.executable).with_name("twistd"))
        with log.open("ab") as output, open(os.devnull) as nothing:
            self._process = reactor.spawnProcess(
                self,
                twistd,
                [twistd, "-n", "--pidfile=", *arguments],
                env=dict(os.environ),
                path=str(ROOT),
                childFDs={0: nothing.fileno(), 1: output.fileno(), 2: output.fileno()},
            )
        self.pid = self._process.pid

    def processEnded(self, reason: Failure) -> None:
        self._ended.callback(None)

    @property
    def running(self) -> bool:
        return not self._ended.called

    def stop(self, number: int) -> Deferred[None]:
        """Send a signal; fires when the process has ended."""
        with suppress(ProcessExitedAlready):
            self._process.signalProcess(number)
        waiting: Deferred[None] = Deferred()
        self._ended.addCallback(lambda _: waiting.callback(None))
        return waiting


class Demo:
    def __init__(self, reactor: Any, folder: Path) -> None:
        self.reactor = reactor
        self.folder = folder
        self.children: dict[str, Child] = {}
        self.zk, *self.servers = (f"127.0.0.1:{port}" for port in free_ports(3))

    async def run(self) -> None:
        say("A slacker cluster on this machine")
        step("ZooKeeper (the embedded one) and two servers, each a twistd process")
        self.start("zookeeper", "slacker-zookeeper", "--listen", endpoint(self.zk))
        say(f"     ZooKeeper {self.zk}  pid {self.children['zookeeper'].pid}")
        for address in self.servers:
            self.start_server(address)
        cluster = ClusterClient(CLUSTER, self.zk, zk_session_timeout=SESSION)
        try:
            await self.story(cluster)
        finally:
            await cluster.close()

    async def story(self, cluster: ClusterClient) -> None:
        timestamp = cluster.function(f"{NAMESPACE}/timestamp", grouping_results="map", timeout=5.0)
        on_all = timestamp.with_options(grouping="all")

        async def all_there() -> bool:
            return set(await on_all.with_options(unavailable_value={})()) == set(self.servers)

        await self.until(all_there, "both servers to answer")

        step("A hundred calls of timestamp, each on a server chosen at random")
        spread: Counter[str] = Counter()
        for _ in range(100):
            spread.update((await timestamp()).keys())
        self.show(spread)
        require(sum(spread.values()) == 100 and set(spread) == set(self.servers), "calls on both servers")

        step("echo, of a value with everything in it")
        value = {"text": "grüezi", "numbers": [1, 2.5, 2**70], "nothing": None}
        answer = await cluster.function(f"{NAMESPACE}/echo")(value)
        say(f"     {answer}")
        require(answer == value, "echo returns what it was given")

        step("timestamp on all servers, the answers as a map")
        answers = await on_all()
        for address, milliseconds in sorted(answers.items()):
            say(f"     {address}  {milliseconds}")
        require(set(answers) == set(self.servers), "an answer of each server")

        step("make-error raises on the server; here it is")
        try:
            await cluster.function(f"{NAMESPACE}/make-error")()
        except RemoteError as error:
            say(f"     RemoteError: {error}")
        else:
            raise Broken("make-error did not raise")

        await self.kill_one_under_load(cluster)

    async def kill_one_under_load(self, cluster: ClusterClient) -> None:
        victim, survivor = self.servers
        step(f"SIGKILL for {victim}, while {CALLERS} callers call as fast as they can")
        load = Load(cluster)
        running = [Deferred.fromCoroutine(load.caller()) for _ in range(CALLERS)]
        try:
            await self.until(lambda: load.by_server[victim] > 100, "calls on both servers")
            before = sum(load.by_server.values())
            load.killed = victim
            await self.children.pop(victim).stop(signal.SIGKILL)
            await self.until(load.noticed, "the client to notice the broken connection", NOTICED)
            load.by_server.clear()
            await self.until(
                lambda: load.by_server[survivor] >= 1000, "the other server to take a thousand calls"
            )
            say(f"     answered before the kill       {before:6,d}")
            say(f"     in flight on it, and lost      {load.lost:6,d}  (ConnectionLost)")
            say(f"     answered after that            {sum(load.by_server.values()):6,d}")
            say(f"     failed after that              {len(load.failed):6,d}")

            step("The killed server is started again")
            since = self.reactor.seconds()
            load.by_server.clear()
            self.start_server(victim)
            await self.until(lambda: load.by_server[victim], "calls on the server started again")
            say(f"     it gets calls again after {self.reactor.seconds() - since:.1f} s")
            load.by_server.clear()
            await self.until(
                lambda: all(load.by_server[address] > 100 for address in self.servers),
                "calls on both servers again",
            )
        finally:
            load.stopping = True
            await DeferredList(running)
        self.show(load.by_server)
        require(not load.failed, f"no later call fails, but: {load.failed[:3]}")

    def start(self, name: str, *arguments: str) -> None:
        self.children[name] = Child(self.reactor, self.folder / f"{name}.log", *arguments)

    def start_server(self, address: str) -> None:
        self.start(
            address,
            "slacker",
            *["--expose", f"{NAMESPACE}=examples.api", "--listen", endpoint(address)],
            *["--cluster", CLUSTER, "--zk", self.zk, "--zk-session-timeout", str(SESSION), "--node", address],
        )
        say(f"     server    {address}  pid {self.children[address].pid}")

    def show(self, calls: Counter[str]) -> None:
        for address in self.servers:
            say(f"     {address}  {calls[address]:6,d} calls")

    async def until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
        deadline = self.reactor.seconds() + patience
        while True:
            result = condition()
            if isinstance(result, Coroutine):
                result = await result
            if result:
                return
            for name, child in self.children.items():
                require(child.running, f"the process of {name} goes on")
            require(self.reactor.seconds() < deadline, f"{what} within {patience:g} s")
            await deferLater(self.reactor, 0.05)

    async def clean_up(self) -> None:
        await DeferredList([child.stop(signal.SIGKILL) for child in self.children.values() if child.running])

    def show_logs(self) -> None:
        for log in sorted(self.folder.glob("*.log")):
            say(f"\n--- last lines of {log.stem} ---")
            say("\n".join(log.read_text("utf-8", "replace").splitlines()[-15:]))


class Load:
    """Callers that call all the time, and what became of their calls."""

    def __init__(self, cluster: ClusterClient) -> None:
        self._timestamp = cluster.function(f"{NAMESPACE}/timestamp", grouping_results="map", timeout=5.0)
        self._cluster = cluster
        self._noticed = False
        self.killed: str | None = None  # the server that is, as soon as it may be
        self.by_server: Counter[str] = Counter()
        self.lost = 0
        self.failed: list[str] = []
        self.stopping = False

    def noticed(self) -> bool:
        """Whether the client has seen the connection to the killed server break, and chooses it no more.

        Until then (about as long as the kernel takes to close the socket) a call may still be sent there.
        """
        if not self._noticed and self.killed is not None:
            self._noticed = self.killed not in self._cluster.servers(NAMESPACE)
        return self._noticed

    async def caller(self) -> None:
        while not self.stopping:
            late = self.noticed()
            try:
                self.by_server.update((await self._timestamp()).keys())
            except ConnectionLost as error:
                if self.killed is None or late:
                    self.failed.append(repr(error))
                else:
                    self.lost += 1
            except Exception as error:
                self.failed.append(repr(error))


def endpoint(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"tcp:{port}:interface={host}"


def free_ports(count: int) -> list[int]:
    """TCP ports below those of the system for connections, one of which could take a killed server's."""
    ports: set[int] = set()
    while len(ports) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.add(port)
    return [*ports]


def require(truth: object, promise: str) -> None:
    if not truth:
        raise Broken(f"promised, but not kept: {promise}")


_steps = 0


def step(text: str) -> None:
    global _steps  # noqa: PLW0603  # one story per process
    _steps += 1
    say(f"\n{_steps:2}. {text}")


def say(text: str) -> None:
    print(text, flush=True)


async def main(reactor: IReactorTime) -> None:
    began = reactor.seconds()
    with tempfile.TemporaryDirectory(prefix="slacker-demo-") as folder:
        demo = Demo(reactor, Path(folder))
        # Also on Ctrl-C, which ends the reactor and not this function.
        reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(demo.clean_up()))  # type: ignore[attr-defined]  # the reactor is this, too
        try:
            await demo.run()
        except Exception as error:
            demo.show_logs()
            if not isinstance(error, Broken):
                raise
            say(f"\n{error}")
            raise SystemExit(1) from None
        finally:
            await demo.clean_up()
    say(f"\nAll as promised, in {reactor.seconds() - began:.1f} seconds.")


if __name__ == "__main__":
    react(main)
