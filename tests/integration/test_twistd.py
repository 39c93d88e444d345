"""The twistd commands as processes: what they say to mistakes, how they serve, how they end."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from slacker import Client, ClusterClient, ConnectionLost
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from tests.integration.processes import TWISTD, Child, free_port, twistd, until
from tests.integration.real_zookeeper import require_real_zookeeper, shared_zookeeper

LOOPBACK = ":interface=127.0.0.1"
FUNCTIONS = """\
import os, pathlib, time

def process_id():
    return os.getpid()

def slow(seconds):
    pathlib.Path("slow-began").touch()
    time.sleep(seconds)
    return "finished"

EVERYTHING = {"slow": slow}
"""


class Processes(TestCase):
    """Starts twistd in a folder that has the module ``functions``, and ends it after the test."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        (self.folder / "functions.py").write_text(FUNCTIONS)

    def twistd(self, *arguments: str) -> Child:
        child = twistd(*arguments, cwd=self.folder)
        self.addCleanup(child.clean_up)
        return child

    def client(self, port: int) -> Client:
        client = Client(f"127.0.0.1:{port}")
        self.addCleanup(client.close)
        return client

    async def answers(self, client: Client, child: Child) -> int:
        """The process id that a server gives, as soon as it answers."""
        found: list[int] = []

        async def asked() -> bool:
            assert child.running, child.output
            try:
                found.append(await client.call("functions", "process-id"))
            except Exception:  # it does not listen yet
                return False
            return True

        await until(lambda: Deferred.fromCoroutine(asked()), "an answer")
        return found[0]


class MistakeTests(Processes):
    """Every mistake ends in one line on standard error and status 1."""

    async def refuses(self, cases: list[tuple[list[str], str]]) -> None:
        # All at once: each costs a second of start-up.
        children = [self.twistd(*arguments) for arguments, _ in cases]
        for child, (arguments, expected) in zip(children, cases, strict=True):
            self.assertEqual(await child.ended(), 1, f"{arguments}: {child.output}")
            self.assertEqual(child.errors.count("\n"), 1, f"{arguments}: {child.errors}")
            self.assertIn(expected, child.errors)
            self.assertNotIn("Traceback", child.output)

    async def test_on_the_command_line(self) -> None:
        enough = ["slacker", "--expose", "functions", "--listen", "tcp:0"]
        member = [*enough, "--cluster", "c", "--zk", "127.0.0.1:1"]
        await self.refuses(
            [
                (["slacker", "--expose", "no.such", "--listen", "tcp:0"], "there is no module 'no' here"),
                (["slacker", "--expose", "functions:no", "--listen", "tcp:0"], "has no 'no'"),
                (["slacker", "--nonsense"], "nonsense"),
                ([*enough, "--threads", "many"], "--threads 'many'"),
                ([*member, "--zk", "127.0.0.1:x"], "--zk '127.0.0.1:x'"),
                ([*member, "--server-data", "{:a"], "--server-data '{:a'"),
                ([*member, "--node", "a b"], "a b"),
            ]
        )

    async def test_about_where_to_listen(self) -> None:
        from twisted.internet import reactor

        taken = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(Protocol)
        )
        self.addCleanup(taken.stopListening)
        port = taken.getHost().port
        enough = ["slacker", "--expose", "functions", "--listen"]
        await self.refuses(
            [
                ([*enough, "nonsense"], "endpoint 'nonsense'"),
                ([*enough, "tcp:99999"], "endpoint 'tcp:99999'"),
                (
                    [*enough, f"tcp:{port}{LOOPBACK}"],
                    f"--listen 'tcp:{port}{LOOPBACK}': Address already in use",
                ),
                (
                    [*enough, "unix:/nonexistent/x"],
                    "--listen 'unix:/nonexistent/x': No such file or directory\n",
                ),
                ([*enough, "ssl:0"], "/server.pem\n"),
                ([*enough, "tcp:0", "--http", "unix:/no/such/x"], "--http 'unix:/no/such/x': No such file"),
                (["slacker-zookeeper", "--listen", "tcp:x"], "endpoint 'tcp:x'"),
                (["slacker-zookeeper", "--listen", f"tcp:{port}{LOOPBACK}"], "Address already in use"),
            ]
        )

    async def test_tls_without_its_libraries(self) -> None:
        (self.folder / "sitecustomize.py").write_text("import sys; sys.modules['OpenSSL'] = None")
        for endpoint in ("ssl:0", "tls:0"):
            child = Child.start(
                [TWISTD, "-n", "--pidfile=", "slacker", "--expose", "functions", "--listen", endpoint],
                cwd=self.folder,
                env={"PYTHONPATH": os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])},
            )
            self.addCleanup(child.clean_up)
            self.assertEqual(await child.ended(), 1)
            self.assertEqual(
                child.errors,
                f"twistd slacker: --listen: endpoint {endpoint!r} needs the extra tls: "
                "pip install 'txslacker[tls]'\n",
            )

    async def test_a_zookeeper_out_of_reach_for_longer_than_zk_wait(self) -> None:
        zk = f"127.0.0.1:{free_port(self)}"
        enough = ["slacker", "--expose", "functions", "--listen", f"tcp:0{LOOPBACK}"]
        await self.refuses(
            [
                (
                    [*enough, "--cluster", "c", "--zk", zk, "--zk-wait", "0.5"],
                    f"not published within --zk-wait 0.5 seconds; is ZooKeeper at {zk} running?",
                )
            ]
        )

    async def test_a_daemon_tells_the_process_that_started_it_and_leaves_no_pid_file(self) -> None:
        listen = ["slacker", "--expose", "functions", "--listen", "tcp:99999"]
        daemon = Child.start([TWISTD, "--pidfile=daemon.pid", *listen], cwd=self.folder)
        self.addCleanup(daemon.clean_up)
        self.assertEqual(await daemon.ended(), 1)
        self.assertIn("endpoint 'tcp:99999'", daemon.errors)
        await until(lambda: not (self.folder / "daemon.pid").exists(), "the pid file removed")

    async def test_a_daemon_says_that_a_port_is_in_use_in_the_100_bytes_that_it_has(self) -> None:
        from twisted.internet import reactor

        taken = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(Protocol)
        )
        self.addCleanup(taken.stopListening)
        endpoint = f"tcp:{taken.getHost().port}{LOOPBACK}"
        daemon = Child.start(
            [TWISTD, "--pidfile=daemon.pid", "slacker", "--expose", "functions", "--listen", endpoint],
            cwd=self.folder,
        )
        self.addCleanup(daemon.clean_up)
        self.assertEqual(await daemon.ended(), 1)
        self.assertIn(f"--listen '{endpoint}': Address already in use\"", daemon.errors)


class ServingTests(Processes):
    async def test_a_server_alone_answers_from_its_own_process(self) -> None:
        port = free_port(self)
        child = self.twistd("slacker", "--expose", "functions", "--listen", f"tcp:{port}{LOOPBACK}")
        self.assertEqual(await self.answers(self.client(port), child), child.pid)

    async def test_sigterm_ends_it_after_the_calls_that_run(self) -> None:
        port = free_port(self)
        child = self.twistd("slacker", "--expose", "functions", "--listen", f"tcp:{port}{LOOPBACK}")
        client = self.client(port)
        await self.answers(client, child)
        running = client.call("functions", "slow", [1.0])
        await until((self.folder / "slow-began").exists, "the call running")
        ended = child.stop("TERM")
        self.assertEqual(await running, "finished")
        self.assertEqual(await ended, 0)
        self.assertEqual(child.errors, "")

    async def test_a_second_signal_ends_it_at_once(self) -> None:
        for name, status in (("INT", 130), ("TERM", 143)):
            port = free_port(self)
            child = self.twistd("slacker", "--expose", "functions", "--listen", f"tcp:{port}{LOOPBACK}")
            client = self.client(port)
            await self.answers(client, child)
            (self.folder / "slow-began").unlink(missing_ok=True)
            running = client.call("functions", "slow", [60.0])
            self.addCleanup(running.addErrback, lambda _: None)
            await until((self.folder / "slow-began").exists, "the call running")
            child.signal(name)
            await child.printed(f"(TCP Port {port} Closed)")  # it drains
            self.assertTrue(child.running)
            self.assertEqual(await child.stop(name), status)
            self.assertEqual(
                child.errors, "a second signal: ending at once, whatever is still running\n", child.output
            )
            self.assertNotIn("Traceback", child.output)
            await self.assertFailure(running, ConnectionLost)

    async def test_the_log_says_what_is_exposed_and_where(self) -> None:
        port = free_port(self)
        child = self.twistd(
            *["slacker", "--expose", "functions", "--expose", "other=functions:EVERYTHING"],
            *["--listen", f"tcp:{port}{LOOPBACK}"],
        )
        await child.printed(f"serving functions (2 functions), other (1 function), on 127.0.0.1:{port}\n")
        self.assertNotIn("Factory", child.output)

    async def test_an_embedded_zookeeper_runs_in_the_same_process(self) -> None:
        port, zk = free_port(self), free_port(self)
        child = self.twistd(
            *["slacker", "--expose", "functions", "--listen", f"tcp:{port}{LOOPBACK}"],
            *["--cluster", "c", "--zk", f"embedded:{zk}", "--zk-wait", "20"],
        )
        await child.printed("is published")  # before that nobody has the namespace, as a call would hear
        cluster = ClusterClient("c", f"127.0.0.1:{zk}", timeout=30.0, grouping_results="map")
        self.addCleanup(cluster.close)
        self.assertEqual(list(await cluster.call("functions", "process-id")), [f"127.0.0.1:{port}"])

    async def test_without_zookeeper_it_serves_and_is_published_when_zookeeper_comes(self) -> None:
        port, zk = free_port(self), free_port(self)
        child = self.twistd(
            *["slacker", "--expose", "functions", "--listen", f"tcp:{port}{LOOPBACK}"],
            *["--cluster", "c", "--zk", f"127.0.0.1:{zk}"],
        )
        await self.answers(self.client(port), child)
        await child.printed("serving, but not published yet: connect: no ZooKeeper reached")
        self.assertEqual(child.output.count("no ZooKeeper reached"), 1, child.output)
        zookeeper = EmbeddedZooKeeper()
        self.addCleanup(zookeeper.stop)
        await zookeeper.listen(f"tcp:{zk}{LOOPBACK}")
        await child.printed("is published")
        cluster = ClusterClient("c", zookeeper.address, timeout=30.0)
        self.addCleanup(cluster.close)
        self.assertEqual(await cluster.call("functions", "process-id"), child.pid)


async def two_servers_and_a_client(test: Processes, zk: str) -> None:
    """Two twistd servers join a cluster and one leaves it, under the eyes of a client."""
    name = f"c-{uuid4().hex}"  # the real ZooKeeper is shared with other tests
    children: dict[str, Child] = {}
    for port in (free_port(test), free_port(test)):
        children[f"127.0.0.1:{port}"] = test.twistd(
            *["slacker", "--expose", "functions", "--listen", f"tcp:{port}{LOOPBACK}"],
            *["--cluster", name, "--zk", zk, "--zk-session-timeout", "10"],
        )
    for child in children.values():
        await child.printed("is published")
    cluster = ClusterClient(name, zk, timeout=30.0, grouping_results="map")
    test.addCleanup(cluster.close)
    on_all = cluster.function("functions/process-id", grouping="all")

    async def both() -> bool:
        return len(await on_all()) == 2

    await until(both, "both servers in the cluster")
    test.assertEqual(await on_all(), {address: child.pid for address, child in children.items()})
    leaving, staying = children
    await children[leaving].stop("TERM")
    test.assertEqual(await on_all(), {staying: children[staying].pid})


class ClusterTests(Processes):
    async def test_two_servers_and_a_client_on_the_embedded_zookeeper(self) -> None:
        port = free_port(self)
        self.twistd("slacker-zookeeper", "--listen", f"tcp:{port}{LOOPBACK}")
        await two_servers_and_a_client(self, f"127.0.0.1:{port}")

    async def test_two_servers_and_a_client_on_the_real_zookeeper(self) -> None:
        require_real_zookeeper(self)
        zk = await shared_zookeeper()
        await two_servers_and_a_client(self, zk.connect_string)
