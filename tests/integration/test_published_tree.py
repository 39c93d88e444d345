"""The whole tree that two members leave in a live ZooKeeper, beside that of two real servers."""

from __future__ import annotations

import json
import re
from typing import Any

from slacker import ClusterServer, SlackerServer
from slacker.content import loads
from slacker.content.values import Keyword
from tests.cluster.test_layout import API, VECTORS
from tests.cluster.test_publisher import ADDRESS, API2, MANAGER, OTHER
from tests.integration.processes import until
from tests.integration.zookeepers import OnEmbedded, OnReal, ZooKeeperCase

#: Path → data, and whether the node is ephemeral.
Tree = dict[str, tuple[bytes | None, bool]]

LOOPBACK = "tcp:0:interface=127.0.0.1"
_UUID = re.compile(r"_c_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-lock-")
#: In these, functions are exposed by a map, of which Clojure keeps no metadata and publishes ``{}``. Ours
#: publish what Python knows of them.
EXPOSED_BY_A_MAP = (f"/{API2}/", f"/{MANAGER}/")


def functions() -> dict[str, Any]:
    """The captured servers' namespace of functions that have metadata."""

    def make_error() -> None:
        """test runtime exception"""

    def rand_ints(n: Any) -> None:
        """test collection result"""

    def random_exception(poss: Any) -> None: ...

    def inc_m(amount: Any) -> None: ...

    def echo(x: Any) -> None: ...

    def nothing() -> None: ...

    named = [make_error, rand_ints, random_exception, inc_m, echo]
    return {
        **{function.__name__.replace("_", "-"): function for function in named},
        **dict.fromkeys(("get-m", "long-running", "timestamp"), nothing),
    }


def real() -> Tree:
    """The captured tree."""
    nodes = json.loads(VECTORS.read_text("utf-8"))["two_servers"]
    return {
        node["path"]: (
            None if node["data_hex"] is None else bytes.fromhex(node["data_hex"]),
            node["ephemeral"],
        )
        for node in nodes
    }


def comparable(tree: Tree) -> dict[str, Any]:
    """A tree without the random part of the names in elections, and what stands for metadata of a map."""
    found: dict[str, Any] = {}
    for path, (data, ephemeral) in tree.items():
        of_a_map = any(f"/functions{namespace}" in path for namespace in EXPOSED_BY_A_MAP)
        metadata = loads("clj", data or b"nil") if of_a_map else None
        shown = "metadata" if isinstance(metadata, dict) else data
        found[_UUID.sub("_c_UUID-lock-", path)] = (shown, ephemeral)
    return found


class TreeScenarios(ZooKeeperCase):
    async def join(self, address: str, **options: Any) -> None:
        server = SlackerServer([{API: functions(), API2: {"echo2": lambda x: x}}])
        member = ClusterServer(
            server,
            "example-cluster",
            self.zookeeper,
            zk_root=f"{self.root}/slacker/cluster",
            node=address,
            **options,
        )
        self.addCleanup(member.stop)
        await member.listen(LOOPBACK)
        await member.when_published()

    async def test_two_members_leave_what_two_real_servers_leave(self) -> None:
        """All paths, data (null or empty, too), and which nodes end with their server's session."""
        await self.join(
            ADDRESS, server_data={Keyword("weight"): 3, Keyword("label"): Keyword("example")}, manager=True
        )
        await self.join(OTHER)
        observer = await self.connected(direct=True)
        expected = comparable(real())
        found: dict[str, Any] = {}

        async def dump(path: str) -> Tree:
            data, stat = await observer.get(f"{self.root}{path}")
            tree: Tree = {path: (data, stat.ephemeralOwner != 0)}
            for child in await observer.get_children(f"{self.root}{path}"):
                tree.update(await dump(f"{path}/{child}"))
            return tree

        async def complete() -> bool:  # the second one's places in the elections are not waited for above
            found.clear()
            found.update(comparable(await dump("/slacker")))
            return found.keys() >= expected.keys()

        await until(complete, "both members' nodes")
        self.assertEqual(found, expected)


class EmbeddedTreeTests(TreeScenarios, OnEmbedded):
    pass


class RealTreeTests(TreeScenarios, OnReal):
    pass


# Trial would run the bodies by themselves as well.
del TreeScenarios, ZooKeeperCase, OnEmbedded, OnReal
