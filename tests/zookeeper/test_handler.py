"""What stands between kazoo's thread and the reactor."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper import ZookeeperTls
from slacker.zookeeper.handler import Mailbox, ReactorHandler
from tests.certificates import Authority
from tests.zookeeper.fakes import FakeReactor


class MailboxTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.mailbox = Mailbox(self.reactor)
        self.seen: list[object] = []

    def deliver(self) -> None:
        while self.reactor.from_threads:
            function, args, kwargs = self.reactor.from_threads.popleft()
            function(*args, **kwargs)

    def test_calls_from_threads_arrive_in_order_with_one_wake_up(self) -> None:
        def put() -> None:
            for number in range(100):
                self.mailbox.put(self.seen.append, number)

        thread = threading.Thread(target=put)
        thread.start()
        thread.join()
        self.assertEqual(self.seen, [])
        self.assertEqual(len(self.reactor.from_threads), 1)
        self.deliver()
        self.assertEqual(self.seen, list(range(100)))

    def test_what_a_call_puts_in_comes_after_what_was_there(self) -> None:
        self.mailbox.put(lambda: self.mailbox.put(self.seen.append, "third"))
        self.mailbox.put(self.seen.append, "second")
        self.deliver()
        self.assertEqual(self.seen, ["second", "third"])

    def test_a_call_that_raises_is_logged_and_keeps_nobody_waiting(self) -> None:
        self.mailbox.put(lambda: 1 // 0)
        self.mailbox.put(self.seen.append, "next")
        self.deliver()
        self.assertEqual(self.seen, ["next"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_closed_mailbox_delivers_nothing_more(self) -> None:
        self.mailbox.put(self.mailbox.close)
        self.mailbox.put(self.seen.append, "late")
        self.deliver()
        self.mailbox.put(self.seen.append, "later")
        self.deliver()
        self.assertEqual(self.seen, [])
        self.assertEqual(len(self.reactor.from_threads), 0)


class ObservedSocketTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.handler = ReactorHandler(Mailbox(FakeReactor()), connect_timeout=5.0)
        self.socket = self.handler.create_connection(self.listening.getsockname(), timeout=1.0)
        self.addCleanup(self.socket.close)
        self.peer, _ = self.listening.accept()
        self.addCleanup(self.peer.close)

    def test_it_knows_both_ends(self) -> None:
        self.assertEqual((self.socket.local_host, self.socket.peer_host), ("127.0.0.1", "127.0.0.1"))

    def test_it_reads_the_session_timeout_from_the_first_answer_however_it_is_cut(self) -> None:
        answer = b"\x00\x00\x00\x24" + b"\x00\x00\x00\x00" + (4500).to_bytes(4, "big") + b"rest"
        self.assertIsNone(self.socket.session_timeout)
        self.assertIsNone(self.socket.last_read)
        self.peer.sendall(answer)
        read = b""
        while len(read) < len(answer):
            read += self.socket.recv(5)
        self.assertEqual(read, answer)
        self.assertEqual(self.socket.session_timeout, 4.5)
        self.assertIsNotNone(self.socket.last_read)

    def test_the_end_of_the_stream_is_no_contact(self) -> None:
        self.peer.close()
        self.assertEqual(self.socket.recv(1), b"")
        self.assertIsNone(self.socket.last_read)

    def test_abort_ends_a_read_that_waits(self) -> None:
        self.handler.abort()
        self.assertEqual(self.socket.recv(1), b"")
        self.socket.close()
        self.handler.abort()  # gone already: no matter

    def test_sasl_that_comes_to_no_end_is_given_up(self) -> None:
        request = (8).to_bytes(4, "big") + (1).to_bytes(4, "big") + (102).to_bytes(4, "big")
        self.peer.sendall(b"x" * 20)
        for _ in range(10):
            self.socket.send(memoryview(request))
            self.assertEqual(self.socket.recv(1), b"x")
        self.socket.send(memoryview(request))
        with self.assertRaises(ConnectionResetError):
            self.socket.recv(1)


class ProblemTests(SynchronousTestCase):
    """Why there is no connection is told on the reactor, with the address."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.problems: list[str] = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.address = self.listening.getsockname()

    def handler(self, tls: ZookeeperTls | None = None) -> ReactorHandler:
        return ReactorHandler(Mailbox(self.reactor), 5.0, tls, self.problems.append)

    def told(self) -> list[str]:
        while self.reactor.from_threads:
            function, args, kwargs = self.reactor.from_threads.popleft()
            function(*args, **kwargs)
        return [problem.removeprefix(f"127.0.0.1:{self.address[1]}: ") for problem in self.problems]

    def test_a_port_where_nobody_listens(self) -> None:
        self.listening.close()
        with self.assertRaises(OSError):
            self.handler().create_connection(self.address, timeout=1.0)
        self.assertEqual(self.told(), ["Connection refused"])

    def test_a_server_that_closes_without_an_answer(self) -> None:
        connection = self.handler().create_connection(self.address, timeout=1.0)
        self.addCleanup(connection.close)
        self.listening.accept()[0].close()
        self.assertEqual(connection.recv(1), b"")
        self.assertIn("without an answer", self.told()[0])

    def test_a_server_that_closes_later_is_no_problem_of_connecting(self) -> None:
        connection = self.handler().create_connection(self.address, timeout=1.0)
        self.addCleanup(connection.close)
        peer, _ = self.listening.accept()
        peer.sendall(b"x")
        peer.close()
        self.assertEqual((connection.recv(1), connection.recv(1)), (b"x", b""))
        connection.setblocking(False)
        self.assertEqual(self.told(), [])

    def test_nothing_to_read_yet_is_no_problem(self) -> None:
        connection = self.handler().create_connection(self.address, timeout=1.0)
        self.addCleanup(connection.close)
        connection.setblocking(False)
        with self.assertRaises(BlockingIOError):
            connection.recv(1)
        self.assertEqual(self.told(), [])

    def test_a_file_for_tls_that_has_gone_since(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        path = Authority(folder).path
        tls = ZookeeperTls(ca=path)
        Path(path).unlink()
        with self.assertRaises(OSError):
            self.handler(tls).create_connection(self.address, timeout=1.0)
        self.assertIn(f"the ca file {path}: No such file", self.told()[0])


class ThreadTests(SynchronousTestCase):
    def test_what_ends_a_thread_is_not_printed(self) -> None:
        printed: list[object] = []
        self.patch(threading, "excepthook", printed.append)

        def broken(number: int) -> None:
            raise ValueError(number)

        ReactorHandler(Mailbox(FakeReactor()), 1.0).spawn(broken, 7).join()
        self.assertEqual(printed, [])


class WakeUpTests(SynchronousTestCase):
    def test_a_full_wake_up_pair_raises_instead_of_blocking_the_reactor(self) -> None:
        thread_end, caller_end = ReactorHandler(Mailbox(FakeReactor()), 1.0).create_socket_pair()
        self.addCleanup(thread_end.close)
        self.addCleanup(caller_end.close)
        with self.assertRaises(BlockingIOError):
            for _ in range(1_000_000):
                caller_end.send(b"\0")
