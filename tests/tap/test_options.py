"""The command line of ``twistd slacker``: what it reads, and what it says to what it cannot read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from slacker.content.values import Keyword
from slacker.server import Limits
from slacker.tap import zookeeper
from slacker.tap.options import Options, parse_zk

ENOUGH = ["--expose", "statistics", "--listen", "tcp:0"]
CLUSTER = ["--cluster", "c", "--zk", "127.0.0.1:2181"]


def parsed(*arguments: str) -> Options:
    options = Options()
    options.parseOptions(list(arguments))
    return options


class OptionsTests(SynchronousTestCase):
    def test_everything_has_its_place(self) -> None:
        options = parsed(
            *["--expose", "json", "--expose", "stats=statistics"],
            *["--listen", "tcp:2104", "--listen", "tcp:2105:interface=127.0.0.1"],
            *["--cluster", "example", "--zk", "h1:2181,h2:2181/root", "--zk-root", "/r"],
            *["--zk-session-timeout", "7.5", "--zk-wait", "3", "--node", "10.0.0.1:9"],
            *["--server-data", "{:weight 3}", "--threads", "4", "--queue-size", "0"],
            *["--drain-timeout", "2.5", "--zk-connect-timeout", "4", "--content-types", "json,clj"],
        )
        self.assertEqual(options["expose"], [json, {"stats": statistics}])
        self.assertEqual(options["listen"], ["tcp:2104", "tcp:2105:interface=127.0.0.1"])
        self.assertEqual(
            [options[name] for name in ("cluster", "zk", "zk-root", "node")],
            ["example", "h1:2181,h2:2181/root", "/r", "10.0.0.1:9"],
        )
        self.assertEqual((options["zk-session-timeout"], options["zk-wait"]), (7.5, 3.0))
        self.assertEqual(options["server_data"], {Keyword("weight"): 3})
        self.assertEqual((options["threads"], options["queue-size"]), (4, 0))
        self.assertEqual((options["drain-timeout"], options["zk-connect-timeout"]), (2.5, 4.0))
        self.assertEqual(options["content-types"], ["json", "clj"])

    def test_the_defaults_are_upstreams(self) -> None:
        options = parsed(*ENOUGH)
        self.assertEqual((options["threads"], options["queue-size"]), (10, 3000))
        self.assertEqual((options["zk-root"], options["zk-session-timeout"]), ("/slacker/cluster", 15.0))
        self.assertEqual((options["drain-timeout"], options["zk-connect-timeout"]), (30.0, 10.0))
        self.assertIsNone(options["zk-wait"])
        self.assertIsNone(options["content-types"])

    def test_http_may_be_all_that_a_server_alone_listens_on(self) -> None:
        self.assertEqual(parsed("--expose", "json", "--http", "tcp:8080")["http"], "tcp:8080")
        self.assertIsNone(parsed(*ENOUGH)["http"])
        message = self.refused(Options(), ["--expose", "json", "--http", "tcp:8080", *CLUSTER])
        self.assertIn("nowhere to listen", message)

    def test_pools_limits_and_access_to_zookeeper_have_their_places(self) -> None:
        options = parsed(
            *[*ENOUGH, *CLUSTER, "--manager", "--debug", "--zk-auth", "digest:u:p", "--zk-acl", "creator"],
            *["--pool", "statistics=2:7", "--limit", "max-frame=1000", "--limit", "frame-timeout=1.5"],
        )
        self.assertEqual(options["pools"], {"statistics": (2, 7)})
        self.assertEqual(options["limits"], Limits(max_frame=1000, frame_timeout=1.5))
        self.assertEqual((options["zk-auth"], options["zk-acl"]), ("digest:u:p", "creator"))
        self.assertTrue(options["manager"] and options["debug"])
        self.assertIsNone(options.zk_tls())

    def test_who_it_is_to_zookeeper_may_stand_in_the_environment(self) -> None:
        self.patch(os, "environ", {"SLACKER_ZK_AUTH": "digest:u:p"})
        self.assertEqual(parsed(*ENOUGH, *CLUSTER)["zk-auth"], "digest:u:p")

    def test_an_embedded_zookeeper_is_asked_for_by_port(self) -> None:
        self.assertEqual(parse_zk("embedded"), 2181)
        self.assertEqual(parse_zk("embedded:0"), 0)
        self.assertEqual(parse_zk("embedded:2999"), 2999)

    def test_each_mistake_is_one_line_that_names_it_and_a_status_that_is_not_zero(self) -> None:
        cases: list[tuple[list[str], str]] = [
            (["--listen", "tcp:0"], "nothing to expose"),
            (["--expose", "json"], "nowhere to listen"),
            ([*ENOUGH, "--nonsense"], "nonsense"),
            ([*ENOUGH, "extra", "more"], "unexpected argument 'extra'; --help lists"),
            ([*ENOUGH, "--cluster", "c"], "--cluster and --zk go together"),
            ([*ENOUGH, "--zk", "127.0.0.1:2181"], "--cluster and --zk go together"),
            ([*ENOUGH, "--zk-wait", "3"], "--zk-wait is for members of a cluster"),
            ([*ENOUGH, "--server-data", "1"], "--server-data is for members of a cluster"),
            ([*ENOUGH, "--node", "h"], "--node is for members of a cluster"),
            ([*ENOUGH, *CLUSTER, "--zk", "no where"], "--zk 'no where'"),
            ([*ENOUGH, *CLUSTER, "--zk", "h:2181//x"], "--zk 'h:2181//x'"),
            ([*ENOUGH, *CLUSTER, "--zk", "embedded:x"], "--zk 'embedded:x'"),
            ([*ENOUGH, *CLUSTER, "--server-data", "{:a"], "--server-data '{:a'"),
            ([*ENOUGH, *CLUSTER, "--zk-session-timeout", "soon"], "--zk-session-timeout 'soon'"),
            ([*ENOUGH, *CLUSTER, "--zk-wait", "nan"], "--zk-wait 'nan'"),
            ([*ENOUGH, *CLUSTER, "--zk-wait", "inf"], "--zk-wait 'inf'"),
            ([*ENOUGH, "--limit", "frame-timeout=1e999"], "--limit '1e999'"),
            ([*ENOUGH, "--threads", "0"], "--threads '0'"),
            ([*ENOUGH, "--drain-timeout", "long"], "--drain-timeout 'long'"),
            ([*ENOUGH, *CLUSTER, "--zk-connect-timeout", "0"], "--zk-connect-timeout '0'"),
            (
                [*ENOUGH, "--content-types", "json,xml"],
                "--content-types 'json,xml': unknown content type 'xml'",
            ),
            ([*ENOUGH, "--queue-size", "-1"], "--queue-size '-1'"),
            (["--expose", "no.such.module", "--listen", "tcp:0"], "no module 'no'"),
            ([*ENOUGH, "--manager"], "--manager is for members of a cluster"),
            ([*ENOUGH, *CLUSTER, "--zk-tls-key", "k.pem"], "--zk-tls-key goes with --zk-tls-ca"),
            ([*ENOUGH, "--pool", "statistics"], "--pool 'statistics' should be"),
            ([*ENOUGH, "--pool", "statistics=0:5"], "--pool '0'"),
            ([*ENOUGH, "--limit", "max-frames=1"], "max-frame, max-in-flight"),
            ([*ENOUGH, "--limit", "max-frame=big"], "--limit 'big'"),
            ([*ENOUGH, "--limit", "frame-timeout=0"], "--limit '0'"),
            ([*ENOUGH, "--limit", "max-frame=10"], "--limit: 'max_frame' must be >= 64"),
        ]
        for arguments, expected in cases:
            message = self.refused(Options(), arguments)
            self.assertIn(expected, message)
            self.assertTrue(message.startswith("twistd slacker: "), message)

    def test_the_zookeeper_command_does_so_too(self) -> None:
        message = self.refused(zookeeper.Options(), ["--port", "1"])
        self.assertTrue(message.startswith("twistd slacker-zookeeper: "), message)
        self.assertIn("unexpected argument 'extra'", self.refused(zookeeper.Options(), ["extra"]))

    def refused(self, options: Any, arguments: list[str]) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            ending = self.assertRaises(SystemExit, options.parseOptions, arguments)
        self.assertEqual(printed.getvalue(), "")
        message = ending.code
        assert isinstance(message, str), "a text goes to standard error, with status 1"
        self.assertNotIn("\n", message)
        return message

    def test_help_names_every_option(self) -> None:
        text = str(Options())
        for name in [
            *["expose", "listen", "cluster", "zk", "zk-root", "zk-session-timeout", "zk-wait", "node"],
            *["server-data", "threads", "queue-size", "http", "workers", "drain-timeout", "content-types"],
        ]:
            self.assertIn(f"--{name}=", text)


class WorkerTests(SynchronousTestCase):
    def test_one_process_is_the_default(self) -> None:
        self.assertEqual(parsed(*ENOUGH)["workers"], 1)
        self.assertEqual(parsed(*ENOUGH, "--workers", "64")["workers"], 64)

    def test_each_has_the_command_line_with_its_own_ports(self) -> None:
        options = parsed(
            *["--expose", "stats=statistics", "--listen=tcp:2104:interface=127.0.0.1", "--work", "3"],
            *["--http", "tcp:8080", "--manager", "--zk-auth", "", "--cluster", "c", "--zk", "h:2181"],
            *["--node", "shop:2104", "--content-types", "json", "--listen", "tcp:0"],
        )
        self.assertEqual(
            options.of_worker(2, None),
            [
                *["--expose=stats=statistics", "--listen=tcp:2106:interface=127.0.0.1", "--http=tcp:8082"],
                *["--manager", "--zk-auth=", "--cluster=c", "--zk=h:2181", "--node=shop:2106"],
                *["--content-types=json", "--listen=tcp:0"],
            ],
        )

    def test_the_embedded_zookeeper_is_one_for_all(self) -> None:
        options = parsed(*ENOUGH, "--cluster", "c", "--zk", "embedded:0", "--workers", "2")
        self.assertIn("--zk=127.0.0.1:2999", options.of_worker(0, "127.0.0.1:2999"))

    def test_what_cannot_be_shared_out_is_refused(self) -> None:
        cases: list[tuple[list[str], str]] = [
            (["--workers", "0"], "--workers '0' should be a whole number, 1 or more"),
            (["--workers", "few"], "--workers 'few' should be a whole number"),
            (["--workers", "65"], "--workers 65: there may be 64 at most"),
            (["--workers", "2", "--listen", "unix:/run/x"], "'unix:/run/x' cannot be shared out"),
            (["--workers", "2", "--http", "nonsense"], "'nonsense' cannot be shared out"),
            (
                ["--workers", "2", "--listen", "tcp:2104", "--http", "tcp:2105"],
                "'tcp:2105' would be for worker",
            ),
            ([*CLUSTER, "--workers", "2", "--node", "h:65535"], "worker 2 would have port 65536"),
        ]
        for arguments, expected in cases:
            ending = self.assertRaises(SystemExit, Options().parseOptions, [*ENOUGH, *arguments])
            self.assertIn(expected, str(ending.code))
            self.assertNotIn("\n", str(ending.code))
