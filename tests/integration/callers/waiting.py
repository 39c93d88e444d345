"""A program without a reactor: threads, a reactor that is stuck, a fork, Ctrl-C, and no close at the end."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from twisted.internet.interfaces import IReactorFromThreads

from slacker.client import blocking
from slacker.errors import CallTimeout, ConfigurationError, NotSent, RemoteError

PATIENCE = 30.0  # seconds that the reactor is stuck, if nothing ends that before

client = blocking.Client(sys.argv[1])
math = client.namespace("math")


def threads() -> None:
    with ThreadPoolExecutor(10) as executor:
        sums = list(executor.map(lambda number: math.add_up(number, 1), range(200)))
    assert sums == [*range(1, 201)]


def errors() -> None:
    try:
        math.fail()
    except RemoteError as error:
        assert error.remote_message == "ValueError: no"
    else:
        raise AssertionError("fail has not failed")
    try:
        client.call("math", "wait", timeout=0.1, interrupt_on_timeout=True)
    except CallTimeout:
        pass
    else:
        raise AssertionError("wait has not waited")


def stuck() -> None:
    from twisted.internet import reactor

    given_up = threading.Event()
    cast(IReactorFromThreads, reactor).callFromThread(given_up.wait, PATIENCE)
    try:
        math["add-up"].with_options(timeout=0.1)(1)
    except NotSent:
        given_up.set()  # the reactor was stuck until now
    else:
        raise AssertionError("a stuck reactor has made a call")


def fork() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says itself what is tried here
        child = os.fork()
    if child == 0:
        for use in (math.add_up, lambda: blocking.Client(sys.argv[1])):
            try:
                use()
            except ConfigurationError as error:
                assert "make clients after the fork" in str(error)
            else:
                os._exit(1)
        client.close()
        sys.exit(0)
    assert os.waitpid(child, 0) == (child, 0)


def interrupt() -> None:
    before = math.cancelled()
    print("waiting", flush=True)
    try:
        math.wait()
    except KeyboardInterrupt:
        assert math.cancelled() == before + 1
    else:
        raise AssertionError("nobody has pressed Ctrl-C")


threads()
errors()
stuck()
fork()
interrupt()
print("done")
