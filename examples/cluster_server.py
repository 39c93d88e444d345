"""A member of a cluster, without twistd: ``python -m examples.cluster_server [ENDPOINT [ZOOKEEPER]]``.

It is what ``twistd -n slacker --expose slacker.example.api=examples.api --expose examples.api:more
--listen tcp:2104 --cluster example-cluster --zk 127.0.0.1:2181`` is, and stops as gracefully,
on Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import sys

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import react

from examples import api
from slacker import ClusterServer, SlackerServer
from slacker.content.values import Keyword


async def main(
    reactor: IReactorCore, endpoint: str = "tcp:2104:interface=127.0.0.1", zk: str = "127.0.0.1:2181"
) -> None:
    server = SlackerServer([{"slacker.example.api": api}, api.more], threads=10)
    member = ClusterServer(server, cluster="example-cluster", zk=zk, server_data={Keyword("weight"): 3})
    # Finish what runs, leave the cluster, and only then let the process end.
    reactor.addSystemEventTrigger("before", "shutdown", member.stop)
    port = await member.listen(endpoint)
    print("serving at", port.getHost(), flush=True)
    await Deferred()  # for ever


if __name__ == "__main__":
    react(main, sys.argv[1:])
