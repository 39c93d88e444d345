"""Twisted's AMP: a Command for each kind of value, all on one connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory
from twisted.protocols.amp import AMP, Command, Integer, ListOf, String, Unicode

from benchmarks.worker import Call, Contender, Finish, failed, main
from benchmarks.workloads import echo, rand_ints


class EchoText(Command):
    arguments = [(b"value", Unicode())]
    response = [(b"result", Unicode())]


class EchoBytes(Command):
    arguments = [(b"value", String())]
    response = [(b"result", String())]


class RandInts(Command):
    arguments = [(b"value", Integer())]
    response = [(b"result", ListOf(Integer()))]


class Server(AMP):
    """What it answers."""

    @EchoText.responder
    def echo_text(self, value: str) -> dict[str, Any]:
        return {"result": echo(value)}

    @EchoBytes.responder
    def echo_bytes(self, value: bytes) -> dict[str, Any]:
        return {"result": echo(value)}

    @RandInts.responder
    def rand_ints(self, value: int) -> dict[str, Any]:
        return {"result": rand_ints(value)}


class Amp:
    """See the module's docstring."""

    def serve(self) -> Deferred[Any]:
        from twisted.internet import reactor

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        listening: Deferred[Any] = endpoint.listen(Factory.forProtocol(Server))
        return listening.addCallback(lambda port: port.getHost().port)

    def connect(self, where: Any) -> Deferred[Call]:
        from twisted.internet import reactor

        connecting: Deferred[AMP] = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", where), AMP())
        return connecting.addCallback(_calling)


def _calling(client: AMP) -> Call:
    commands = {int: RandInts, str: EchoText, bytes: EchoBytes}

    def call(function: str, args: list[Any], finish: Finish, started: float) -> None:
        (value,) = args
        client.callRemote(commands[type(value)], value=value).addCallbacks(
            ended, failed, callbackArgs=(finish, started)
        )

    def ended(answer: dict[str, Any], finish: Finish, started: float) -> None:
        finish(answer["result"], started)

    return call


CONTENDERS: dict[str, Callable[[], Contender]] = {"amp": Amp}

if __name__ == "__main__":
    main(CONTENDERS)
