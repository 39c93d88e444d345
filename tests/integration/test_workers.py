"""``twistd slacker --workers`` as processes: how they start, are replaced, stop, and end in one line."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from slacker import Client, ClusterClient
from slacker.zookeeper import ZookeeperClient
from tests.integration.processes import TWISTD, Child, connected, free_port, free_ports, python, twistd, until

LOOPBACK = ":interface=127.0.0.1"
FUNCTIONS = """\
import os, pathlib, time

def process_id():
    return os.getpid()

def say(text):
    print(text)
    os.write(1, b"and to the pipe\\n")

def slow(seconds):
    pathlib.Path("slow-began").touch()
    time.sleep(seconds)
    return "finished"
"""


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # one that ended, and nobody asked how


def kill(pid: int) -> None:
    """End it, if it lives."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Workers(TestCase):
    """Starts ``twistd slacker`` in a folder that has the module ``functions``; ends all its processes."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        (self.folder / "functions.py").write_text(FUNCTIONS)

    def twistd(self, *arguments: str) -> Child:
        child = twistd("slacker", "--expose", "functions", *arguments, cwd=self.folder)
        self.addCleanup(child.clean_up)
        return child

    async def client(self, port: int) -> Client:
        """One that is connected."""
        client = Client(f"127.0.0.1:{port}")
        self.addCleanup(client.close)
        return await connected(client)

    async def three_in_a_cluster(self) -> tuple[Child, ClusterClient, int]:
        """A supervisor of three, and a client that knows them all; the first one's port."""
        port, zk = free_ports(self, 3), free_port(self)
        child = self.twistd(
            *["--listen", f"tcp:{port}{LOOPBACK}", "--workers", "3"],
            *["--cluster", "c", "--zk", f"embedded:{zk}", "--zk-wait", "20", "--zk-session-timeout", "2"],
        )
        await child.printed("3 workers serve")
        cluster = ClusterClient("c", f"127.0.0.1:{zk}", timeout=30.0)
        self.addCleanup(cluster.close)
        await self.processes(cluster, {f"127.0.0.1:{port + index}" for index in range(3)})
        return child, cluster, port

    async def processes(self, cluster: ClusterClient, addresses: set[str]) -> dict[str, int]:
        """The process ids behind these addresses, as soon as a call to all reaches just them."""
        on_all = cluster.function("functions/process-id", grouping="all", grouping_results="map")
        found: dict[str, int] = {}

        async def complete() -> bool:
            found.clear()
            with contextlib.suppress(Exception):  # one of them has died, and ZooKeeper does not know yet
                found.update(await on_all())
            return set(found) == addresses

        await until(lambda: Deferred.fromCoroutine(complete()), f"answers of {addresses}")
        return dict(found)


class ServingTests(Workers):
    async def test_each_is_a_member_of_the_cluster_and_one_that_is_killed_is_replaced(self) -> None:
        child, cluster, port = await self.three_in_a_cluster()
        addresses = {f"127.0.0.1:{port + index}" for index in range(3)}
        before = await self.processes(cluster, addresses)
        self.assertEqual(len({*before.values(), child.pid}), 4)
        second = f"127.0.0.1:{port + 1}"
        os.kill(before[second], signal.SIGKILL)
        await child.printed("worker 2 ended: by signal SIGKILL; the next in 0.5 seconds")

        async def replaced() -> bool:
            return (await self.processes(cluster, addresses))[second] != before[second]

        await until(lambda: Deferred.fromCoroutine(replaced()), "another process behind the address")
        after = await self.processes(cluster, addresses)
        self.assertEqual(
            {address for address in addresses if before[address] != after[address]}, {second}, child.output
        )

    async def test_sigterm_ends_all_of_them_after_their_calls_and_none_stays_registered(self) -> None:
        zookeeper = twistd("slacker-zookeeper", "--listen", f"tcp:{(zk := free_port(self))}{LOOPBACK}")
        self.addCleanup(zookeeper.clean_up)
        child = self.twistd(
            *["--listen", f"tcp:{(port := free_ports(self, 3))}{LOOPBACK}", "--workers", "3"],
            *["--cluster", "c", "--zk", f"127.0.0.1:{zk}", "--zk-wait", "20"],
        )
        await child.printed("3 workers serve")
        looking = ZookeeperClient(f"127.0.0.1:{zk}")
        self.addCleanup(looking.close)
        await looking.connect()
        servers = "/slacker/cluster/c/servers"
        self.assertEqual(
            sorted(await looking.get_children(servers)), [f"127.0.0.1:{port + index}" for index in range(3)]
        )
        client = await self.client(port + 2)
        running = client.call("functions", "slow", [1.0])
        await until((self.folder / "slow-began").exists, "the call running")
        ended = child.stop("TERM")
        self.assertEqual(await running, "finished")
        self.assertEqual(await ended, 0)
        self.assertEqual(child.errors, "")
        # Not left to their sessions' timeouts.
        self.assertEqual(await looking.get_children(servers), [])

    async def test_what_they_say_is_in_the_log_with_their_names(self) -> None:
        port = free_ports(self, 2)
        child = self.twistd("--listen", f"tcp:{port}{LOOPBACK}", "--workers", "2")
        await child.printed("2 workers serve")
        client = await self.client(port + 1)
        await client.call("functions", "say", ["hello"])
        await child.printed("[worker 2] and to the pipe\n")
        await child.printed("] hello\n")
        (hello,) = [line for line in child.output.splitlines() if line.endswith("] hello")]
        self.assertIn("[worker 2: ", hello)
        self.assertIn("[worker 1: slacker.tap.worker.Worker#info] serving functions", child.output)

    async def test_a_second_signal_ends_all_at_once(self) -> None:
        port = free_ports(self, 2)
        child = self.twistd("--listen", f"tcp:{port}{LOOPBACK}", "--workers", "2")
        await child.printed("2 workers serve")
        client = await self.client(port)
        pid = await client.call("functions", "process-id")
        running = client.call("functions", "slow", [60.0])
        self.addCleanup(running.addErrback, lambda _: None)
        await until((self.folder / "slow-began").exists, "the call running")
        child.signal("TERM")
        await child.printed(f"(TCP Port {port} Closed)")
        self.assertEqual(await child.stop("TERM"), 143)
        await until(lambda: not lives(pid), "the worker gone")

    async def test_a_signal_to_all_of_them_as_ctrl_c_sends_it_is_one_signal_to_each(self) -> None:
        port = free_ports(self, 2)
        child = self.twistd("--listen", f"tcp:{port}{LOOPBACK}", "--workers", "2")
        await child.printed("2 workers serve")
        client = await self.client(port)
        pid = await client.call("functions", "process-id")
        running = client.call("functions", "slow", [1.0])
        await until((self.folder / "slow-began").exists, "the call running")
        os.kill(pid, signal.SIGINT)
        ended = child.stop("INT")
        self.assertEqual(await running, "finished")
        self.assertEqual(await ended, 0)
        self.assertNotIn("second signal", child.output)

    async def test_workers_do_not_outlive_a_supervisor_that_is_killed(self) -> None:
        port = free_ports(self, 2)
        child = self.twistd("--listen", f"tcp:{port}{LOOPBACK}", "--workers", "2")
        await child.printed("2 workers serve")
        pids = []
        for index in range(2):
            client = await self.client(port + index)
            pids.append(await client.call("functions", "process-id"))
        running = client.call("functions", "slow", [1.0])
        await until((self.folder / "slow-began").exists, "the call running")
        await child.stop("KILL")
        self.assertEqual(await running, "finished")  # orphans finish what they do
        await until(lambda: not any(map(lives, pids)), "the workers gone")

    async def test_one_without_a_supervisor_ends_even_if_its_reactor_is_kept_busy(self) -> None:
        (self.folder / "busy.py").write_text(
            "import time\n"
            "from twisted.internet import reactor\n"
            "reactor.callWhenRunning(time.sleep, 60)\n"
            "def nothing(): pass\n"
        )
        worker = python(  # nobody holds its standard input open
            *["-c", "from slacker.tap.worker import main; main(reactor_name=None, folder='.', patience=0.2)"],
            *["--expose=functions", "--expose=busy", f"--listen=tcp:0{LOOPBACK}"],
            cwd=self.folder,
        )
        self.addCleanup(worker.clean_up)
        self.assertEqual(await worker.ended(), 1)
        self.assertIn("up, as process", worker.output)

    async def test_a_server_shut_down_by_its_manager_is_not_replaced_and_the_last_ends_the_supervisor(
        self,
    ) -> None:
        port, zk = free_ports(self, 2), free_port(self)
        child = self.twistd(
            *["--listen", f"tcp:{port}{LOOPBACK}", "--workers", "2", "--manager"],
            *["--cluster", "c", "--zk", f"embedded:{zk}"],
        )
        await child.printed("2 workers serve")
        for index in range(2):
            client = await self.client(port + index)
            await client.call("slacker.cluster.manager", "shutdown")
            await child.printed(f"worker {index + 1} has ended, as it was told")
        self.assertEqual(await child.ended(), 0)

    async def test_a_daemon_has_workers_too(self) -> None:
        port = free_ports(self, 2)
        files = ["--pidfile=daemon.pid", "--logfile=daemon.log"]
        enough = ["--expose", "functions", "--listen", f"tcp:{port}{LOOPBACK}", "--workers", "2"]
        daemon = Child.start([TWISTD, *files, "slacker", *enough], cwd=self.folder)
        self.addCleanup(daemon.clean_up)
        self.assertEqual(await daemon.ended(), 0, daemon.output)
        pid = int((self.folder / "daemon.pid").read_text())
        self.addCleanup(kill, pid)
        log = self.folder / "daemon.log"
        await until(lambda: "2 workers serve" in log.read_text(), "the workers in the log")
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not lives(pid), "the daemon gone")
        self.assertFalse((self.folder / "daemon.pid").exists())
        self.assertIn("[worker 2: ", log.read_text())


class MistakeTests(Workers):
    async def refused(self, child: Child) -> str:
        """The one line that is said before it ends with status 1."""
        self.assertEqual(await child.ended(), 1, child.output)
        self.assertEqual(child.errors.count("\n"), 1, child.errors)
        self.assertNotIn("Traceback", child.output)
        return child.errors

    async def test_on_the_command_line_is_said_once_and_nothing_is_started(self) -> None:
        cases = [
            (["--listen", "tcp:0", "--workers", "0"], "--workers '0' should be a whole number"),
            (["--listen", "unix:x", "--workers", "2"], "'unix:x' cannot be shared out"),
            (["--expose", "functions", "--listen", "tcp:0", "--workers", "2"], "two functions meet"),
        ]
        children = [self.twistd(*arguments) for arguments, _ in cases]
        for child, (_, expected) in zip(children, cases, strict=True):
            self.assertIn(expected, await self.refused(child))
            self.assertNotIn("worker 1", child.output)

    async def test_what_no_worker_can_do_is_said_by_the_first(self) -> None:
        child = self.twistd(
            *["--listen", f"tcp:0{LOOPBACK}", "--workers", "3", "--cluster", "a/b", "--zk", "127.0.0.1:1"]
        )
        line = await self.refused(child)
        self.assertTrue(line.startswith("twistd slacker: worker 1: "), line)
        self.assertIn("a/b", line)
        self.assertNotIn("worker 2", child.output)

    async def test_a_port_in_use_ends_all(self) -> None:
        from twisted.internet import reactor

        port = free_ports(self, 2)
        taken = await TCP4ServerEndpoint(reactor, port + 1, interface="127.0.0.1").listen(
            Factory.forProtocol(Protocol)
        )
        self.addCleanup(taken.stopListening)
        child = self.twistd("--listen", f"tcp:{port}{LOOPBACK}", "--workers", "2")
        self.assertEqual(
            await self.refused(child),
            f"twistd slacker: worker 2: --listen 'tcp:{port + 1}{LOOPBACK}': Address already in use\n",
        )
        self.assertIn(f"(TCP Port {port} Closed)", child.output)  # the first was stopped properly
