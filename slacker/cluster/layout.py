"""The znode paths of a cluster, and what stands in the nodes. Pure.

::

    /slacker/cluster/<cluster>
        servers/<host:port>                    ephemeral    the server's data, EDN
        namespaces/<namespace>                 persistent
            <host:port>                        ephemeral    empty
            _leader                            persistent   the leader's host:port, plain text
                mutex                          persistent   parent of the election's nodes
        functions/<namespace>/<function>       persistent   what is known of the function, EDN

Null data and empty data are two things in ZooKeeper, and both occur: ``None`` and ``b""`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slacker import content
from slacker.address import parse_address
from slacker.content.values import Keyword
from slacker.errors import ConfigurationError
from slacker.zookeeper.paths import name_problem

DEFAULT_ROOT = "/slacker/cluster"

# What a function's node says of it, in this order; the rest of its metadata stays at home.
_METADATA = (Keyword("name"), Keyword("doc"), Keyword("arglists"))


def _check(kind: str, name: str, *, reserved: bool = False) -> str:
    problem = name_problem(name)
    if problem is None and reserved and name.startswith("_"):
        problem = "names with a leading underscore are the cluster's own"
    if problem is not None:
        raise ConfigurationError(f"{kind} {name!r} cannot stand in ZooKeeper: {problem}")
    return name


class Layout:
    """The paths of one cluster.

    Every method that takes a name raises ConfigurationError if ZooKeeper cannot hold it (a slash, a control
    character, ``.``, ``..``, nothing at all), or if it is an address or namespace that begins with ``_``.

    :param zk_root: the path of all clusters, ``/slacker/cluster`` unless agreed otherwise.
    :param cluster: the name of this one.
    :raises ConfigurationError: if one of them cannot be held.
    """

    def __init__(self, zk_root: str, cluster: str) -> None:
        if not zk_root.startswith("/"):
            raise ConfigurationError(f"zk_root {zk_root!r} should be a path that begins with '/'")
        names = [name for name in zk_root.split("/") if name]
        for name in names:
            _check(f"zk_root {zk_root!r}:", name)
        self.cluster = _check("cluster name", cluster)
        self.root = "/" + "/".join([*names, cluster])
        self.servers = f"{self.root}/servers"
        self.namespaces = f"{self.root}/namespaces"

    def server(self, address: str) -> str:
        """The server's own node, which holds its data."""
        return f"{self.servers}/{self._address(address)}"

    def namespace(self, namespace: str) -> str:
        """Parent of the servers that expose the namespace; children whose name begins with ``_`` are none."""
        return f"{self.namespaces}/{_check('namespace', namespace, reserved=True)}"

    def member(self, namespace: str, address: str) -> str:
        """The node that says that this server exposes this namespace."""
        return f"{self.namespace(namespace)}/{self._address(address)}"

    def leader(self, namespace: str) -> str:
        """The node that names the namespace's leader."""
        return f"{self.namespace(namespace)}/_leader"

    def mutex(self, namespace: str) -> str:
        """Parent of the nodes of the namespace's election."""
        return f"{self.leader(namespace)}/mutex"

    def functions(self, namespace: str) -> str:
        """Parent of the namespace's functions."""
        return f"{self.root}/functions/{_check('namespace', namespace, reserved=True)}"

    def function(self, namespace: str, function: str) -> str:
        """The node that describes one function."""
        return f"{self.functions(namespace)}/{_check('function', function)}"

    @staticmethod
    def _address(address: str) -> str:
        parse_address(address)
        return _check("address", address, reserved=True)


def is_server(child: str) -> bool:
    """Whether a child of a namespace may be a server's, and none of the cluster's own nodes."""
    return not child.startswith("_")


def server_data_bytes(value: Any) -> bytes:
    """What a server's node holds: the value as EDN, ``nil`` for None.

    :raises ContentError: if EDN cannot say it.
    """
    return content.dumps("clj", value)


def server_data_value(data: bytes | None) -> Any:
    """The value a server's node holds; None where it holds nothing.

    :raises ContentError: if it is not EDN.
    """
    return content.loads("clj", data) if data else None


def function_bytes(metadata: Mapping[Keyword, Any]) -> bytes:
    """What a function's node holds: ``{:name sym, :doc "…", :arglists ([x] [x y])}``, as far as known.

    :raises ContentError: if EDN cannot say it.
    """
    return content.dumps("clj", {key: metadata[key] for key in _METADATA if key in metadata})


def leader_bytes(address: str) -> bytes:
    """What ``_leader`` holds."""
    return address.encode()


def leader_address(data: bytes | None) -> str:
    """The address ``_leader`` holds; empty where it names nobody."""
    return data.decode("utf-8", "replace") if data else ""
