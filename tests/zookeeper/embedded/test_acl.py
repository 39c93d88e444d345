"""Who may do what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded.acl import allowed, check_allowed, digest_identity, masked, resolve
from slacker.zookeeper.embedded.codes import Code, OperationRefused, Perm
from slacker.zookeeper.embedded.records import Acl

# What ZooKeeper's own DigestAuthenticationProvider makes of super:test; kazoo's tests hold it as well.
SUPER = ("digest", "super:D/InIHSb7yEEbrWz8b9l71RjZJU=")
HOME = ("ip", "127.0.0.1")


class AllowedTests(SynchronousTestCase):
    def test_a_digest_is_made_as_the_real_server_makes_it(self) -> None:
        self.assertEqual(digest_identity(b"super:test"), SUPER)

    def test_a_rule_gives_its_own_bits_to_whom_it_names(self) -> None:
        acl = [Acl(Perm.READ, "world", "anyone"), Acl(Perm.WRITE, *SUPER)]
        self.assertTrue(allowed(acl, Perm.READ, []))
        self.assertFalse(allowed(acl, Perm.WRITE, [HOME]))
        self.assertTrue(allowed(acl, Perm.WRITE, [HOME, SUPER]))
        self.assertFalse(allowed(acl, Perm.ADMIN, [HOME, SUPER]))

    def test_one_of_several_bits_is_enough(self) -> None:
        self.assertTrue(allowed([Acl(Perm.READ, "world", "anyone")], Perm.READ | Perm.ADMIN, []))

    def test_addresses_match_networks_of_their_family(self) -> None:
        for rule, address, expected in (
            ("127.0.0.1", "127.0.0.1", True),
            ("127.0.0.1", "127.0.0.2", False),
            ("127.0.0.9/8", "127.0.0.2", True),
            ("::1", "::1", True),
            ("fe80::/16", "fe80::5", True),
            ("::/0", "127.0.0.1", False),
        ):
            self.assertEqual(allowed([Acl(31, "ip", rule)], Perm.READ, [("ip", address)]), expected, rule)

    def test_no_permission_is_no_auth(self) -> None:
        refused = self.assertRaises(OperationRefused, check_allowed, [], Perm.READ, [SUPER], "/a")
        self.assertIs(refused.code, Code.NO_AUTH)


class ResolveTests(SynchronousTestCase):
    def test_auth_becomes_those_who_proved_themselves(self) -> None:
        other = digest_identity(b"joe:x")
        self.assertEqual(
            resolve([Acl(3, "auth", "whatever")], [HOME, SUPER, other], "/a"),
            (Acl(3, *SUPER), Acl(3, *other)),
        )

    def test_doubles_are_dropped_and_the_order_stays(self) -> None:
        one, two = Acl(1, "world", "anyone"), Acl(31, *SUPER)
        self.assertEqual(resolve([two, one, two], [], "/a"), (two, one))

    def test_what_no_scheme_understands_is_an_invalid_acl(self) -> None:
        for acl in (
            [],
            [Acl(31, "auth", "")],
            [Acl(31, "world", "me")],
            [Acl(31, "digest", "me")],
            [Acl(31, "digest", "me:")],
            [Acl(31, "digest", "me:and:you")],
            [Acl(31, "ip", "home")],
            [Acl(31, "ip", "127.0.0.1/33")],
            [Acl(31, "ip", "127.0.0.1/")],
            [Acl(31, "sasl", "me")],
        ):
            refused = self.assertRaises(OperationRefused, resolve, acl, [HOME], "/a")
            self.assertIs(refused.code, Code.INVALID_ACL)

    def test_a_reader_who_is_no_admin_sees_no_digests(self) -> None:
        acl = [Acl(31, *SUPER), Acl(1, "world", "anyone")]
        self.assertEqual(masked(acl), [Acl(31, "digest", "super:x"), Acl(1, "world", "anyone")])
