"""Questions about the server itself: which functions, what about one, which clients."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail

from slacker import content
from slacker.client.answers import error_of
from slacker.client.channel import Channel
from slacker.client.pending import PendingCall
from slacker.errors import ConfigurationError, PeerProtocolError, SlackerError
from slacker.wire import Error, InspectAck, InspectCommand, InspectRequest, Response, encode

_MAX_ARGUMENT = 65_535  # bytes; its length is written in 16 bits


def inspect(channel: Channel, command: InspectCommand, argument: str | None = None) -> Deferred[Any]:
    """Ask; argument and answer are EDN, whatever calls use."""
    name = f"inspect {command.name.lower()}"
    try:
        call = channel.new_call(name.encode())
        data = content.dumps("clj", argument)
        if len(data) > _MAX_ARGUMENT:
            raise ConfigurationError(
                f"{name}: the text has {len(data)} bytes as EDN; there is room for {_MAX_ARGUMENT}"
            )
    except SlackerError as error:
        return fail(error)
    send = partial(_send, channel, command, data)
    call.receive = partial(_receive, call, channel.address)
    if channel.link.connection is None:
        return channel.wait(call, None, send)
    channel.pending.add(call, channel.timeout)
    send(call)
    return call


def _send(channel: Channel, command: InspectCommand, data: bytes, call: PendingCall) -> None:
    connection = channel.link.connection
    assert connection is not None
    if command == InspectCommand.CLIENTS and not connection.peer_software:
        channel.pending.remove(call)  # the question would stall the connection for good
        call.errback(channel.not_sent(call, "it is too old to answer this question"))
    else:
        connection.send([encode(InspectRequest(call.tid, command, data, channel.version))])


def _receive(call: PendingCall, server: str, answer: Error | InspectAck | Response) -> None:
    try:
        if isinstance(answer, Response) and answer.code == 0:
            text = f"{server} answered {call.function} with the result of a call"
            raise PeerProtocolError(text, server=server, function=call.function)
        if not isinstance(answer, InspectAck):
            raise error_of(answer, server, call.function)
        value = content.loads("clj", answer.data)
    except SlackerError as error:
        call.errback(error)
    else:
        call.callback(value)
