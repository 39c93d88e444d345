"""Calls with more than arguments: interceptors, extensions, fire and forget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slacker import content
from slacker.client.answers import error_of, value_of
from slacker.client.channel import Channel
from slacker.client.names import codec_named, seconds, wire_name
from slacker.errors import ConfigurationError, ContentError
from slacker.interceptors.call import Call
from slacker.interceptors.stages import Stages, backward, forward
from slacker.wire import Error, Request, Response
from slacker.wire.frames import Extensions

_IDS = range(-(2**15), 2**15)
_MOST_EXTENSIONS = 127  # their number is a signed byte


async def run_staged(channel: Channel, stages: Stages, call: Call, *, interrupt: bool, forget: bool) -> Any:
    """The way of one such call: ``pre``, encode, ``before``, ask, ``after``, decode, ``post``.

    :param call: with everything that the caller said; ``timeout`` is set.
    :param interrupt: tell the server when the call times out.
    :param forget: do not wait for an answer.
    """
    answer: Response | Error | None = None
    if call.timeout is not None:
        seconds("timeout", call.timeout)
    deadline = channel.seconds() + (call.timeout or channel.timeout)
    try:
        await forward(stages.pre, call)
        if not call.ended:
            deadline = min(deadline, channel.seconds() + (call.timeout or channel.timeout))
            connection = await channel.when_connected(call.name, deadline - channel.seconds())
            named = codec_named(call.content_type) if call.content_type else None
            codec = channel.codec_for(connection, named)
            call.content_type = codec.name
            if call.data is None:
                call.data = codec.dumps(call.args)
            await forward(stages.before, call)
        if not call.ended:
            request = Request(
                0,
                codec.wire_id,
                wire_name(call.namespace, call.function).decode(),
                call.data or b"",
                encode_extensions(codec, call.extensions),
                channel.version,
            )
            left = max(deadline - channel.seconds(), 0.001)
            answer = await channel.ask(request, left, interrupt=interrupt, forget=forget)
            if answer is not None:
                call.answer = answer.data if isinstance(answer, Response) else b""
    except Exception as error:
        call.error = error
    await backward(stages.after, call)
    if answer is not None and call.error is None and not call.ended:
        _decode(channel.address, call, answer)
    await backward(stages.post, call)
    if call.error is not None:
        raise call.error
    return call.result


def _decode(server: str, call: Call, answer: Response | Error) -> None:
    try:
        if isinstance(answer, Response):
            answer.data = call.answer or b""
            call.extensions = _decode_extensions(answer)
        if isinstance(answer, Response) and answer.code == 0:
            call.result = value_of(answer)
        else:
            call.error = error_of(answer, server, call.name)
    except ContentError as error:
        call.error = error


def encode_extensions(codec: content.Codec, extensions: Mapping[int, Any]) -> Extensions:
    """Extension values travel in the call's own content type.

    :raises ConfigurationError: if an id is none, or there are too many.
    :raises ContentError: if the content type cannot carry a value.
    """
    for identifier in extensions:
        if not isinstance(identifier, int) or identifier not in _IDS:
            raise ConfigurationError(f"extension id {identifier!r} should be a number from -32768 to 32767")
    if len(extensions) > _MOST_EXTENSIONS:
        raise ConfigurationError(f"{len(extensions)} extensions are more than {_MOST_EXTENSIONS}")
    return tuple((identifier, codec.dumps(value)) for identifier, value in extensions.items())


def _decode_extensions(answer: Response) -> dict[int, Any]:
    codec = content.BY_ID.get(answer.content_type)
    if codec is None:
        return {}
    return {identifier: codec.loads(data) if data else None for identifier, data in answer.extensions}
