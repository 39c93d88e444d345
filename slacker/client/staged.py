"""Calls with more than arguments: interceptors, extensions, fire and forget."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import Context, copy_context
from types import coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from slacker import content
from slacker.client.answers import error_of, value_of
from slacker.client.channel import Channel
from slacker.client.connection import ClientConnection
from slacker.client.names import codec_named, wire_name
from slacker.client.pending import PendingCall
from slacker.content.refusal import refused_arguments
from slacker.errors import (
    CallError,
    CallTimeout,
    ConfigurationError,
    ContentError,
    NotSent,
    PeerProtocolError,
)
from slacker.interceptors.call import Call
from slacker.interceptors.context import decode_extensions
from slacker.interceptors.stages import Stages, backward, forward
from slacker.wire import Error, InspectAck, Request, Response, encode, encode_request
from slacker.wire.frames import Extensions

_IDS = range(-(2**15), 2**15)
_MOST_EXTENSIONS = 127  # their number is a signed byte
_MAX_EXTENSION = 65_535  # bytes of one; its length is written in 16 bits
_AROUND_EXTENSION = 4  # bytes of one that are not its value

#: A frame in pieces, and the connection on which it is to be sent.
_Request = tuple[ClientConnection, list[bytes]]
#: What the way of a call pauses for: a Deferred, or the answer to a request.
_Pause = Deferred[Any] | _Request
_Answer = Response | Error | InspectAck
_Way = Coroutine[_Pause, Any, Any]


@coroutine
def _answer(connection: ClientConnection, request: list[bytes]) -> Generator[_Pause, Any, _Answer]:
    answer: _Answer = yield connection, request
    return answer


class StagedCall(PendingCall):
    """One such call. It fires at the end of its way, on which it is pending from request to answer.

    The way is a coroutine, which this drives: what becomes of the call while it is pending is sent or thrown
    into it. So a call whose stages do not wait costs no Deferred beside the one that its caller holds, and no
    timer: the table of pending calls has one for all. The first stage that waits sets one for the call.

    :param call: with everything that the caller said; ``timeout`` is set.
    :param interrupt: tell the server when the call times out.
    :param forget: do not wait for an answer.
    """

    _connecting = False
    _sent = False
    _timer: IDelayedCall | None = None  # from the first stage on that waits
    _overdue: BaseException | None = None  # what the caller was told, or will be, because the time was over
    _instead: BaseException | None = None  # goes into the way in place of what it waits for

    def __init__(
        self, channel: Channel, stages: Stages, call: Call, *, interrupt: bool, forget: bool
    ) -> None:
        PendingCall.__init__(self, channel.cancel)  # by name: super() would take as long again
        self.interrupt = interrupt
        self._channel = channel
        self._call = call
        self._way: _Way = self._go(stages, call, forget)
        self._context: Context | None = None  # that of the caller, from the first pause on
        self._waiting: Deferred[Any] | None = None  # what the way pauses for, save the answer
        self._pending = False

    def start(self) -> None:
        """Set out; to be called once."""
        self._go_on(self._way.send, None)

    async def _go(self, stages: Stages, call: Call, forget: bool) -> Any:
        """``pre``, encode, ``before``, ask, ``after``, decode, ``post``."""
        channel = self._channel
        answer: _Answer | None = None
        timeout = call.timeout or channel.timeout
        self.deadline = channel.seconds() + timeout
        try:
            if (later := forward(stages.pre, call)) is not None:
                await later
            if not call.ended:
                if call.timeout != timeout:
                    self._hurry(call.timeout or channel.timeout)
                connection = channel.link.connection
                if connection is None:
                    self._connecting = True
                    try:
                        connection = await channel.when_connected(call.name, self._left())
                    finally:
                        self._connecting = False
                named = codec_named(call.content_type) if call.content_type else None
                codec = channel.codec_for(connection, named)
                call.content_type = codec.name
                if call.data is None:
                    try:
                        call.data = codec.dumps(call.args)
                    except ContentError as error:
                        raise refused_arguments(codec.name, call.name, error) from None
                if (later := forward(stages.before, call)) is not None:
                    await later
            if not call.ended:
                connection, request = self._enter(call, codec)
                if forget:
                    channel.pending.remove(self)
                    connection.send(request)
                else:
                    answer = await _answer(connection, request)
                    call.answer = answer.data if isinstance(answer, Response) else b""
        except GeneratorExit:  # nobody drives this any more
            raise
        except BaseException as error:
            call.error = error
        if (later := backward(stages.after, call)) is not None:
            await later
        if answer is not None and call.error is None and not call.ended:
            _decode(channel.address, call, answer)
        if (later := backward(stages.post, call)) is not None:
            await later
        if call.error is not None:
            raise call.error
        if call.ended and isinstance(call.result, Deferred):
            return await call.result
        return call.result

    def _enter(self, call: Call, codec: content.Codec) -> _Request:
        """Take a place in the table of pending calls: what to send, and on which connection."""
        if self._overdue is not None:  # whatever a stage has made of that
            raise self._overdue
        channel = self._channel
        extensions = encode_extensions(codec, call.extensions) if call.extensions else ()
        if channel.version != 6:
            extensions = ()  # there are none before
        self.name = wire_name(call.namespace, call.function)
        data = call.data or b""
        size = len(data)
        if extensions:
            size += sum(_AROUND_EXTENSION + len(value) for _, value in extensions)
        if len(channel.pending.calls) >= channel.backlog:
            raise channel.overflow()
        connection = channel.link.connection
        if connection is None:
            raise channel.not_sent(self, "the connection has just broken")
        if connection.outgoing.paused or len(self.name) + size > channel.max_arguments:
            channel.check_room(connection, self, size)
        tid = channel.pending.add(self, max(self._left(), 0.001))
        try:
            if extensions or channel.version != 6:
                function = self.name.decode()
                request = [encode(Request(tid, codec.wire_id, function, data, extensions, channel.version))]
            else:
                request = encode_request(tid, codec.wire_id, self.name, data)
        except Exception:  # what the format cannot hold
            channel.pending.remove(self)
            raise
        self._sent = True
        return connection, request

    # Its time, where stages wait

    def _left(self) -> float:
        return self.deadline - self._channel.seconds()

    def _hurry(self, timeout: float) -> None:
        """A stage has changed the timeout: there may be less time from now on, and no more."""
        self.deadline = min(self.deadline, self._channel.seconds() + timeout)
        if self._timer is not None:
            self._timer.reset(max(0, self._left()))

    def _watch(self) -> None:
        """See that the call ends in time although a stage waits."""
        left = self._left()
        if left > 0:
            self._timer = self._channel.link.clock.callLater(left, self._expire)
        else:  # the caller waits no more, and only the stage goes on: it notes what has timed out, say
            self._end(self._call.error or self._too_late())

    def _expire(self) -> None:
        self._timer = None
        if self._waiting is None or self._connecting:
            return  # the table of pending calls ends it, now or soon
        self._overdue = self._instead = error = self._too_late()
        self._waiting.cancel()
        if not self.called:  # a stage waits all the same
            self._end(error)

    def _end(self, error: BaseException) -> None:
        self._overdue = error
        super().errback(error)

    def _too_late(self) -> CallError:
        call, server = self._call, self._channel.address
        timeout = call.timeout or self._channel.timeout
        if self._sent:
            text = f"{call.name} was sent to {server}, and its interceptors had not ended within {timeout} s"
            return CallTimeout(text, server=server, function=call.name)
        text = f"{call.name} was not sent to {server}: its interceptors had not ended within {timeout} s"
        return NotSent(text, server=server, function=call.name)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What drives it

    def receive(self, answer: _Answer) -> None:
        """The answer is there."""
        self._pending = False
        self._go_on(self._way.send, answer)

    def errback(self, fail: Failure | BaseException | None = None) -> None:
        """There will be no answer, which the stages hear of before the caller does."""
        if not self._pending:  # one of its own stages has cancelled it
            super().errback(fail)
            return
        self._pending = False
        failure = fail if isinstance(fail, Failure) else Failure(fail)
        self._go_on(self._way.throw, failure.value)

    def cancel(self) -> None:
        """The caller does not want it any more, which the stages hear of, too."""
        if self._waiting is None or self.called:  # it has ended in time; only a stage goes on
            super().cancel()
        else:
            self._waiting.cancel()

    def _go_on(self, step: Callable[[Any], _Pause], value: Any) -> None:
        try:
            pause = step(value) if self._context is None else self._context.run(step, value)
            if self._context is None:
                self._context = copy_context()
            if isinstance(pause, tuple):
                connection, request = pause
                self._pending = True
                connection.send(request)
            else:
                self._waiting = pause
                if self._timer is None and not (self._connecting or self.called):
                    self._watch()
                pause.addBoth(self._waited)
        except StopIteration as end:
            self._stop_timer()
            if not self.called:  # cancelled by one of its own stages
                self.callback(end.value)
        except BaseException:
            self._stop_timer()
            if not self.called:
                super().errback(Failure())

    def _waited(self, outcome: Any) -> None:
        self._waiting = None
        if self._instead is not None:
            error, self._instead = self._instead, None
            self._go_on(self._way.throw, error)
        elif isinstance(outcome, Failure):
            self._go_on(self._way.throw, outcome.value)
        else:
            self._go_on(self._way.send, outcome)


def _decode(server: str, call: Call, answer: _Answer) -> None:
    if isinstance(answer, Response):
        answer.data = call.answer or b""
        codec = content.BY_ID.get(answer.content_type)
        call.extensions = decode_extensions(answer.extensions, codec) if answer.extensions and codec else {}
        if answer.code == 0:
            try:
                call.result = value_of(answer)
            except ContentError as error:
                call.error = error
            return
    elif isinstance(answer, InspectAck):
        text = f"{server} answered {call.name} with an inspection"
        call.error = PeerProtocolError(text, server=server, function=call.name)
        return
    call.error = error_of(answer, server, call.name)


def encode_extensions(codec: content.Codec, extensions: Mapping[int, Any]) -> Extensions:
    """Extension values travel in the call's own content type.

    :raises ConfigurationError: if an id is none, or there are too many.
    :raises ContentError: if the content type cannot carry a value, or it is too large.
    """
    for identifier in extensions:
        if not isinstance(identifier, int) or identifier not in _IDS:
            raise ConfigurationError(f"extension id {identifier!r} should be a number from -32768 to 32767")
    if len(extensions) > _MOST_EXTENSIONS:
        raise ConfigurationError(f"{len(extensions)} extensions are more than {_MOST_EXTENSIONS}")
    encoded = tuple([(identifier, codec.dumps(value)) for identifier, value in extensions.items()])
    for identifier, data in encoded:
        if len(data) > _MAX_EXTENSION:
            raise ContentError(
                f"extension {identifier} has {len(data)} bytes as {codec.name}; "
                f"there is room for {_MAX_EXTENSION}"
            )
    return encoded
