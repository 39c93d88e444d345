"""Credentials, access control lists and TLS files, as users write them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from slacker.errors import ConfigurationError
from slacker.zookeeper import ZOO_OPEN_ACL_UNSAFE, ZookeeperClient, ZookeeperTls, access
from slacker.zookeeper.access import Access, parse_acl, parse_auth
from tests.certificates import Authority

HASHED = "mary:9MTr9XuZvmudebp9aOo4DtXwyII="  # with the SHA-1 of mary:apples, as ZooKeeper has it


class AuthTests(SynchronousTestCase):
    def test_scheme_user_and_password_are_told_apart_and_a_password_may_hold_colons(self) -> None:
        digest = parse_auth("digest:mary:ap:pl:es")
        self.assertEqual((digest.scheme, digest.user, digest.password), ("digest", "mary", "ap:pl:es"))
        self.assertEqual(Access.of("digest:mary:a:b", None, None).identities, [("digest", "mary:a:b")])
        self.assertIsNone(Access.of("digest:mary:a:b", None, None).sasl_options)
        sasl = Access.of("sasl:mary:a:b", None, None)
        self.assertEqual(
            sasl.sasl_options, {"mechanism": "DIGEST-MD5", "username": "mary", "password": "a:b"}
        )
        self.assertEqual(sasl.identities, [])

    def test_what_is_neither_is_refused_without_being_repeated(self) -> None:
        wrong: tuple[Any, ...] = ("", "hunter2", "digest:hunter2", "digest::hunter2", "basic:mary:hunter2", 7)
        for text in wrong:
            error = self.assertRaises(ConfigurationError, parse_auth, text)
            self.assertIn("digest:USER:PASSWORD or sasl:USER:PASSWORD", str(error))
            self.assertNotIn("hunter2", str(error))

    def test_sasl_without_its_library_names_what_to_install(self) -> None:
        self.patch(access, "find_spec", lambda name: None)
        error = self.assertRaises(ConfigurationError, parse_auth, "sasl:mary:apples")
        self.assertIn("pip install 'txslacker[sasl]'", str(error))
        parse_auth("digest:mary:apples")

    def test_no_representation_shows_a_password(self) -> None:
        self.assertNotIn("hunter2", repr(Access.of("digest:mary:hunter2", "digest:joe:hunter2:r", None)))


class AclTests(SynchronousTestCase):
    def test_each_form_becomes_an_entry(self) -> None:
        for text, perms, scheme, name in (
            ("creator", 31, "auth", ""),
            ("auth::cdrwa", 31, "auth", ""),
            ("auth::r", 1, "auth", ""),
            ("digest:mary:apples:cdrw", 15, "digest", HASHED),
            ("sasl:mary:rw", 3, "sasl", "mary"),
            ("sasl:mary@EXAMPLE.ORG:a", 16, "sasl", "mary@EXAMPLE.ORG"),
            ("ip:10.0.0.0/8:r", 1, "ip", "10.0.0.0/8"),
            ("ip:fe80::1:cd", 12, "ip", "fe80::1"),
            ("world:anyone:r", 1, "world", "anyone"),
        ):
            self.assertEqual(
                parse_acl(text, identified=True), [{"perms": perms, "scheme": scheme, "id": name}], text
            )

    def test_entries_are_separated_by_commas(self) -> None:
        entries = parse_acl(" creator , world:anyone:r", identified=True)
        self.assertEqual(
            [(entry["scheme"], entry["perms"]) for entry in entries], [("auth", 31), ("world", 1)]
        )

    def test_without_a_list_everybody_may_do_everything(self) -> None:
        self.assertEqual(Access.of(None, None, None).acls, [ZOO_OPEN_ACL_UNSAFE])

    def test_a_wrong_entry_is_named_by_its_number_and_not_repeated(self) -> None:
        for text, what in (
            ("", "it should be creator"),
            ("creator,", "entry 2: it should be creator"),
            ("diges:mary:hunter2:r", "it should be creator"),
            ("digest:mary:hunter2", "letters of cdrwa"),
            ("digest:mary:hunter2:", "letters of cdrwa"),
            ("digest:mary:hunter2:rx", "letters of cdrwa"),
            ("digest::hunter2:r", "digest:USER:PASSWORD:PERMISSIONS"),
            ("digest:hunter2:r", "digest:USER:PASSWORD:PERMISSIONS"),
            ("digest:mary:with,hunter2:r", "entry 1: after the last colon"),
            ("world:somebody:r", "world:anyone"),
            ("auth:mary:r", "auth::PERMISSIONS"),
            ("sasl::r", "whom sasl stands for"),
            ("ip:localhost:r", "address"),
            ("ip:10.0.0.0/33:r", "address"),
            ("creator,world:anyone:R", "entry 2"),
        ):
            error = str(self.assertRaises(ConfigurationError, parse_acl, text, identified=True))
            self.assertIn(what, error, text)
            self.assertNotIn("hunter2", error)

    def test_a_list_that_is_no_text_is_refused(self) -> None:
        wrong: Any = [ZOO_OPEN_ACL_UNSAFE]
        self.assertRaises(ConfigurationError, parse_acl, wrong, identified=True)

    def test_a_creator_needs_an_identity(self) -> None:
        error = self.assertRaises(ConfigurationError, parse_acl, "creator", identified=False)
        self.assertIn("give auth, too", str(error))
        self.assertRaises(ConfigurationError, ZookeeperClient, acl="creator")
        ZookeeperClient(auth="digest:mary:apples", acl="creator")

    @given(st.text(alphabet="creator,:dwa1/.@ \x00é", max_size=40))
    @settings(derandomize=True, deadline=None, database=None)
    def test_any_text_is_a_list_or_one_clear_error(self, text: str) -> None:
        try:
            entries = parse_acl(text, identified=True)
        except ConfigurationError as error:
            self.assertTrue(str(error).startswith("ZooKeeper's acl, entry "))
        else:
            self.assertEqual(len(entries), text.count(",") + 1)
            self.assertTrue(all(1 <= entry["perms"] <= 31 for entry in entries))


class TlsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(self.folder)
        self.junk = self.folder / "junk.pem"
        self.junk.write_text("no certificate\n")

    def key_pair(self, password: bytes | None = None) -> tuple[str, str]:
        """Files of a certificate and its key."""
        return self.authority.issue("mine", password=password)

    def error(self, **options: Any) -> str:
        return str(self.assertRaises(ConfigurationError, ZookeeperTls, **options))

    def test_certificates_and_host_names_are_checked_unless_told_otherwise(self) -> None:
        context = ZookeeperTls().context()
        self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_REQUIRED, True))
        context = ZookeeperTls(check_hostname=False).context()
        self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_REQUIRED, False))
        context = ZookeeperTls(verify=False).context()
        self.assertEqual((context.verify_mode, context.check_hostname), (ssl.CERT_NONE, False))

    def test_where_an_authority_is_named_no_other_is_trusted(self) -> None:
        self.assertEqual(len(ZookeeperTls(ca=self.authority.path).context().get_ca_certs()), 1)

    def test_a_file_that_cannot_be_read_is_named_at_once(self) -> None:
        certificate, _ = self.key_pair()
        nowhere = str(self.folder / "nowhere.pem")
        for options, what in (
            ({"ca": nowhere}, "the ca file"),
            ({"certificate": nowhere}, "the certificate file"),
            ({"certificate": certificate, "key": nowhere}, "the key file"),
        ):
            self.assertIn(f"{what} {nowhere}: No such file", self.error(**options))

    def test_files_that_do_not_hold_what_they_should_are_named(self) -> None:
        certificate, key = self.key_pair()
        _, other_key = self.key_pair()
        self.assertIn("junk.pem holds no certificate", self.error(ca=str(self.junk)))
        for options in (
            {"certificate": str(self.junk)},
            {"certificate": certificate},
            {"certificate": certificate, "key": str(self.junk)},
            {"certificate": certificate, "key": other_key},
        ):
            self.assertIn("a certificate and its private key", self.error(**options))
        ZookeeperTls(certificate=certificate, key=key)

    def test_a_key_without_a_certificate_is_refused(self) -> None:
        self.assertIn("without a certificate", self.error(key=str(self.junk)))

    def test_an_encrypted_key_needs_its_password_which_nothing_shows(self) -> None:
        certificate, key = self.key_pair(b"hunter2")
        tls = ZookeeperTls(certificate=certificate, key=key, password="hunter2")
        self.assertNotIn("hunter2", repr(tls))
        for password in (None, "pears"):
            error = self.error(certificate=certificate, key=key, password=password)
            self.assertIn("the password should fit", error)

    def test_a_client_takes_nothing_else_for_tls(self) -> None:
        wrong: Any = True
        error = self.assertRaises(ConfigurationError, ZookeeperClient, tls=wrong)
        self.assertIn("ZookeeperTls", str(error))
