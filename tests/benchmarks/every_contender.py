"""Every contender that is run by a Twisted reactor makes some calls, all in this one process.

It prints a line for each: ``module argument``. Whoever runs it ends it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from benchmarks.contenders import blocking
from benchmarks.contenders.client import Slacker
from benchmarks.suites import CALLS, CONTENT, LARGE, OTHERS, PAYLOADS, WAYS, known_servers
from benchmarks.worker import Window
from benchmarks.workloads import workload
from slacker.cluster.grouping import ONE_SERVER

_SUITES = [CALLS, PAYLOADS, LARGE, WAYS, CONTENT, LARGE, OTHERS]
_SECONDS = 0.005


async def main(reactor: Any) -> None:
    chosen = {
        (each.module, each.argument, name)
        for suite in _SUITES
        for each in suite.contenders
        for name, _ in suite.cases
        if workload(name).size <= each.most
    }
    for policy in ONE_SERVER:
        few = known_servers(policy).contenders[0]
        chosen.add((few.module, few.argument, "echo 20"))
    calls: dict[tuple[str, str], Any] = {}
    for module, argument, name in sorted(chosen):
        if module == blocking.__name__ or ".peers." in module:
            continue
        if (module, argument) not in calls:
            contender = import_module(module).CONTENDERS[argument]()
            calls[module, argument] = await contender.connect(await contender.serve())
        await Window(calls[module, argument], name, 2, _SECONDS).run()
        print(module, argument, flush=True)
    port = await Slacker().serve()
    await deferToThread(lambda: blocking.connect(port)(workload("echo 20"), 2, _SECONDS))
    print(blocking.__name__, "blocking", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main)
