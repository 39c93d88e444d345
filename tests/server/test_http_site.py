"""What the gateway's connections bear of a client."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from slacker.content import loads
from slacker.content.values import Keyword
from slacker.server import Limits, http_site, nonblocking
from slacker.server.http import site
from slacker.wire import InspectRequest
from tests.server.http_client import (
    Client,
    GatewayTestCase,
    authenticate,
    chunked,
    keeping_connections,
    request,
)
from tests.server.peers import Peer


class SiteTests(GatewayTestCase):
    """The gateway's own connections keep the server's limits."""

    @keeping_connections
    def test_a_body_of_the_largest_size_is_taken_however_it_comes(self) -> None:
        client = self.serve(limits=Limits(max_frame=1000))
        body = b'["' + b"x" * 996 + b'"]'
        self.assertEqual(client.ask("/n/count.json", body).body, b"1")
        for size in [1, 7, 1000]:
            client.send(request("/n/count.json", transfer_encoding="chunked") + chunked(body, size))
            self.assertEqual([answer.body for answer in client.answers()], [b"1"])

    def assert_too_large(self, client: Client) -> None:
        [answer] = client.answers()
        self.assertEqual((answer.status, answer.json()["error"]), (413, "too-large"))
        self.assertEqual(answer.headers["connection"], "close")

    def test_a_larger_one_is_refused_by_its_length_before_it_comes(self) -> None:
        for length in ["1001", "4294967296", "9" * 18, "9" * 19, "9" * 5000]:
            client = self.serve(limits=Limits(max_frame=1000))
            client.send(request("/n/count.json", content_length=length, expect="100-continue"))
            self.assert_too_large(client)
            client = Client(self.site)
            client.send(request("/n/count.json", content_length=length) + b"x" * 2000)
            self.assert_too_large(client)

    def test_a_chunked_one_is_refused_as_soon_as_it_is_too_large(self) -> None:
        for size in [1, 100, 1001, 100_000]:
            client = self.serve(limits=Limits(max_frame=1000))
            client.send(request("/n/count.json", transfer_encoding="chunked"))
            client.send(chunked(b"x" * 1000, size)[:-5] if size <= 1000 else b"")
            self.assertEqual(client.answers(), [])
            client.send(chunked(b"x" * size, size)[:-5])
            self.assert_too_large(client)

    def test_after_a_refusal_nothing_is_read_any_more_and_the_connection_is_closed_in_time(self) -> None:
        client = self.serve(limits=Limits(max_frame=1000))
        whole = chunked(b"x" * 5000, 500) + request("/n/count.json")
        client.send(request("/n/count.json", transfer_encoding="chunked") + whole)
        self.assert_too_large(client)
        for _ in range(3):
            client.send(request("/n/count.json") + b"x" * 100_000)
            self.assertEqual(client.received, b"")
            self.network.advance(15)
        self.assertTrue(client.lost)
        self.assertEqual(self.server.connections, set())

    def test_a_request_has_to_come_within_a_time(self) -> None:
        client, idle = self.serve(limits=Limits(frame_timeout=30.0)), Client(self.site)
        data = request("/n/count.json", b"[" + b" " * 50 + b"]")
        for index in range(10):
            client.send(data[index : index + 1])
            self.network.advance(5)
        [answer] = client.answers()
        self.assertEqual((answer.status, answer.json()["error"]), (408, "timeout"))
        self.assertIn("30 seconds", answer.json()["message"])
        idle.pump()
        self.assertTrue(idle.lost)
        self.assertEqual(idle.received, b"")
        for _ in range(3):
            self.network.advance(15)
        self.assertTrue(client.lost)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

    def test_that_time_is_never_shorter_than_it_should_be(self) -> None:
        first = self.serve(limits=Limits(frame_timeout=30.0))
        self.network.advance(14.9)
        begun, idle = Client(self.site), Client(self.site)
        begun.send(request("/n/count.json")[:-1])
        self.network.advance(0.1)
        self.network.advance(15)
        self.network.advance(14.8)
        for client in (first, begun, idle):
            client.pump()
            self.assertFalse(client.lost)
        self.assertEqual(begun.received, b"")
        self.network.advance(0.2)
        idle.pump()
        self.assertTrue(idle.lost)
        begun.pump()
        self.assertEqual([answer.status for answer in begun.answers()], [408])

    @keeping_connections
    def test_the_time_begins_with_the_request_and_not_with_the_connection(self) -> None:
        client = self.serve(limits=Limits(frame_timeout=30.0))
        data = request("/n/count.json", b"[1]")
        for _ in range(3):
            self.network.advance(14)
            client.send(data[:-1])
            self.network.advance(14)
            client.send(data[-1:])
            self.assertEqual([answer.body for answer in client.answers()], [b"1"])

    def test_a_client_may_wait_for_its_answer_as_long_as_that_takes(self) -> None:
        later: Deferred[Any] = Deferred()
        client = self.serve({"m": {"later": nonblocking(lambda: later)}})
        client.send(request("/m/later.json"))
        for _ in range(20):
            self.network.advance(15)
        later.callback(1)
        client.pump()
        self.assertEqual([answer.body for answer in client.answers()], [b"1"])

    @keeping_connections
    def test_requests_of_one_connection_are_answered_one_after_the_other(self) -> None:
        waiting: list[Deferred[Any]] = []

        @nonblocking
        def later() -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        client = self.serve({"m": {"later": later}})
        calls = request("/m/later.json") + request("/n/echo.json", b"[2]") + request("/n/make-error.json")
        client.send(calls + request("/m/later.json") + request("/n/echo.json", b"[5]")[:-1])
        self.assertEqual((client.answers(), len(waiting)), ([], 1))
        waiting[0].callback(1)
        client.pump()
        self.assertEqual([answer.status for answer in client.answers()], [200, 200, 500])
        waiting[1].callback(4)
        client.send(b"]")
        self.assertEqual([answer.body for answer in client.answers()], [b"4", b"5"])

    def test_where_twisted_would_mix_up_answers_each_request_has_its_connection(self) -> None:
        self.patch(http_site, "KEEPS_ORDER", False)
        later: Deferred[Any] = Deferred()
        client = self.serve({"m": {"later": nonblocking(lambda: later)}})
        client.send(request("/m/later.json") + request("/n/count.json"))
        later.callback(1)
        client.pump()
        [answer] = client.answers()
        self.assertEqual((answer.body, answer.headers["connection"]), (b"1", "close"))
        self.assertTrue(client.lost)

    @keeping_connections
    def test_a_client_that_never_reads_is_closed_beyond_a_limit(self) -> None:
        client = self.serve(
            nonblocking({"r": {"big": lambda: "x" * 200_000}}), limits=Limits(max_unsent=1_000_000)
        )
        client.transport.reading = False
        client.send(request("/r/big.json") * 500)
        self.assertTrue(client.lost)
        self.assertLess(self.far_size(client), 1_500_000)

    def far_size(self, client: Client) -> int:
        return sum(map(len, client.far._written))

    def test_one_answer_may_be_of_any_size(self) -> None:
        client = self.serve(
            nonblocking({"r": {"big": lambda: "x" * 200_000}}), limits=Limits(max_unsent=1_000)
        )
        for _ in range(2):
            self.assertEqual(len(client.ask("/r/big.json").body), 200_002)

    @keeping_connections
    def test_connections_count_as_the_servers(self) -> None:
        client = self.serve(limits=Limits(max_connections=2))
        peer = Peer(self.server)
        self.assertTrue(Client(self.site).lost)
        self.assertTrue(Peer(self.server).lost)
        client.transport.abortConnection()
        self.assertEqual(Client(self.site).ask("/n/count.json").body, b"0")
        [answer] = peer.ask(InspectRequest(1, 2, b"nil"))
        shown = loads("clj", answer.data)[Keyword("connected-clients")]  # type: ignore[union-attr]
        self.assertEqual({client[Keyword("version")] for client in shown}, {"", "HTTP"})

    def test_stopping_waits_for_calls_takes_no_new_ones_and_closes(self) -> None:
        later: Deferred[Any] = Deferred()
        client = self.serve({"m": {"later": nonblocking(lambda: later)}})
        other = Client(self.site)
        client.send(request("/m/later.json"))
        stopped = self.server.stop()
        self.assertEqual(other.ask("/n/count.json").status, 503)
        self.assertNoResult(stopped)
        later.callback(1)
        self.network.advance(0.25)
        for each in [client, other]:
            each.pump()
            self.assertTrue(each.lost)
        self.assertEqual([answer.body for answer in client.answers()], [b"1"])
        self.assertIsNone(self.successResultOf(stopped))

    def test_http_1_0_and_connection_close_are_answered_and_closed(self) -> None:
        for head in [b"POST /n/count.json HTTP/1.0\r\n\r\n", request("/n/count.json", connection="close")]:
            client = self.serve()
            client.send(head)
            self.assertEqual([answer.body for answer in client.answers()], [b"0"])
            self.assertTrue(client.lost)

    def test_no_request_leaves_a_line_in_an_access_log(self) -> None:
        from twisted.logger import globalLogPublisher

        client = self.serve()
        lines: list[Any] = []
        heard: Any = lines.append
        globalLogPublisher.addObserver(heard)
        self.addCleanup(globalLogPublisher.removeObserver, heard)
        self.site.doStart()
        self.assertEqual(client.ask("/n/count.json").status, 200)
        self.site.doStop()
        self.assertEqual(lines, [])


_WORDS = st.sampled_from(
    [
        *[
            b"POST ",
            b"GET ",
            b"/n/echo.json",
            b"/n/count.clj",
            b"/%",
            b"%ff",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
        ],
        *[
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n",
            b"Host: x\r\n",
            b"Expect: 100-continue\r\n",
        ],
        *[
            b"Authorization: Bearer \xff\r\n",
            b"Connection: close\r\n",
            b"Content-Type: multipart/form-data\r\n",
        ],
        *[
            b"0",
            b"3",
            b"99999999999",
            b"-1",
            b"\r\n",
            b"\r\n\r\n",
            b"[1]",
            b"3\r\n[1]\r\n0\r\n\r\n",
            b" ",
            b"\x00",
        ],
        request("/n/echo.json", b"[1]"),
        request("/n/echo.json", b"[1"),
        request("/n/count.msgpack", transfer_encoding="chunked") + chunked(b"\x91\x01", 1),
    ]
)


class AnyBytesTests(GatewayTestCase):
    @settings(max_examples=300, derandomize=True, deadline=None, database=None)
    @given(st.lists(_WORDS | st.binary(max_size=5), max_size=12), st.integers(1, 100))
    def test_whatever_comes_the_server_goes_on(self, words: list[bytes], size: int) -> None:
        client = self.serve(limits=Limits(max_frame=1000))
        data = b"".join(words)
        for at in range(0, len(data), size):
            if not client.lost:
                client.send(data[at : at + size])
        self.assertEqual(Client(site(self.server, authenticate)).ask("/n/count.json").status, 401)
        self.assertEqual(Client(self.site).ask("/n/count.json").body, b"0")
        for _ in range(6):
            self.network.advance(15)
        self.assertEqual(self.server.connections, set())
        self.assertEqual(self.flushLoggedErrors(), [])
