"""What twistd finds: ``slacker`` and ``slacker-zookeeper``. Their modules load only when one is chosen."""

from twisted.application.service import ServiceMaker

slacker = ServiceMaker(
    "slacker server",
    "slacker.tap.server",
    "Expose functions of Python modules, alone or in a slacker cluster.",
    "slacker",
)
slacker_zookeeper = ServiceMaker(
    "slacker ZooKeeper",
    "slacker.tap.zookeeper",
    "A small ZooKeeper in memory, for development and tests.",
    "slacker-zookeeper",
)
