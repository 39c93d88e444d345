"""``twistd slacker``: a server that exposes modules, alone or as a member of a cluster."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Collection, Mapping
from itertools import islice

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IListeningPort

from slacker.address import format_address
from slacker.cluster import ClusterServer
from slacker.errors import ConfigurationError, ZookeeperError
from slacker.server import SlackerServer
from slacker.tap.options import Options
from slacker.tap.starting import StartedService, end_process, listening
from slacker.tap.supervisor import Supervisor
from slacker.zookeeper.embedded import EmbeddedZooKeeper

__all__ = ["Member", "Options", "makeService"]

_MOST_NAMED = 10  # namespaces, in the log's line about all


class Member(StartedService):
    """The server of one process, alone or in a cluster, and the embedded ZooKeeper if it was asked for."""

    command = "slacker"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._zookeeper: EmbeddedZooKeeper | None = None
        self._server = SlackerServer(
            options["expose"],
            threads=options["threads"],
            queue_size=options["queue-size"],
            tls=options["tls"],
            auth=options["auth"],
            executors=options["pools"],
            limits=options["limits"],
            drain_timeout=options["drain-timeout"],
            content_types=options["content-types"],
            debug=bool(options["debug"]),
        )
        self._member: SlackerServer | ClusterServer = self._server

    async def begin(self) -> None:
        options = self._options
        ports: list[IListeningPort] = []
        if options["cluster"] is not None:
            zk = options["zk"]
            if isinstance(zk, int):
                self._zookeeper = EmbeddedZooKeeper()
                await listening(self._zookeeper.listen, f"tcp:{zk}:interface=127.0.0.1", "--zk embedded, at")
                zk = self._zookeeper.address
            self._member = ClusterServer(
                self._server,
                cluster=options["cluster"],
                zk=zk,
                zk_root=options["zk-root"],
                zk_session_timeout=options["zk-session-timeout"],
                zk_connect_timeout=options["zk-connect-timeout"],
                node=options["node"],
                server_data=options["server_data"],
                manager=bool(options["manager"]),
                on_shutdown=end_process,
                zk_auth=options["zk-auth"],
                zk_acl=options["zk-acl"],
                zk_tls=options.zk_tls(),
            )
        if options["http"] is not None:  # first: a member is published as soon as it listens
            ports.append(await listening(self._server.listen_http, options["http"], "--http"))
        ports += [await listening(self._member.listen, endpoint) for endpoint in options["listen"]]
        self.log.info(
            "serving {functions}, on {addresses}",
            functions=_overview(self._server.functions.namespaces),
            addresses=", ".join(_shown(port.getHost()) for port in ports),
        )
        # What was loaded stays. The garbage collector would look at all of it every few thousand calls, and
        # keep everything else waiting for some tens of milliseconds.
        gc.collect()
        gc.freeze()
        if options["zk-wait"] is not None:
            await self._published(options["zk-wait"])

    async def _published(self, seconds: float) -> None:
        from twisted.internet import reactor

        assert isinstance(self._member, ClusterServer), "postOptions has seen to it"
        try:
            await self._member.when_published().addTimeout(seconds, reactor)
        except DeferredTimeout:
            raise ZookeeperError(
                f"not published within --zk-wait {seconds:g} seconds; is ZooKeeper at "
                f"{self._options['zk']} running?"
            ) from None

    async def end(self) -> None:
        await self._member.stop()
        if self._zookeeper is not None:
            await self._zookeeper.stop()


def makeService(options: Options) -> Service:
    """What twistd runs; ends the process with one line where something cannot be exposed."""
    try:
        member = Member(options)
    except ConfigurationError as error:
        sys.exit(f"twistd slacker: {error}")
    if options["workers"] == 1:
        return member
    # The member was made to see whether it can be: the workers would each say that it cannot.
    zookeeper = options["zk"] if isinstance(options["zk"], int) else None
    return Supervisor(
        options["workers"],
        options.of_worker,
        zookeeper=zookeeper,
        drain_timeout=options["drain-timeout"],
        twistd_reactor=options.parent.get("reactor") if options.parent else None,
    )


def _overview(namespaces: Mapping[str, Collection[str]]) -> str:
    """``shop (3 functions), stock (1 function)``, and how many more."""
    named = [
        f"{name} ({len(functions)} function{'' if len(functions) == 1 else 's'})"
        for name, functions in islice(namespaces.items(), _MOST_NAMED)
    ]
    more = len(namespaces) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _shown(address: object) -> str:
    if isinstance(address, (IPv4Address, IPv6Address)):
        return format_address(address.host, address.port)
    name = getattr(address, "name", None)  # of a UNIX socket
    return os.fsdecode(name) if isinstance(name, (bytes, str)) else str(address)
