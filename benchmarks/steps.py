"""The steps on the way of a call, each to be timed alone: the code that calls run there, and the floor's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextvars import copy_context
from itertools import repeat
from types import coroutine
from typing import Any, cast

import msgpack
from attrs import frozen

from benchmarks.contenders import floor
from benchmarks.contenders.client import ON_REACTOR, Nothing
from benchmarks.workloads import NAMESPACE, echo, workload
from slacker import Client, SlackerServer
from slacker.client.names import wire_name
from slacker.client.pending import PendingCall
from slacker.content import get
from slacker.interceptors import Call
from slacker.interceptors.context import incoming, outgoing_extensions
from slacker.interceptors.stages import Stages, backward, drive, forward
from slacker.outgoing import Outgoing
from slacker.server.connection import ServerConnection, answer
from slacker.server.context import CurrentCall
from slacker.server.limits import Limits
from slacker.server.pipeline import SUCCESS, decode, encode_result
from slacker.server.running import RunningCall
from slacker.testing import MemoryReactor
from slacker.wire import Decoder, Request, encode_request, encode_response

#: Calls that one read brings.
CALLS = 40

#: What is called.
ECHO = workload("echo 20")

#: The step that the documentation names.
DEFERRED = "its Deferred: made, one callback added, fired"

_NAME = f"{NAMESPACE}/{ECHO.function}"
_WIRE_NAME = _NAME.encode()
_CODEC = get("msgpack")
_ARGUMENTS = _CODEC.dumps(ECHO.args)
_VALUE = ECHO.args[0]
_RESULT = _CODEC.dumps(_VALUE)
_REQUESTS = b"".join(encode_request(1, _CODEC.wire_id, _WIRE_NAME, _ARGUMENTS) * CALLS)
_ANSWERS = b"".join(encode_response(1, _CODEC.wire_id, SUCCESS, _RESULT) * CALLS)

Run = Callable[[], object]


def _nothing() -> None:
    pass


def _finish(value: object, started: float) -> None:
    """What a caller does with a result."""


@frozen
class Step:
    """:ivar ours: does it.
    :ivar floor: does it there, where the floor has such a step.
    :ivar besides: what ``ours`` cannot help to do, too, and what belongs to another step.
    :ivar calls: so many one run is for.
    """

    what: str
    ours: Run
    floor: Run = _nothing
    besides: Run = _nothing
    calls: int = 1

    @property
    def loops(self) -> list[Run]:
        """What is to be timed."""
        return [_loop(run, CALLS // self.calls) for run in (self.ours, self.besides, self.floor, _nothing)]

    def costs(self, times: Sequence[float]) -> tuple[float, float]:
        """What ours takes of a call, and the floor, by what ``loops`` took for as many as a read brings."""
        ours, besides, theirs, loop = times
        return (ours - besides) / CALLS, (theirs - loop) / CALLS


def _loop(run: Run, times: int) -> Run:
    def loop() -> None:
        for _ in repeat(None, times):
            run()

    return loop


def client_steps(client: Client) -> list[Step]:
    """The way of a call through this client, which is connected to a server of this project."""
    channel = client._channel
    connection = channel.link.connection
    assert connection is not None
    cancel = channel.cancel
    outgoing = Outgoing(_Sink(), _nothing)
    decoder = Decoder()
    pack = msgpack.Packer().pack
    pending: dict[int, Any] = {}

    def check() -> None:
        outgoing_extensions()
        wire_name(NAMESPACE, ECHO.function)
        channel.codec_for(connection, None)

    def floor_name() -> bytes:
        return f"{NAMESPACE}/{ECHO.function}".encode()

    def make() -> None:
        PendingCall(cancel)

    def fire() -> None:
        call = PendingCall(cancel)
        call.addCallback(_finish, 0.0)
        call.callback(_VALUE)

    def keep() -> None:
        call = channel.new_call(_WIRE_NAME)
        channel.pending.calls.pop(channel.pending.add(call, 10.0), None)

    def floor_keep() -> None:
        pending[1] = _finish, 0.0
        pending.pop(1)

    def write() -> None:
        frames = repeat(None, CALLS)
        outgoing.write(
            [piece for _ in frames for piece in encode_request(1, _CODEC.wire_id, _WIRE_NAME, _ARGUMENTS)]
        )

    return [
        Step("its name and options are checked", check, floor_name),
        Step(DEFERRED, fire, lambda: _finish(_VALUE, 0.0)),
        Step("the table of pending calls, with its bound and deadlines", keep, floor_keep, besides=make),
        Step("the arguments are written", lambda: _CODEC.dumps(ECHO.args), lambda: pack(ECHO.args)),
        Step("the request's frame is written", write, _floor_writes_requests, calls=CALLS),
        Step("the answer's frame is read", lambda: decoder.feed(_ANSWERS), _floor_reads_answers, calls=CALLS),
        Step("the result is read", lambda: _CODEC.loads(_RESULT), lambda: msgpack.unpackb(_RESULT)),
    ]


def server_steps() -> list[Step]:
    """The way of a call through a server."""
    server = SlackerServer([ON_REACTOR], limits=Limits(max_in_flight=1), reactor=MemoryReactor())
    function = server.functions.find(_NAME)
    assert function is not None
    # One call too many: it passes all checks, the last of which ends it.
    full = ServerConnection(server, None)
    full.calls[0] = cast(RunningCall, None)
    request = Request(1, _CODEC.wire_id, _NAME, _ARGUMENTS)
    outgoing = Outgoing(_Sink(), _nothing)
    decoder = Decoder()
    limit = server.limits.max_frame
    outcome = SUCCESS, _RESULT
    pack = msgpack.Packer().pack

    def know() -> None:
        token = incoming.set(CurrentCall(request, _CODEC, full.peer))
        incoming.reset(token)

    def write() -> None:
        outgoing.write([piece for _ in repeat(None, CALLS) for piece in answer(request, outcome)])

    return [
        Step(
            "the request's frame is read", lambda: decoder.feed(_REQUESTS), _floor_reads_requests, calls=CALLS
        ),
        Step(
            "the function is found; codec, access, drain and limit are checked",
            lambda: server.execution.begin(full, request),
            lambda: floor._FUNCTIONS[_NAME],
        ),
        Step("current_call() is made to know it", know),
        Step(
            "the arguments are read",
            lambda: decode(_CODEC, _ARGUMENTS, _NAME),
            lambda: msgpack.unpackb(_ARGUMENTS),
        ),
        Step("the function runs", lambda: function.call(*ECHO.args), lambda: echo(*ECHO.args)),
        Step(
            "the result is written",
            lambda: encode_result(_CODEC, _VALUE, _NAME, limit),
            lambda: pack(_VALUE),
        ),
        Step("the answer's frame is written", write, _floor_writes_answers, calls=CALLS),
    ]


def stage_steps(side: str) -> list[Step]:
    """What stages that do nothing take of a call, on the client or on the server."""
    stages = Stages([Nothing()])
    call = Call(NAMESPACE, ECHO.function)

    def make() -> None:
        Call(NAMESPACE, ECHO.function, ECHO.args, None, "", {}, "10.0.0.1:2104", 10.0)

    def run() -> None:
        forward(stages.pre, call)
        forward(stages.before, call)
        backward(stages.after, call)
        backward(stages.post, call)

    async def way_there_and_back() -> None:
        await _pause()

    def pause_and_go_on() -> None:
        way = way_there_and_back()
        way.send(None)
        context = copy_context()
        try:
            context.run(way.send, None)
        except StopIteration:
            return

    async def way() -> None:
        pass

    return [
        Step("the Call that they look at is made", make),
        Step("the four of them are called", run),
        Step("the coroutine pauses for the answer, and goes on", pause_and_go_on)
        if side == "client"
        else Step("the coroutine runs through", lambda: drive(way())),
    ]


@coroutine
def _pause() -> Generator[None, None, None]:
    yield


# The floor has no functions for its steps: these are its lines.


def _floor_writes_requests() -> None:
    out = [
        floor._REQUEST.pack(6, 1, 0, floor._MSGPACK, len(_WIRE_NAME))
        + _WIRE_NAME
        + floor._LENGTH.pack(len(_ARGUMENTS))
        + _ARGUMENTS
        + b"\0"
        for _ in repeat(None, CALLS)
    ]
    b"".join(out)


def _floor_reads_answers() -> None:
    data, pos = _ANSWERS, 0
    while len(data) - pos >= 12:
        size = floor._RESPONSE.unpack_from(data, pos)[5]
        stop = pos + 12 + size
        _ = data[pos + 12 : stop]
        pos = stop + 1


def _floor_reads_requests() -> None:
    data, pos = _REQUESTS, 0
    while len(data) - pos >= 9:
        name_end = pos + 9 + floor._REQUEST.unpack_from(data, pos)[4]
        body = name_end + 4
        stop = body + floor._LENGTH.unpack_from(data, name_end)[0]
        _ = data[pos + 9 : name_end].decode(), data[body:stop]
        pos = stop + 1


def _floor_writes_answers() -> None:
    out = [
        floor._RESPONSE.pack(6, 1, 1, floor._MSGPACK, 0, len(_RESULT)) + _RESULT + b"\0"
        for _ in repeat(None, CALLS)
    ]
    b"".join(out)


class _Sink:
    """A transport that takes everything."""

    def registerProducer(self, producer: object, streaming: bool) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass
