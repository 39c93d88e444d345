"""Tokens, certificates, and the identities that they stand for."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ConfigurationError
from slacker.server.auth import Authenticator, Identity, main
from tests.server.identities import DIGEST, KNOWN, TOKEN


class IdentityTests(SynchronousTestCase):
    def test_it_may_call_the_namespaces_that_are_named(self) -> None:
        cases: list[tuple[list[str], list[str], list[str]]] = [
            (["shop"], ["shop"], ["shops", "shop.orders", "sho", "", "*"]),
            (["shop.*"], ["shop.orders", "shop.a.b", "shop."], ["shop", "shops.a", ""]),
            (["*"], ["shop", "", "slacker.cluster.manager"], []),
            (["a", "b.*"], ["a", "b.c"], ["b", "a.c", "c"]),
        ]
        for namespaces, may, may_not in cases:
            identity = Identity("x", tuple(namespaces))
            for namespace in may:
                self.assertTrue(identity.may_call(namespace), (namespaces, namespace))
            for namespace in may_not:
                self.assertFalse(identity.may_call(namespace), (namespaces, namespace))


class AuthenticatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.authenticator = Authenticator(KNOWN)

    def test_a_token_stands_for_its_name(self) -> None:
        self.assertEqual(self.authenticator.identify(TOKEN), Identity("billing", ("shop", "stock.*")))

    def test_everything_else_stands_for_nobody(self) -> None:
        name, _, secret = TOKEN.partition(":")
        for token in [
            *["", ":", name, f"{name}:", secret, f":{secret}", f"all:{secret}", f"nobody:{secret}"],
            *[TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f" {TOKEN}", f"{TOKEN}\n", f"{name}:{DIGEST}"],
            *["é" + TOKEN, TOKEN + "\ud800", "x" * 1_000_000],
        ]:
            self.assertIsNone(self.authenticator.identify(token), token[:80])

    @settings(derandomize=True, deadline=None, database=None)
    @given(st.text())
    def test_no_text_makes_it_fail(self, token: str) -> None:
        self.assertIsNone(self.authenticator.identify(token))
        self.assertIsNone(self.authenticator.identify("billing:" + token))

    def test_a_secret_that_somebody_chose_is_refused_though_its_hash_is_right(self) -> None:
        from hashlib import sha256

        known = {"tokens": {"x": {"sha256": sha256(b"hunter2").hexdigest(), "namespaces": ["*"]}}}
        self.assertIsNone(Authenticator(known).identify("x:hunter2"))

    def test_a_certificate_stands_for_the_first_name_that_is_known(self) -> None:
        names = ["a.example", "billing.example", "b"]
        self.assertEqual(
            self.authenticator.identify_certificate(names), Identity("billing.example", ("shop",))
        )
        self.assertIsNone(self.authenticator.identify_certificate(["billing", "a"]))
        self.assertIsNone(self.authenticator.identify_certificate([]))

    def test_secrets_are_in_no_repr(self) -> None:
        text = repr(vars(self.authenticator)) + repr(self.authenticator.identify(TOKEN))
        self.assertNotIn(DIGEST, text)
        self.assertNotIn(repr(bytes.fromhex(DIGEST)), text)

    def test_each_mistake_is_one_sentence_that_says_where(self) -> None:
        good = {"sha256": DIGEST, "namespaces": ["n"]}
        cases: list[tuple[Any, str]] = [
            ({}, "names nobody"),
            ({"tokens": {}}, "names nobody"),
            ({"users": {}}, "'users' should be a [tokens.NAME]"),
            ({"tokens": [1]}, "'tokens' should be a [tokens.NAME]"),
            ({"tokens": {"x": 1}}, "[tokens.x] should be a table with namespaces and sha256"),
            ({"tokens": {"a:b": good}}, "[tokens.a:b]: a name should be"),
            ({"tokens": {"": good}}, "a name should be"),
            ({"tokens": {"x": {**good, "token": "t"}}}, "[tokens.x] has token, which stands for nothing"),
            ({"tokens": {"x": {"namespaces": ["n"]}}}, "[tokens.x]: sha256 should be the 64 hexadecimal"),
            (
                {"tokens": {"x": {**good, "sha256": "SECRET"}}},
                "[tokens.x]: sha256 should be the 64 hexadecimal",
            ),
            ({"tokens": {"x": {**good, "sha256": DIGEST + "0"}}}, "sha256 should be"),
            ({"tokens": {"x": {"sha256": DIGEST}}}, "namespaces should be a list"),
            ({"tokens": {"x": {**good, "namespaces": "n"}}}, "namespaces should be a list"),
            ({"tokens": {"x": {**good, "namespaces": []}}}, "namespaces should be a list"),
            ({"certificates": {"c": {"namespaces": ["n"], "sha256": DIGEST}}}, "[certificates.c] has sha256"),
            *(
                ({"certificates": {"c": {"namespaces": [name]}}}, f"{name!r} in namespaces should be")
                for name in ("", "*.x", "a*", "a.*.b", "a/b", ".*", "a b", "**", 1)
            ),
        ]
        for known, expected in cases:
            error = self.assertRaises(ConfigurationError, Authenticator, known, source="the file")
            self.assertIn(expected, str(error))
            self.assertTrue(str(error).startswith("the file"), str(error))
            self.assertNotIn("SECRET", str(error))
            self.assertNotIn("\n", str(error))

    def test_a_file_is_read_as_toml_and_named_where_it_is_wrong(self) -> None:
        path = Path(self.mktemp())
        path.write_text(f'[tokens.billing]\nsha256 = "{DIGEST}"\nnamespaces = ["shop"]\n')
        self.assertEqual(Authenticator.from_file(str(path)).identify(TOKEN), Identity("billing", ("shop",)))
        for content, expected in [
            (b"tokens", "should be TOML"),
            (b"\xff\xfe", "should be TOML"),
            (b"", "names nobody"),
            (b"[tokens.x]\n", "[tokens.x]: sha256"),
        ]:
            path.write_bytes(content)
            error = self.assertRaises(ConfigurationError, Authenticator.from_file, str(path))
            self.assertTrue(str(error).startswith(f"auth file {path}"), str(error))
            self.assertIn(expected, str(error))
        path.unlink()
        error = self.assertRaises(ConfigurationError, Authenticator.from_file, str(path))
        self.assertEqual(str(error), f"auth file {path}: No such file or directory")


class CommandTests(SynchronousTestCase):
    def run_command(self, *arguments: str) -> tuple[int, str, str]:
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            return main(list(arguments)), out.getvalue(), err.getvalue()

    def test_it_prints_a_token_and_the_lines_that_let_it_in(self) -> None:
        for name, namespaces, expected in [
            ("billing", ["shop", "stock.*"], ("shop", "stock.*")),
            ("b.example", ["*"], ("*",)),
            ("x", [], ("your.namespace",)),
        ]:
            status, out, err = self.run_command(name, *namespaces)
            self.assertEqual((status, err), (0, ""))
            comment, token, rest = out.split("\n", 2)
            self.assertTrue(comment.startswith("#"))
            self.assertEqual(
                Authenticator.from_file(self.file(rest)).identify(token), Identity(name, expected)
            )

    def file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def test_two_tokens_are_never_the_same(self) -> None:
        self.assertNotEqual(self.run_command("x")[1], self.run_command("x")[1])

    def test_what_it_cannot_take_is_one_line(self) -> None:
        for arguments, expected_status, expected in [
            ((), 2, "usage: "),
            (("--help",), 2, "usage: "),
            (("a:b",), 1, "a name should be"),
            (("a", "b/c"), 1, "'b/c' in namespaces"),
        ]:
            status, out, err = self.run_command(*arguments)
            self.assertEqual((status, out, err.count("\n")), (expected_status, "", 1))
            self.assertIn(expected, err)
