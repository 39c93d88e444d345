"""Clients that show every frame, and the transcript of what they see, for comparing two servers."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Any

from twisted.internet.defer import DeferredQueue
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure

from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.requests import Answer, Event, Question, Welcome

CLOSE = rq.close().op
SET_WATCHES = (101, 105)
ZXIDS = ("czxid", "mzxid", "pzxid")


class RawClient(Int32StringReceiver):
    """A client that shows every frame."""

    MAX_LENGTH = 2**24

    def __init__(self) -> None:
        self.frames: DeferredQueue[bytes | None] = DeferredQueue()
        self.xid = 0

    def stringReceived(self, string: bytes) -> None:
        self.frames.put(string)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connected = False
        self.frames.put(None)

    async def handshake(self, **fields: Any) -> Welcome | None:
        """None if the server closed the connection instead."""
        self.sendString(rq.connect(**fields))
        frame = await self.frames.get()
        return None if frame is None else rq.read_welcome(frame)

    async def ask(self, question: Question) -> tuple[list[Event], Answer | None]:
        """The events that came before the answer, and the answer; None for a connection that was closed."""
        self.xid += 1
        self.sendString(pack(">ii", self.xid, question.op) + question.body)
        events: list[Event] = []
        while True:
            frame = await self.frames.get()
            if frame is None:
                return events, None
            event = rq.read_event(frame)
            if event is None:
                return events, rq.read_answer(frame, question.op)
            events.append(event)


class Play:
    """One server's part in a scenario: a few clients by name, and the transcript of what they see."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.clients: dict[str, RawClient] = {}
        self.welcomes: dict[str, Welcome] = {}
        self.transcript: list[Any] = []

    async def join(self, name: str, **fields: Any) -> None:
        """A client comes; its handshake is written down, but for what is random in it."""
        from twisted.internet import reactor

        host, port = self.address.split(":")
        endpoint = clientFromString(reactor, f"tcp:{host}:{port}")
        client = await endpoint.connect(Factory.forProtocol(RawClient))
        assert isinstance(client, RawClient)
        self.clients[name] = client
        welcome = await client.handshake(**fields)
        if welcome is None:
            self.transcript.append([name, "closed"])
            return
        self.welcomes[name] = welcome
        timeout, session, password, read_only = welcome
        self.transcript.append([name, timeout, session != 0, len(password), read_only])

    async def rejoin(self, name: str, old: str, **fields: Any) -> None:
        """A client comes with another's session."""
        welcome = self.welcomes[old]
        await self.join(name, **{"session": welcome.session, "password": welcome.password, **fields})

    async def ask(self, name: str, *questions: Question) -> Answer | None:
        """Ask one after the other, and write down what everybody sees meanwhile; the last answer."""
        answer = None
        for question in questions:
            events, answer = await self.clients[name].ask(question)
            if question.op == CLOSE:
                events.sort()  # the real server goes through a set when it deletes what a session owned
                answer = None  # it may also close the connection before its answer has left
            asked = question.op if question.op in SET_WATCHES else question  # these hold a transaction id
            self.transcript.append([name, asked, events, answer and [answer.code, answer.values]])
            for other, client in self.clients.items():
                if other != name and client.connected:
                    events, _ = await client.ask(rq.ping())
                    if events:
                        self.transcript.append([other, events])
        return answer

    async def leave(self) -> None:
        """Close what is open."""
        for client in self.clients.values():
            if client.connected:
                await client.ask(rq.close())
                while client.connected:
                    await client.frames.get()

    def comparable(self) -> list[Any]:
        """The transcript with sessions by name, without times, and transaction ids by their rank."""
        sessions = {
            welcome.session: f"session of {name}"
            for name, welcome in self.welcomes.items()
            if welcome.session
        }
        zxids: set[int] = set()

        def walk(value: Any, stat: Callable[[dict[str, Any]], Any]) -> Any:
            if isinstance(value, dict):
                return stat(value)
            return [walk(one, stat) for one in value] if isinstance(value, (tuple, list)) else value

        walk(self.transcript, lambda stat: zxids.update(stat[name] for name in ZXIDS))
        ranks = {zxid: rank for rank, zxid in enumerate(sorted(zxids))}

        def plain(stat: dict[str, Any]) -> dict[str, Any]:
            rest = {name: value for name, value in stat.items() if name not in ("ctime", "mtime")}
            owner = sessions.get(stat["ephemeral_owner"], stat["ephemeral_owner"])
            return {**rest, **{name: ranks[stat[name]] for name in ZXIDS}, "ephemeral_owner": owner}

        return list(walk(self.transcript, plain))
