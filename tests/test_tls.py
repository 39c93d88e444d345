"""What is said of files that are wrong, before anything runs; and what OpenSSL's words mean."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from slacker.client.client import Client
from slacker.errors import ConfigurationError
from slacker.tls import ClientTls, ServerTls, is_local, looks_like_tls, reason_of
from tests.certificates import Authority


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.certificate, self.key = self.authority.issue("server", hosts=["127.0.0.1"])

    def refused(self, expected: str, kind: Any = ServerTls, **files: str) -> None:
        error = self.assertRaises(ConfigurationError, kind, **files)
        self.assertIn(expected, str(error))
        self.assertTrue(str(error).startswith("TLS"), str(error))
        self.assertNotIn("\n", str(error))

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def test_what_is_right_is_taken_by_both_sides(self) -> None:
        both = self.file("both", Path(self.certificate).read_bytes() + Path(self.key).read_bytes())
        ServerTls(certificate=self.certificate, key=self.key, client_ca=self.authority.path)
        ServerTls(certificate=both)
        ClientTls(ca=self.authority.path, certificate=both)
        ClientTls()

    def test_a_file_that_is_missing_is_named(self) -> None:
        gone = str(self.folder / "gone.pem")
        self.refused(f"the certificate file {gone}: No such file", certificate=gone)
        self.refused(f"the key file {gone}: No such file", certificate=self.certificate, key=gone)
        self.refused(
            f"the client_ca file {gone}: No such file",
            certificate=self.certificate,
            key=self.key,
            client_ca=gone,
        )
        self.refused(f"the ca file {gone}: No such file", ClientTls, ca=gone)

    def test_a_file_with_something_else_is_named(self) -> None:
        for content in (
            b"",
            b"\xff\x00garbage",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        ):
            text = self.file("text", content)
            self.refused(f"the certificate file {text} holds no certificate", certificate=text)
            self.refused(f"the ca file {text} holds no certificate", ClientTls, ca=text)
            self.refused(f"the file {text} holds no private key", certificate=self.certificate, key=text)
        self.refused(f"the file {self.certificate} holds no private key", certificate=self.certificate)

    def test_a_key_of_another_certificate_is_named(self) -> None:
        _, key = self.authority.issue("other")
        self.refused(f"the key in {key} does not belong to", certificate=self.certificate, key=key)
        self.refused("does not belong to", ClientTls, certificate=self.certificate, key=key)

    def test_an_encrypted_key_is_refused_without_asking_at_the_terminal(self) -> None:
        certificate, key = self.authority.issue("server", password=b"secret")
        self.refused(f"the key in {key} is encrypted", certificate=certificate, key=key)

    def test_a_certificate_out_of_its_time_is_refused(self) -> None:
        certificate, key = self.authority.issue("server", begins=-2, ends=-1)
        self.refused(f"the certificate file {certificate} expired 20", certificate=certificate, key=key)
        certificate, key = self.authority.issue("server", begins=1, ends=2)
        self.refused("is not valid before 20", certificate=certificate, key=key)
        old, _ = self.authority.issue("old", begins=-2, ends=-1)
        self.refused("the ca file", ClientTls, ca=old)

    def test_a_key_without_a_certificate_is_refused(self) -> None:
        self.refused("a key without a certificate", ClientTls, key=self.key)

    def test_a_name_that_no_host_can_have_is_refused(self) -> None:
        error = self.assertRaises(
            ConfigurationError, Client, "127.0.0.1:1", tls=ClientTls(hostname="x" * 300), reactor=object()
        )
        self.assertIn("is no name of a host", str(error))

    def test_the_extra_is_named_where_it_is_missing(self) -> None:
        modules = sys.modules
        for library in ("cryptography", "OpenSSL", "service_identity"):
            self.patch(sys, "modules", {**modules, library: None})
            self.refused(f"{library} is missing: pip install 'txslacker[tls]'", ClientTls)
            self.refused(f"{library} is missing", certificate=self.certificate, key=self.key)

    def test_nothing_of_it_is_shown_by_repr(self) -> None:
        tls = ServerTls(certificate=self.certificate, key=self.key)
        self.assertEqual(
            repr(tls), f"ServerTls(certificate={self.certificate!r}, key={self.key!r}, client_ca=None)"
        )


class WordsTests(SynchronousTestCase):
    def test_what_openssl_says_is_told_in_words_of_ours(self) -> None:
        from OpenSSL import SSL

        for said, expected in [
            (
                "tlsv13 alert certificate required",
                "the server wants a certificate of this client, and got none",
            ),
            ("tlsv1 alert unknown ca", "the other end does not trust the certificate it was shown"),
            ("wrong version number", "the other end does not speak TLS here"),
            ("no shared cipher", "TLS failed: no shared cipher"),
        ]:
            error = SSL.Error([("SSL routines", "", said)])
            self.assertEqual(reason_of(Failure(error)), expected)
        self.assertEqual(reason_of(Failure(SSL.Error())), "TLS failed: no reason given")

    def test_what_others_say_stays_as_it_is(self) -> None:
        self.assertEqual(reason_of(Failure(ConnectionLost("gone"))), str(ConnectionLost("gone")))

    def test_a_handshake_and_an_alert_are_known_by_their_first_bytes(self) -> None:
        self.assertTrue(looks_like_tls(b"\x16\x03\x01\x02\x00"))
        self.assertTrue(looks_like_tls(b"\x15\x03\x01\x00\x02"))
        self.assertFalse(looks_like_tls(b"\x06\x00\x00"))
        self.assertFalse(looks_like_tls(b""))

    def test_this_machine_is_loopback_and_unix_sockets(self) -> None:
        for address, expected in [
            (IPv4Address("TCP", "127.0.0.1", 1), True),
            (IPv4Address("TCP", "127.1.2.3", 1), True),
            (IPv4Address("TCP", "10.0.0.1", 1), False),
            (IPv6Address("TCP", "::1", 1), True),
            (IPv6Address("TCP", "::ffff:127.0.0.1", 1), True),
            (IPv6Address("TCP", "::ffff:10.0.0.1", 1), False),
            (IPv6Address("TCP", "fe80::1%lo", 1), False),
            (UNIXAddress("/x"), True),
            (HostnameAddress(b"localhost", 1), False),
            (None, False),
        ]:
            self.assertIs(is_local(address), expected, str(address))
