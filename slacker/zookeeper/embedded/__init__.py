"""A small ZooKeeper server in this process, for development and tests.

::

    zk = EmbeddedZooKeeper()
    port = await zk.listen("tcp:0:interface=127.0.0.1")
    client = KazooClient(zk.address)
    ...
    await zk.stop()

From the bytes up: :mod:`~slacker.zookeeper.embedded.jute` and :mod:`~slacker.zookeeper.embedded.records` read
and write them, :mod:`~slacker.zookeeper.embedded.tree` holds the nodes,
:mod:`~slacker.zookeeper.embedded.watches` who wants to hear of them,
:mod:`~slacker.zookeeper.embedded.sessions` who is there; :mod:`~slacker.zookeeper.embedded.processor` puts
these together, and :mod:`~slacker.zookeeper.embedded.connection` and
:mod:`~slacker.zookeeper.embedded.server` put them on the network. What it leaves out: disk, ensembles
(reconfig), SASL, quotas.
"""

from slacker.zookeeper.embedded.server import EmbeddedZooKeeper

__all__ = ["EmbeddedZooKeeper"]
