"""One test class body on two ZooKeepers: the embedded one and the real one."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from slacker.zookeeper import NoNodeException, NotEmptyException, ZookeeperClient
from slacker.zookeeper.embedded import EmbeddedZooKeeper
from tests.integration.proxy import Proxy
from tests.integration.real_zookeeper import require_real_zookeeper, shared_zookeeper


class ZooKeeperCase(TestCase):
    """A ZooKeeper behind a proxy, and clients that are closed when the test is over.

    A mixin of one of the two below says which ZooKeeper. Each test keeps below :attr:`root`.
    """

    timeout = 120.0

    async def start_zookeeper(self) -> str:
        """Start one (or take one) and say where it is."""
        raise NotImplementedError

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it
        self.zookeeper = await self.start_zookeeper()
        self.root = f"/{self.id()}"
        self.proxy = Proxy(self.zookeeper)
        await self.proxy.start()
        self.addCleanup(self.proxy.stop)

    def client(self, session_timeout: float = 5.0, *, direct: bool = False) -> ZookeeperClient:
        """A client through the proxy (or not), which is not connected yet."""
        address = self.zookeeper if direct else self.proxy.address
        client = ZookeeperClient(address, session_timeout)
        self.addCleanup(client.close)
        return client

    async def connected(self, session_timeout: float = 5.0, *, direct: bool = False) -> ZookeeperClient:
        client = self.client(session_timeout, direct=direct)
        return await client.connect()

    async def expire(self, client: ZookeeperClient) -> None:
        """End a client's session without its knowledge:

        somebody with its password takes it over and closes it.
        """
        client_id = client.client_id
        assert client_id is not None
        other = ZookeeperClient(self.zookeeper)
        await other.connect(client_id=client_id)
        self.assertEqual(other.session_id, client_id[0])
        await other.close()

    async def remove_all(self, client: ZookeeperClient, path: str) -> None:
        """Delete a node and all below it, once: what servers put there again meanwhile stays."""
        try:
            for child in await client.get_children(path):
                await self.remove_all(client, f"{path}/{child}")
            await client.delete(path)
        except (NoNodeException, NotEmptyException):
            return


class OnEmbedded(ZooKeeperCase):
    """The one in this process."""

    async def start_zookeeper(self) -> str:
        embedded = EmbeddedZooKeeper()
        await embedded.listen("tcp:0:interface=127.0.0.1")
        self.addCleanup(embedded.stop)
        return embedded.address


class OnReal(ZooKeeperCase):
    """The real one, where it is installed."""

    async def start_zookeeper(self) -> str:
        require_real_zookeeper(self)
        return (await shared_zookeeper()).connect_string
