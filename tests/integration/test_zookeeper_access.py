"""Credentials, access control lists, TLS, chroots and several hosts on live ZooKeepers."""

from __future__ import annotations

import logging
from typing import Any

from twisted.logger import capturedLogs, formatEvent

from slacker import ClusterClient
from slacker.zookeeper import (
    EPHEMERAL,
    AuthFailedException,
    ConnectionTimeoutException,
    NoAuthException,
    State,
    ZookeeperClient,
    ZookeeperTls,
)
from slacker.zookeeper import session as session_module
from slacker.zookeeper.recipes import create_path
from tests.integration.processes import free_port, until
from tests.integration.real_zookeeper import RealZooKeeper, require_real_zookeeper
from tests.integration.zookeepers import OnEmbedded, OnReal, ZooKeeperCase

MARY = "digest:mary:apples"
MARYS_ID = "mary:9MTr9XuZvmudebp9aOo4DtXwyII="  # with the SHA-1 of mary:apples


class AccessCase(ZooKeeperCase):
    """Clients with credentials, and everything that is said meanwhile."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        await super().setUp()
        self.kazoo_said: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.kazoo_said.append(record.getMessage())  # type: ignore[method-assign]
        logger = logging.getLogger("slacker.zookeeper.kazoo")
        logger.addHandler(handler)
        logger.setLevel(1)
        self.addCleanup(logger.removeHandler, handler)
        self.addCleanup(logger.setLevel, logging.NOTSET)

    def access(self, address: str = "", **options: Any) -> ZookeeperClient:
        client = ZookeeperClient(address or self.zookeeper, 5.0, **options)
        self.addCleanup(client.close)
        return client

    async def let_in(self, address: str = "", **options: Any) -> ZookeeperClient:
        return await self.access(address, **options).connect()


class AccessTests(AccessCase):
    async def test_what_a_creator_makes_is_for_its_identity_alone(self) -> None:
        mary = await self.let_in(auth=MARY, acl="creator")
        await create_path(mary, f"{self.root}/a", b"secret")
        await mary.create(f"{self.root}/e", flags=EPHEMERAL)
        for path in (self.root, f"{self.root}/a", f"{self.root}/e"):
            acls, _ = await mary.get_acl(path)
            self.assertEqual(acls, [{"perms": 31, "scheme": "digest", "id": MARYS_ID}])
        same = await self.let_in(auth=MARY)
        self.assertEqual((await same.get(f"{self.root}/a"))[0], b"secret")
        for auth in (None, "digest:mary:pears"):
            other = await self.let_in(auth=auth)
            with self.assertRaises(NoAuthException) as caught:
                await other.get(f"{self.root}/a")
            self.assertIn(f"get {self.root}/a: ", str(caught.exception))
            with self.assertRaises(NoAuthException):
                await other.create(f"{self.root}/b")

    async def test_a_list_may_let_others_read(self) -> None:
        mary = await self.let_in(auth=MARY, acl=f"{MARY}:cdrwa, world:anyone:r")
        await mary.create(self.root, b"for all")
        other = await self.let_in()
        self.assertEqual((await other.get(self.root))[0], b"for all")
        with self.assertRaises(NoAuthException):
            await other.set(self.root, b"theirs")
        await mary.set(self.root, b"hers")

    async def test_whoever_hears_that_a_client_is_connected_may_use_its_identity_at_once(self) -> None:
        client = await self.let_in(self.proxy.address, auth=MARY, acl="creator")
        await client.create(self.root, b"secret")
        read: list[Any] = []

        def listener(state: State) -> None:
            if state is State.CONNECTED:
                client.get(self.root).addBoth(read.append)

        client.add_listener(listener)
        for count in (1, 2, 3):
            self.proxy.cut()
            await until(lambda: not client.connected, "the broken line")
            self.proxy.restore()
            await until(lambda count=count: len(read) == count, "the answer")  # type: ignore[misc]
        self.assertEqual([answer[0] for answer in read], [b"secret"] * 3)

    async def test_passwords_are_not_in_any_log(self) -> None:
        with capturedLogs() as events:
            client = await self.let_in(self.proxy.address, auth="digest:mary:hunter2", acl="creator")
            await client.create(self.root)
            await client.add_auth("digest", "joe:hunter2")
            await client.exists(self.root)
        said = "\n".join([*self.kazoo_said, *(formatEvent(event) for event in events), repr(client)])
        self.assertIn("Auth", said)
        self.assertNotIn("hunter2", said)

    async def test_a_chroot_is_made_with_all_above_it_by_whoever_publishes_first(self) -> None:
        chroot = f"{self.root}/of/the/team"
        client = await self.let_in(self.zookeeper + chroot, auth=MARY, acl="creator,world:anyone:r")
        self.assertIsNone(await client.exists("/"))
        await create_path(client, "/slacker/cluster")
        self.assertEqual(await client.get_children("/slacker"), ["cluster"])
        plain = await self.let_in()
        self.assertEqual(await plain.get_children(self.root), ["of"])
        acls, _ = await plain.get_acl(f"{self.root}/of")
        self.assertEqual([acl["scheme"] for acl in acls], ["digest", "world"])
        await create_path(client, "/slacker/cluster")

    async def test_a_chroot_that_may_not_be_made_is_named(self) -> None:
        await (await self.let_in(auth=MARY, acl="creator")).create(self.root)
        stranger = await self.let_in(f"{self.zookeeper}{self.root}/a/b")
        with self.assertRaises(NoAuthException) as caught:
            await create_path(stranger, "/x")
        self.assertIn(f"create {self.root}/a ", str(caught.exception))

    async def test_a_watch_below_a_chroot_tells_the_path_as_it_was_given(self) -> None:
        client = await self.let_in(self.zookeeper + self.root)
        await client.create_chroot()
        exists, created = client.exists_and_watch("/a")
        self.assertIsNone(await exists)
        await (await self.let_in()).create(f"{self.root}/a")
        self.assertEqual((await created).path, "/a")
        self.assertRegex(await client.create("/n-", flags=2), r"^/n-\d{10}$")
        self.assertEqual(await client.sync("/a"), "/a")

    async def test_hosts_that_are_down_do_not_matter_while_one_is_up(self) -> None:
        down = f"127.0.0.1:{free_port(self)},127.0.0.1:{free_port(self)}"
        for _ in range(5):
            client = await self.let_in(f"{down},{self.zookeeper}{self.root}")
            await client.create_chroot()
            await client.close()

    async def test_a_cluster_client_reads_what_its_identity_may(self) -> None:
        mary = await self.let_in(auth=MARY, acl="creator")
        await create_path(mary, f"{self.root}/c/namespaces/n")
        await mary.create(f"{self.root}/c/namespaces/n/127.0.0.1:1", flags=EPHEMERAL)
        options: dict[str, Any] = {"zk": self.zookeeper, "zk_root": self.root, "zk_session_timeout": 5.0}
        allowed = ClusterClient("c", zk_auth=MARY, zk_acl="creator", **options)
        self.addCleanup(allowed.close)
        allowed.servers("n")
        await until(lambda: allowed.status()["n"].servers == ("127.0.0.1:1",), "the server")
        with capturedLogs() as events:
            refused = ClusterClient("c", zk_auth="digest:mary:pears", **options)
            self.addCleanup(refused.close)
            refused.servers("n")
            await until(lambda: any("namespaces/n" in formatEvent(event) for event in events), "the warning")
        self.assertIsNone(refused.status()["n"].confirmed)


class EmbeddedAccessTests(AccessTests, OnEmbedded):
    async def test_sasl_is_refused_in_so_many_words(self) -> None:
        with self.assertRaises(AuthFailedException):
            await self.let_in(auth="sasl:mary:apples")


class RealAccessTests(AccessTests, OnReal):
    async def test_a_server_that_is_not_set_up_for_sasl_is_named_as_the_reason(self) -> None:
        self.patch(session_module, "_RESTART_DELAY", 0.05)
        with self.assertRaises(AuthFailedException) as caught:
            await self.let_in(auth="sasl:mary:apples")
        self.assertIn("not set up for it", str(caught.exception))


class OwnZooKeeperCase(AccessCase):
    """A real ZooKeeper that knows users and keys."""

    server: RealZooKeeper

    def new_server(self) -> RealZooKeeper:
        raise NotImplementedError

    async def start_zookeeper(self) -> str:
        require_real_zookeeper(self)
        self.server = self.new_server()
        self.addCleanup(self.server.stop)
        await self.server.start()
        return self.server.connect_string


class SaslTests(OwnZooKeeperCase):
    def new_server(self) -> RealZooKeeper:
        return RealZooKeeper(users={"mary": "apples", "joe": "nuts"})

    async def test_a_user_is_let_in_and_keeps_its_identity_over_a_broken_line(self) -> None:
        mary = await self.let_in(self.proxy.address, auth="sasl:mary:apples", acl="creator,sasl:joe:r")
        await mary.create(self.root, b"secret")
        acls, _ = await mary.get_acl(self.root)
        self.assertIn({"perms": 31, "scheme": "sasl", "id": "mary"}, acls)
        self.proxy.cut()
        await until(lambda: not mary.connected, "the broken line")
        self.proxy.restore()
        await until(lambda: mary.connected, "the line being back")
        self.assertEqual((await mary.get(self.root))[0], b"secret")
        joe = await self.let_in(auth="sasl:joe:nuts")
        self.assertEqual((await joe.get(self.root))[0], b"secret")
        with self.assertRaises(NoAuthException):
            await joe.set(self.root, b"his")
        with self.assertRaises(NoAuthException):
            await (await self.let_in()).get(self.root)

    async def test_a_wrong_password_is_said_once_and_what_to_do(self) -> None:
        self.patch(session_module, "_REFUSED_DELAY", 0.2)
        client = self.access(auth="sasl:mary:hunter2")
        states: list[State] = []
        client.add_listener(states.append)
        with capturedLogs() as events:
            with self.assertRaises(AuthFailedException) as caught:
                await client.connect()
            with self.assertRaises(AuthFailedException):
                await client.get("/")
            refusals = self.kazoo_said.count
            said = "AUTH_FAILED closing: "
            await until(lambda: refusals(said) >= 3, "more attempts")
        self.assertEqual(states, [State.AUTH_FAILED])
        errors = [formatEvent(event) for event in events if event["log_level"].name == "error"]
        self.assertEqual(len(errors), 1)
        self.assertIn("refused the credentials", errors[0])
        everything = "\n".join([*self.kazoo_said, *map(formatEvent, events), str(caught.exception)])
        self.assertNotIn("hunter2", everything)


class RequiredSaslTests(OwnZooKeeperCase):
    def new_server(self) -> RealZooKeeper:
        return RealZooKeeper(users={"mary": "apples"}, settings="sessionRequireClientSASLAuth=true\n")

    async def test_a_client_without_sasl_hears_that_it_needs_it(self) -> None:
        with self.assertRaises(AuthFailedException) as caught:
            await self.let_in(auth=MARY)
        self.assertIn("sasl:USER:PASSWORD", str(caught.exception))
        nobody = await self.let_in()
        with self.assertRaises(AuthFailedException):
            await nobody.get("/")
        with self.assertRaises(AuthFailedException):
            await self.let_in(auth="sasl:mary:pears")
        self.assertEqual(await (await self.let_in(auth="sasl:mary:apples")).get_children("/"), ["zookeeper"])


class TlsCase(OwnZooKeeperCase):
    async def not_reached(self, address: str, tls: ZookeeperTls | None) -> str:
        """Why, as the error says."""
        with self.assertRaises(ConnectionTimeoutException) as caught:
            await self.access(address, tls=tls).connect(timeout=3.0)
        return str(caught.exception)


class TlsTests(TlsCase):
    def new_server(self) -> RealZooKeeper:
        return RealZooKeeper(tls="none", users={"mary": "apples"})

    async def test_an_encrypted_connection_carries_thousands_of_requests(self) -> None:
        ca = self.server.authority.path
        client = await self.let_in(
            self.server.secure_address, auth="sasl:mary:apples", tls=ZookeeperTls(ca=ca), acl="creator"
        )
        await client.create(self.root, b"x" * 500_000)
        self.assertEqual((await client.get(self.root))[0], b"x" * 500_000)
        for created in [client.create(f"{self.root}/{number}") for number in range(1_000)]:
            await created
        self.assertEqual(len(await client.get_children(self.root)), 1_000)

    async def test_what_goes_wrong_is_in_the_error(self) -> None:
        ca, secure = self.server.authority.path, self.server.secure_address
        by_name = secure.replace("127.0.0.1", "localhost")
        for address, tls, reason in (
            (secure, ZookeeperTls(), "its certificate is not accepted: unable to get local issuer"),
            (by_name, ZookeeperTls(ca=ca), "its certificate is not accepted: Hostname mismatch"),
            (self.zookeeper, ZookeeperTls(ca=ca), "TLS"),
            (secure, None, "TLS on one side only"),
        ):
            self.assertIn(reason, await self.not_reached(address, tls))
        await self.let_in(by_name, tls=ZookeeperTls(ca=ca, check_hostname=False))
        await self.let_in(secure, tls=ZookeeperTls(verify=False))


class ClientCertificateTests(TlsCase):
    def new_server(self) -> RealZooKeeper:
        return RealZooKeeper(tls="need")

    async def test_a_client_shows_its_certificate_and_is_its_subject(self) -> None:
        ca = self.server.authority.path
        certificate, key = self.server.authority.issue("mary")
        tls = ZookeeperTls(ca=ca, certificate=certificate, key=key)
        client = await self.let_in(self.server.secure_address, tls=tls, acl="creator")
        await client.create(self.root)
        acls, _ = await client.get_acl(self.root)
        self.assertEqual(acls, [{"perms": 31, "scheme": "x509", "id": "CN=mary"}])
        self.assertIn("TLS failed", await self.not_reached(self.server.secure_address, ZookeeperTls(ca=ca)))


# Trial would run the bodies by themselves as well.
del AccessTests, AccessCase, ZooKeeperCase, OnEmbedded, OnReal, OwnZooKeeperCase, TlsCase
