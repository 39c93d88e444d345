"""The whole way of a call through this package, over one connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred

from benchmarks.worker import Call, Contender, Finish, failed, main
from benchmarks.workloads import EXPOSED, NAMESPACE
from slacker import Client, SlackerServer
from slacker.content import CODECS
from slacker.interceptors import Interceptor
from slacker.server import nonblocking
from slacker.server.functions import Exposable

IN_WORKERS = EXPOSED
ON_REACTOR = nonblocking(EXPOSED)


class Slacker:
    """Server and client with their default options, but for those of the client that are given.

    :param exposed: where functions run.
    """

    def __init__(self, exposed: Exposable = ON_REACTOR, **options: Any) -> None:
        self._exposed = exposed
        self._options = options

    def serve(self) -> Deferred[Any]:
        interceptors = self._options.get("interceptors", ())
        return listening(SlackerServer([self._exposed], interceptors=interceptors))

    def connect(self, where: Any) -> Deferred[Call]:
        return calling(Client(f"127.0.0.1:{where}", **self._options).call)


def listening(server: SlackerServer) -> Deferred[Any]:
    """Listen; fires with the port's number."""
    ready: Deferred[Any] = server.listen("tcp:0:interface=127.0.0.1")
    return ready.addCallback(lambda port: port.getHost().port)


def calling(make_call: Callable[..., Deferred[Any]]) -> Deferred[Call]:
    """Fires with what makes calls by this method of a client, as soon as the first one is answered."""

    def call(function: str, args: list[Any], finish: Finish, started: float) -> None:
        make_call(NAMESPACE, function, args).addCallbacks(finish, failed, callbackArgs=(started,))

    first = make_call(NAMESPACE, "echo", [0])  # connects, and settles the content type
    return first.addCallback(lambda _: call)


class Nothing(Interceptor):
    """Every stage, with nothing done in it."""

    def pre(self, call: Any) -> None:
        pass

    def before(self, call: Any) -> None:
        pass

    def after(self, call: Any) -> None:
        pass

    def post(self, call: Any) -> None:
        pass


class Tls:
    """With TLS, and a certificate that is made for the run."""

    def serve(self) -> Deferred[Any]:
        from twisted.internet import reactor

        from slacker.tls import ServerTls
        from tests.certificates import Authority

        folder = TemporaryDirectory()
        reactor.addSystemEventTrigger("after", "shutdown", folder.cleanup)
        authority = Authority(Path(folder.name))
        certificate, key = authority.issue("server", hosts=["127.0.0.1"])
        server = SlackerServer([ON_REACTOR], tls=ServerTls(certificate=certificate, key=key))
        return listening(server).addCallback(lambda port: [port, authority.path])

    def connect(self, where: Any) -> Deferred[Call]:
        from slacker.tls import ClientTls

        port, ca = where
        return calling(Client(f"127.0.0.1:{port}", tls=ClientTls(ca=ca)).call)


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "reactor": Slacker,
    "workers": partial(Slacker, IN_WORKERS),
    "interceptor": partial(Slacker, interceptors=[Nothing()]),
    "tls": Tls,
    **{name: partial(Slacker, content_type=name) for name in CODECS},
}

if __name__ == "__main__":
    main(CONTENDERS)
