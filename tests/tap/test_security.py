"""What ``twistd slacker`` makes of --tls-… and --auth."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from slacker.server.auth import Authenticator, new_token
from slacker.tap.server import Options
from slacker.tls import ServerTls
from tests.certificates import Authority

ENOUGH = ["--expose", "json", "--listen", "tcp:0"]


class SecurityOptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.certificate, self.key = self.authority.issue("server", hosts=["127.0.0.1"])

    def parsed(self, *arguments: str) -> Options:
        options = Options()
        options.parseOptions([*ENOUGH, *arguments])
        return options

    def refused(self, *arguments: str) -> str:
        ending = self.assertRaises(SystemExit, Options().parseOptions, [*ENOUGH, *arguments])
        message = str(ending.code)
        self.assertTrue(message.startswith("twistd slacker: "), message)
        self.assertNotIn("\n", message)
        return message

    def test_without_them_there_is_neither(self) -> None:
        options = self.parsed()
        self.assertEqual((options["tls"], options["auth"]), (None, None))

    def test_files_become_what_the_server_takes(self) -> None:
        token, digest = new_token("x")
        auth = self.folder / "auth.toml"
        auth.write_text(f'[tokens.x]\nsha256 = "{digest}"\nnamespaces = ["*"]\n')
        options = self.parsed(
            *["--tls-certificate", self.certificate, "--tls-key", self.key],
            *["--tls-client-ca", self.authority.path, "--auth", str(auth)],
        )
        self.assertEqual(
            options["tls"],
            ServerTls(certificate=self.certificate, key=self.key, client_ca=self.authority.path),
        )
        assert isinstance(options["auth"], Authenticator)
        self.assertIsNotNone(options["auth"].identify(token))

    def test_what_goes_with_a_certificate_is_refused_without_one(self) -> None:
        for name, path in [("--tls-key", self.key), ("--tls-client-ca", self.authority.path)]:
            self.assertIn(f"{name} goes with the server's own certificate", self.refused(name, path))

    def test_files_that_are_wrong_are_named(self) -> None:
        gone = str(self.folder / "gone")
        self.assertIn(f"the certificate file {gone}", self.refused("--tls-certificate", gone))
        self.assertIn(f"auth file {gone}", self.refused("--auth", gone))
