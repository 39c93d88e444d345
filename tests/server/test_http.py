"""What the HTTP gateway answers to what a client sends, in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from slacker.content import CODECS, dumps, loads
from slacker.errors import (
    AccessDenied,
    CallError,
    Canceled,
    ContentError,
    FunctionNotFound,
    PeerProtocolError,
    ServerBusy,
)
from slacker.interceptors import CallStatistics, Interceptor
from slacker.server import current_call, nonblocking
from slacker.server.auth import Identity
from slacker.server.http import site
from tests.server.http_client import (
    Answer,
    Client,
    GatewayTestCase,
    count,
    echo,
    keeping_connections,
    request,
)

VECTORS = Path(__file__).parent.parent / "vectors"


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

    def test_an_exception_that_reads_like_one_about_arguments_is_500_as_well(self) -> None:
        def fail() -> None:
            raise ContentError("arguments of m/fail: mine")

        for interceptors in ([], [CallStatistics()]):
            client = self.serve({"m": {"fail": fail}}, interceptors=interceptors)
            self.assert_refused(client.ask("/m/fail.json"), 500, "exception", "arguments of m/fail: mine")
            self.assert_refused(
                client.ask("/m/fail.json", b"["), 400, "invalid-arguments", "arguments of m/fail"
            )

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
