"""What the HTTP gateway answers to what a client sends, in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import skipUnless

from attrs import define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from slacker.content import CODECS, dumps, loads
from slacker.content.values import Keyword
from slacker.errors import AccessDenied, CallError, Canceled, FunctionNotFound, PeerProtocolError, ServerBusy
from slacker.interceptors import CallStatistics, Interceptor
from slacker.server import Limits, SlackerServer, current_call, http_site, nonblocking
from slacker.server.auth import Authenticator, Identity, new_token
from slacker.server.functions import Exposable
from slacker.server.http import GatewayResource, site
from slacker.testing import MemoryTransport, Network
from slacker.wire import InspectRequest
from tests.server.test_connection import Peer

keeping_connections = skipUnless(http_site.KEEPS_ORDER, "with this Twisted, connections end with the answer")

VECTORS = Path(__file__).parent.parent / "vectors"


def echo(x: Any, y: Any = None) -> Any:
    return x if y is None else [x, y]


def count(*arguments: Any) -> int:
    return len(arguments)


def make_error() -> None:
    raise RuntimeError("Expected exception.")


def rand_ints(n: int) -> list[int]:
    return list(range(n))


@define
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """The other end of a gateway's connection; ``ask`` makes a new one if that was closed."""

    def __init__(self, factory: Site, host: str = "127.0.0.1") -> None:
        self.factory = factory
        self.host = host
        self.received = b""
        self.connect()

    def connect(self) -> None:
        self.lost = False
        local, remote = IPv4Address("TCP", "10.0.0.1", 8080), IPv4Address("TCP", self.host, 40_001)
        channel = self.factory.buildProtocol(remote)
        self.transport = MemoryTransport(self, remote, local)  # type: ignore[arg-type]  # as much as it needs
        self.far = MemoryTransport(channel, local, remote)
        self.transport.other, self.far.other = self.far, self.transport
        channel.makeConnection(self.far)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: object) -> None:
        self.lost = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)
        self.pump()

    def pump(self) -> None:
        while self.transport.step() or self.far.step():
            pass

    def answers(self, *, head: bool = False) -> list[Answer]:
        """All that have come as a whole; ``head``: they have no bodies."""
        found = []
        while b"\r\n\r\n" in self.received:
            top, _, rest = self.received.partition(b"\r\n\r\n")
            status, *lines = top.decode("ascii").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            size = 0 if head else int(headers.get("content-length", "0"))
            if len(rest) < size:
                break
            found.append(Answer(int(status.split(" ")[1]), headers, rest[:size]))
            self.received = rest[size:]
        return found

    def ask(self, path: str, body: bytes | None = None, method: str = "POST", **headers: str) -> Answer:
        if self.lost:
            self.connect()
        self.send(request(path, body, method, **headers))
        [answer] = self.answers(head=method == "HEAD")
        return answer


def request(path: str, body: bytes | None = None, method: str = "POST", **headers: str) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: x"]
    head += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + (body or b"")


class GatewayTestCase(SynchronousTestCase):
    def serve(self, *exposed: Exposable, **options: Any) -> Client:
        functions: list[Exposable] = [
            {"n": {"echo": echo, "count": count, "make-error": make_error, "rand-ints": rand_ints}}
        ]
        self.network = Network()
        self.server = self.network.serve("10.0.0.1:2104", [*functions, *exposed], **options)
        self.site = site(self.server)
        return Client(self.site)


class CallTests(GatewayTestCase):
    def test_a_result_comes_in_the_format_of_the_call(self) -> None:
        client = self.serve(nonblocking({"r": {"echo": echo}}))
        value = [1, "ä😀", None, {"a": True}]
        for name in CODECS:
            for namespace in ["n", "r"]:
                answer = client.ask(f"/{namespace}/echo.{name}", dumps(name, [value]))
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["content-type"], f"application/{name}")
                self.assertEqual(loads(name, answer.body), value)

    def test_no_body_an_empty_one_and_null_are_no_arguments(self) -> None:
        client = self.serve()
        for body in [None, b"", b"null", b"[]"]:
            self.assertEqual(client.ask("/n/count.json", body).body, b"0")

    def test_what_a_request_says_of_its_bodys_type_does_not_matter(self) -> None:
        client = self.serve()
        for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]:
            self.assertEqual(client.ask("/n/count.json", b"[1,2]", Content_Type=kind).body, b"2")

    def test_a_path_is_percent_decoded_and_its_query_ignored(self) -> None:
        client = self.serve({"ä.b": {"null?": lambda: 1, "a.b": lambda: 2}})
        for path in [
            *["/n/rand-ints.json", "/n/rand%2Dints.json", "/n/r%61nd-ints.js%6Fn", "/n%2Frand-ints.json"],
            *["/n%2frand-ints%2ejson", "/%6E/rand-ints.json?x=1&y"],
        ]:
            self.assertEqual(client.ask(path, b"[2]").body, b"[0,1]", path)
        self.assertEqual(client.ask("/%C3%A4.b/null%3F.json").body, b"1")
        self.assertEqual(client.ask("/%c3%a4.b/a.b.json").body, b"2")

    def test_modules_answer_to_both_spellings_as_over_tcp(self) -> None:
        import colorsys

        client = self.serve(colorsys)
        for name in ["rgb-to-yiq", "rgb_to_yiq"]:
            self.assertEqual(client.ask(f"/colorsys/{name}.json", b"[0,0,0]").body, b"[0.0,0.0,0.0]")

    @keeping_connections
    def test_the_real_gateways_results_come_from_this_one_too(self) -> None:
        def not_found(name: str, arguments: Sequence[Any]) -> Any:
            return ["Function not found: ", name, arguments]

        api: dict[str, Any] = {
            "echo": echo,
            "return-zero": lambda: 0,
            "return-nil": lambda: None,
            "async-result": lambda: "Deferred result.",
            "-slacker-function-not-found": not_found,
        }
        client = self.serve({"slacker.example.api": api})
        same = [
            "json echo",
            "clj echo",
            "json return-nil",
            "async-result",
            "query string",
            "utf8",
            "empty body",
        ]
        same.append("missing fn handled by -slacker-function-not-found")
        cases = {
            case["name"]: case for case in json.loads((VECTORS / "session.json").read_text())["http_0.18"]
        }
        for name in same:
            case = cases[name]
            client.send(case["request"].encode())
            [answer] = client.answers()
            self.assertEqual(answer.status, int(case["response_head"].split(" ")[1]), name)
            self.assertEqual(answer.body.hex(), case["response_body_hex"], name)
            kind = f"content-type: {answer.headers['content-type']}"
            self.assertIn(kind, case["response_head"], name)

    def test_a_function_knows_its_caller(self) -> None:
        client = self.serve(
            {"m": {"who": lambda: [current_call().peer.address, current_call().peer.software]}}
        )
        self.assertEqual(client.ask("/m/who.json").json(), ["127.0.0.1:40001", "HTTP"])

    def test_a_result_that_comes_later_is_answered_then(self) -> None:
        later: Deferred[Any] = Deferred()
        client = self.serve({"m": {"later": nonblocking(lambda: later)}})
        client.send(request("/m/later.json"))
        self.assertEqual(client.answers(), [])
        later.callback(7)
        client.pump()
        [answer] = client.answers()
        self.assertEqual((answer.status, answer.body), (200, b"7"))
        self.assertEqual(self.server.calls_running, 0)


class RefusalTests(GatewayTestCase):
    def assert_refused(self, answer: Answer, status: int, error: str, message: str = "") -> None:
        self.assertEqual((answer.status, answer.headers["content-type"]), (status, "application/json"))
        told = answer.json()
        self.assertEqual(told["error"], error)
        self.assertIn(message, told["message"])

    def test_paths_that_name_no_function_are_404(self) -> None:
        client = self.serve()
        for path in ["/", "/n", "/n/", "/n/echo", "/echo.json", "//echo.json", "/n/.json", "/n/echo.json/"]:
            self.assert_refused(client.ask(path), 404, "not-found", "POST /<namespace>/<function>.<format>")
        for path in ["/n/no.json", "/no/echo.json", "/n/%zz%.json", "/n/ECHO.json", "/n/a/b.json"]:
            self.assert_refused(client.ask(path), 404, "not-found", "there is no function ")

    def test_a_path_that_is_no_text_is_400(self) -> None:
        self.assert_refused(self.serve().ask("/n/%ff.json"), 400, "invalid-path", "UTF-8")

    def test_the_manager_is_404_whoever_asks_and_however_it_is_spelt(self) -> None:
        manager = {"server-data": lambda: 1, "-slacker-function-not-found": lambda *_: 2}
        self.serve({"slacker.cluster.manager": manager})
        open_to_all = site(self.server, lambda token: Identity("root", ("*",)))
        for client in [Client(self.site), Client(open_to_all)]:
            for path in [
                "/slacker.cluster.manager/server-data.json",
                "/slacker.cluster.manager/server_data.json",
                "/slacker.cluster.manager/anything.json",
                "/slacker%2Ecluster.m%61nager/server-data.json",
                "/slacker.cluster.manager%2Fserver-data.json",
                "/slacker.cluster.manager/a/b.json",
                "/slacker.cluster.manager/%2Fserver-data.json",
                "//slacker.cluster.manager/server-data.json",
                "/./slacker.cluster.manager/server-data.json",
                "/slacker.cluster.manager./server-data.json",
                "/Slacker.Cluster.Manager/server-data.json",
                "/slacker_cluster_manager/server-data.json",
            ]:
                answer = client.ask(path, authorization="Bearer x")
                self.assert_refused(answer, 404, "not-found")
                self.assertIn("there is no function", answer.json()["message"], path)

    def test_other_methods_are_405_and_say_which_are_allowed(self) -> None:
        client = self.serve()
        for method in ["GET", "PUT", "DELETE", "PATCH", "TRACE", "post", "X-WEIRD"]:
            answer = client.ask("/n/count.json", b"[]", method)
            self.assert_refused(answer, 405, "method-not-allowed")
            self.assertEqual(answer.headers["allow"], "POST, OPTIONS")

    def test_head_is_405_without_a_body_and_options_says_what_is_allowed(self) -> None:
        client = self.serve()
        answer = client.ask("/n/count.json", method="HEAD")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST, OPTIONS"))
        self.assertEqual(client.received, b"")
        answer = client.ask("/n/count.json", method="OPTIONS")
        self.assertEqual((answer.status, answer.headers["allow"], answer.body), (204, "POST, OPTIONS", b""))
        self.assertEqual(client.ask("/n/count.json").body, b"0")

    def test_arguments_that_cannot_be_read_are_400(self) -> None:
        client = self.serve(nonblocking({"r": {"echo": echo}}))
        for name, body in [
            ("json", b"[1"),
            ("json", b"\xff"),
            ("clj", b"[1"),
            ("clj", b""" " """),
            ("msgpack", b"\x92\x01"),
        ]:
            for namespace in ["n", "r"]:
                answer = client.ask(f"/{namespace}/echo.{name}", body)
                self.assert_refused(answer, 400, "invalid-arguments", f"arguments of {namespace}/echo")
        self.assert_refused(client.ask("/n/echo.json", b'{"a":1}'), 400, "invalid-arguments", "one sequence")

    def test_an_exception_is_500_with_its_text_in_every_format(self) -> None:
        client = self.serve()
        for name in CODECS:
            answer = client.ask(f"/n/make-error.{name}")
            self.assert_refused(answer, 500, "exception", "RuntimeError: Expected exception.")
            self.assertNotIn("stacktrace", answer.json())
        self.assert_refused(client.ask("/n/echo.json", b"[]"), 500, "exception", "TypeError: echo()")

    def test_a_result_that_the_format_cannot_carry_is_500(self) -> None:
        client = self.serve({"m": {"f": object}})
        self.assert_refused(client.ask("/m/f.json"), 500, "exception", "result of m/f")

    def test_debug_mode_tells_where_it_was_raised(self) -> None:
        client = self.serve(debug=True)
        for name in CODECS:
            answer = client.ask(f"/n/make-error.{name}")
            self.assert_refused(answer, 500, "exception", "RuntimeError: Expected exception.")
            self.assertIn("in make_error", "\n".join(answer.json()["stacktrace"]))
        self.assert_refused(client.ask("/n/echo.json", b"[1"), 400, "invalid-arguments")

    def test_formats_are_those_that_the_server_takes(self) -> None:
        for path in ["/n/count.xml", "/n/count.", "/n/count.JSON"]:
            self.assert_refused(self.serve().ask(path), 415, "unknown-format", "one of json, clj")
        client = self.serve(content_types=["clj"])
        self.assert_refused(client.ask("/n/count.json"), 415, "unknown-format", "one of clj")
        self.assertEqual(client.ask("/n/count.clj").body, b"0")

    def test_pages_of_other_sites_are_403_and_those_of_this_one_are_not(self) -> None:
        client = self.serve()
        for origin in ["http://evil.example", "null", "https://x:444", "http://x.example", ""]:
            self.assert_refused(client.ask("/n/count.json", Origin=origin), 403, "cross-origin")
        for origin in ["http://x", "https://x"]:
            self.assertEqual(client.ask("/n/count.json", Origin=origin).body, b"0")

    def test_a_full_pool_is_503_and_says_when_to_come_again(self) -> None:
        client = self.serve(threads=1, queue_size=0)
        self.server.workers.held = True  # type: ignore[attr-defined]
        waiting = Client(self.site)
        waiting.send(request("/n/count.json"))
        answer = client.ask("/n/count.json")
        self.assert_refused(answer, 503, "thread-pool-full", "n/count did not run")
        self.assertEqual(answer.headers["retry-after"], "1")
        self.server.workers.run()  # type: ignore[attr-defined]
        waiting.pump()
        self.assertEqual([answer.body for answer in waiting.answers()], [b"0"])

    def test_functions_for_some_peers_only_are_403_to_others(self) -> None:
        self.serve()
        self.server.functions.add({"m": {"f": count}}, allow=lambda peer: peer.loopback)
        self.assertEqual(Client(self.site).ask("/m/f.json").body, b"0")
        stranger = Client(self.site, "10.0.0.9")
        self.assert_refused(stranger.ask("/m/f.json"), 403, "acl-reject", "m/f")

    def test_interceptors_see_calls_and_may_end_them(self) -> None:
        class Refuse(Interceptor):
            error: CallError

            def before(self, call: Any) -> None:
                if call.function == "echo":
                    raise self.error

        refuse, statistics = Refuse(), CallStatistics()
        client = self.serve(interceptors=[refuse, statistics])
        self.assertEqual(client.ask("/n/count.json").body, b"0")
        self.assert_refused(client.ask("/n/count.json", b"["), 400, "invalid-arguments")
        self.assert_refused(client.ask("/n/no.json"), 404, "not-found")
        for error, status, name in [
            (AccessDenied("x"), 403, "acl-reject"),
            (Canceled("x"), 504, "canceled"),
            (ServerBusy("x"), 503, "thread-pool-full"),
            (PeerProtocolError("x"), 400, "invalid-packet"),
            (FunctionNotFound("x"), 404, "not-found"),
        ]:
            refuse.error = error
            self.assert_refused(client.ask("/n/echo.json", b"[1]"), status, name)
        counted = {name: (each.calls, each.errors) for name, each in statistics.functions.items()}
        self.assertEqual(counted, {"n/count": (2, 1), "n/no": (1, 1), "n/echo": (5, 5)})

    def test_an_interceptors_own_words_for_an_error_do_no_harm(self) -> None:
        class Overwrite(Interceptor):
            words = b""

            def post(self, call: Any) -> None:
                call.answer = self.words

        overwrite = Overwrite()
        client = self.serve(interceptors=[overwrite])
        for overwrite.words in [b"", b"\xff", b"5", b"{}", b'{"msg":[1],"stacktrace":5}', b'{"error":1}']:
            self.assert_refused(client.ask("/n/make-error.json"), 500, "exception")


class GoneClientTests(GatewayTestCase):
    """A client that disconnects takes its call with it."""

    def test_a_deferred_is_canceled(self) -> None:
        canceled: list[object] = []
        client = self.serve({"m": {"wait": nonblocking(lambda: Deferred(canceled.append))}})
        client.send(request("/m/wait.json"))
        self.assertEqual(self.server.calls_running, 1)
        client.transport.abortConnection()
        self.assertEqual(len(canceled), 1)
        self.assertEqual(self.server.calls_running, 0)

    def test_a_queued_call_never_runs(self) -> None:
        ran: list[int] = []
        client = self.serve({"m": {"run": lambda: ran.append(1)}})
        self.server.workers.held = True  # type: ignore[attr-defined]
        client.send(request("/m/run.json"))
        client.transport.abortConnection()
        self.assertEqual(self.server.calls_running, 0)
        self.server.workers.run()  # type: ignore[attr-defined]
        self.assertEqual(ran, [])

    def test_a_running_call_sees_it_and_its_answer_is_dropped(self) -> None:
        views: list[Any] = []
        later: Deferred[int] = Deferred(lambda _: None)

        @nonblocking
        def run() -> Deferred[int]:
            views.append(current_call())
            return later

        client = self.serve({"m": {"run": run}})
        client.send(request("/m/run.json"))
        client.transport.abortConnection()
        self.assertTrue(views[0].interrupted)
        self.assertEqual(self.server.calls_running, 0)
        self.assertEqual(client.received, b"")


def authenticate(token: str) -> Identity | None:
    namespaces = {"good": "n", "other": "m"}.get(token)
    return Identity(token, (namespaces,)) if namespaces else None


class TokenTests(GatewayTestCase):
    def test_only_a_known_token_calls(self) -> None:
        self.serve()
        client = Client(site(self.server, authenticate))
        for headers in [{}, {"authorization": "Basic good"}, {"authorization": "good"}]:
            answer = client.ask("/n/count.json", None, "POST", **headers)
            self.assertEqual((answer.status, answer.json()["error"]), (401, "unauthenticated"))
            self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="slacker"')
        for token in ["wrong", "", "go od", "\u00e9"]:
            answer = client.ask("/n/count.json", authorization=f"Bearer {token}")
            self.assertEqual((answer.status, answer.json()["error"]), (401, "unauthenticated"))
            self.assertIn("invalid_token", answer.headers["www-authenticate"])
        for value in ["Bearer good", "bearer  good "]:
            self.assertEqual(client.ask("/n/count.json", authorization=value).body, b"0")

    def test_a_server_with_auth_asks_here_too(self) -> None:
        token, digest = new_token("billing")
        auth = Authenticator({"tokens": {"billing": {"sha256": digest, "namespaces": ["n", "m"]}}})
        client = self.serve({"m": {"who": lambda: current_call().peer.identity.name}}, auth=auth)  # type: ignore[union-attr]
        self.assertEqual(client.ask("/n/count.json").status, 401)
        self.assertEqual(client.ask("/n/count.json", authorization="Bearer billing:x").status, 401)
        self.assertEqual(client.ask("/m/who.json", authorization=f"Bearer {token}").json(), "billing")
        self.assertEqual(client.ask("/o/count.json", authorization=f"Bearer {token}").status, 403)
        bare = Client(Site(GatewayResource(self.server), timeout=None))
        self.assertEqual(bare.ask("/n/count.json").status, 401)

    def test_strangers_do_not_learn_what_there_is(self) -> None:
        self.serve()
        client = Client(site(self.server, authenticate))
        for path in ["/n/no.json", "/no/no.json", "/n/count.xml"]:
            self.assertEqual(client.ask(path).status, 401)
            self.assertEqual(client.ask(path, authorization="Bearer other").status, 403)

    def test_a_token_is_not_taken_in_the_clear_from_another_machine(self) -> None:
        self.serve()
        client = Client(site(self.server, authenticate), "10.0.0.9")
        answer = client.ask("/n/count.json", authorization="Bearer good")
        self.assertEqual((answer.status, answer.json()["error"]), (403, "acl-reject"))
        self.assertIn("TLS", answer.json()["message"])


class EmbeddingTests(GatewayTestCase):
    """The gateway in a site of one's own."""

    def setUp(self) -> None:
        self.serve(limits=Limits(max_frame=64))
        root, below = Resource(), Resource()
        root.putChild(b"api", below)
        below.putChild(b"rpc", GatewayResource(self.server, authenticate))
        root.putChild(b"open", GatewayResource(self.server))
        self.client = Client(Site(root, timeout=None))

    def test_it_answers_below_any_prefix(self) -> None:
        self.assertEqual(self.client.ask("/open/n/count.json", b"[1]").body, b"1")
        self.assertEqual(self.client.ask("/api/rpc/n/count.json").status, 401)
        answer = self.client.ask("/api/rpc/n/count.json", authorization="Bearer good")
        self.assertEqual(answer.body, b"0")
        self.assertEqual(self.client.ask("/open/slacker.cluster.manager/server-data.json").status, 404)

    def test_a_body_that_the_site_let_pass_is_refused(self) -> None:
        fits = b'["' + b"x" * 60 + b'"]'
        self.assertEqual(self.client.ask("/open/n/count.json", fits).body, b"1")
        answer = self.client.ask("/open/n/count.json", fits + b" ")
        self.assertEqual((answer.status, answer.json()["error"]), (413, "too-large"))


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
        self.network.advance(45)
        self.assertTrue(client.lost)
        self.assertEqual(self.network.reactor.getDelayedCalls(), [])

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


def chunked(body: bytes, size: int) -> bytes:
    """The body in chunks of this size, and the last one."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


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
        for _ in range(5):
            self.network.advance(15)
        self.assertEqual(self.server.connections, set())
        self.assertEqual(self.flushLoggedErrors(), [])


class EndpointTests(SynchronousTestCase):
    def test_a_wrong_endpoint_is_said_in_our_words(self) -> None:
        from slacker.errors import ConfigurationError

        server = SlackerServer([{"n": {"count": count}}], reactor=Network().reactor)
        error = self.assertRaises(ConfigurationError, server.listen_http, "nonsense")
        self.assertIn("endpoint 'nonsense'", str(error))
