"""Running calls: on the reactor or in a worker pool, with interceptors or without, for TCP and for HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol, cast

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from slacker.content import Codec
from slacker.errors import AccessDenied, Canceled, ContentError, FunctionNotFound, ServerBusy
from slacker.interceptors.call import Call as Intercepted
from slacker.interceptors.context import incoming
from slacker.interceptors.stages import Stages, backward, drive, forward
from slacker.server.context import CurrentCall, decode_extensions
from slacker.server.functions import Function
from slacker.server.peer import PeerInfo
from slacker.server.pipeline import SUCCESS, Outcome, decode, encode_result, failure, refusal
from slacker.server.workers import Workers
from slacker.wire import Request, ResultCode

if TYPE_CHECKING:
    from slacker.server.service import SlackerServer

_LATER = (Deferred, CoroutineType)

_INVALID: Outcome = (int(ResultCode.INVALID_PACKET), b"")
_NOT_FOUND: Outcome = (int(ResultCode.NOT_FOUND), b"")
_BUSY: Outcome = (int(ResultCode.THREAD_POOL_FULL), b"")
_DENIED: Outcome = (int(ResultCode.ACL_REJECT), b"")
CANCELED: Outcome = (int(ResultCode.CANCELED), b"")


class Caller(Protocol):
    """Who wants a call's outcome: a connection, or an HTTP request."""

    peer: PeerInfo
    calls: dict[object, RunningCall]

    def call_finished(self, call: RunningCall, *, in_batch: bool = False) -> None:
        """The call, which did not end in the turn it came in, has an outcome; ``in_batch``: flushed soon."""


@define(eq=False, kw_only=True)
class RunningCall:
    """A call that did not end in the reactor turn in which it came.

    :ivar key: where it stands in its caller's table.
    :ivar answered: whether the caller has heard of its end; what comes later is dropped.
    :ivar cancel: ends it as soon as that is possible.
    """

    caller: Caller
    request: Request
    key: object
    outcome: Outcome = CANCELED
    answered: bool = False
    cancel: Callable[[], object] = lambda: None


@define(eq=False, kw_only=True)
class _PoolCall(RunningCall):
    """One whose function runs in a worker thread, decoding and encoding too: a large value takes its time."""

    execution: Execution
    codec: Codec
    function: Function
    view: CurrentCall

    def run(self) -> None:
        """In the thread."""
        incoming.set(self.view)
        self.outcome = self.execution.call_plainly(self.function, self.codec, self.request, _refuse_later)

    def finish(self) -> None:
        """On the reactor, afterwards."""
        self.caller.call_finished(self, in_batch=True)


@define(eq=False)
class _PoolJob:
    """Only a function, in a worker thread: the interceptors of its call run on the reactor."""

    call: Callable[[], Any]
    view: CurrentCall
    seconds: Callable[[], float]
    done: Deferred[Any]
    result: Any = None
    dropped: bool = False

    def run(self) -> None:
        """In the thread."""
        incoming.set(self.view)
        deadline = self.view.deadline
        if deadline is not None and self.seconds() >= deadline:
            self.result = Failure(
                Canceled(f"{self.view.function} was past its deadline when a worker took it up")
            )
            return
        try:
            self.result = _refuse_later(self.call())
        except BaseException as error:  # whatever a function raises, SystemExit too, belongs to its caller
            self.result = Failure(_Raised(error))

    def finish(self) -> None:
        """On the reactor, afterwards."""
        if not self.dropped:
            self.done.callback(self.result)  # or errback, where it is a Failure


class Execution:
    """Runs the calls of a server."""

    def __init__(self, server: SlackerServer) -> None:
        self._server = server
        self._find = server.functions.find
        self._codecs: Mapping[int, Codec] = server.codecs
        self._stages = Stages(server.interceptors)
        self._intercepted = bool(self._stages)
        self._to_wake: set[Workers] = set()

    def begin(self, caller: Caller, request: Request) -> Outcome | None:
        """Run a request: its outcome, or None if that comes later through ``caller.call_finished``."""
        server = self._server
        server.called = True
        codec = self._codecs.get(request.content_type)
        if codec is None:
            return _INVALID
        if self._intercepted:
            return self._begin_intercepted(caller, request, codec)
        function = self._find(request.function) or self._stand_in(request.function)
        if function is None:
            return _NOT_FOUND
        if function.allow is not None and not function.allow(caller.peer):
            return _DENIED
        if server.draining or len(caller.calls) >= server.limits.max_in_flight:
            return _BUSY
        view = CurrentCall(request, codec, caller.peer)
        if not function.on_reactor:
            return self._begin_in_pool(caller, request, codec, function, view)
        token = incoming.set(view)
        try:
            outcome = self.call_plainly(function, codec, request, _no_check)
        finally:
            incoming.reset(token)
        if outcome.__class__ is tuple:
            return outcome
        # It is a Deferred, of what call_plainly would have encoded.
        self._await(caller, request, cast("Deferred[Outcome]", outcome), view)
        return None

    def wake(self) -> None:
        """Call it after one or more calls have begun: worker threads look at them now."""
        while self._to_wake:
            self._to_wake.pop().wake()

    def call_plainly(
        self, function: Function, codec: Codec, request: Request, check: Callable[[Any], Any]
    ) -> Outcome:
        """Decode, call, encode: the way of a call without interceptors, on the reactor and in threads.

        :return: on the reactor, where the function's result is one, a Deferred of the outcome instead.
        """
        try:
            result = check(function.call(*decode(codec, request.data, request.function)))
            if isinstance(result, _LATER):
                outcome = Deferred.fromCoroutine(result) if isinstance(result, CoroutineType) else result
                return outcome.addCallbacks(  # type: ignore[return-value]  # as said above
                    self._succeeded, self._failed, callbackArgs=(codec, request), errbackArgs=(codec, request)
                )
            return SUCCESS, encode_result(codec, result, request.function)
        except BaseException as error:  # whatever a function raises, SystemExit too, belongs to its caller
            return failure(codec, request, error, debug=self._server.debug)

    # Calls that end later

    def _begin_in_pool(
        self, caller: Caller, request: Request, codec: Codec, function: Function, view: CurrentCall
    ) -> Outcome | None:
        pool = self._server.pool_of(function.namespace)
        call = _PoolCall(
            caller=caller,
            request=request,
            key=_key(caller, request),
            execution=self,
            codec=codec,
            function=function,
            view=view,
        )
        if not pool.submit(call):
            return _BUSY
        call.cancel = partial(self._cancel_in_pool, pool, call)
        self._to_wake.add(pool)
        self._began(call)
        return None

    def _cancel_in_pool(self, pool: Workers, call: _PoolCall) -> None:
        call.view.interrupted = True
        if pool.remove(call):
            call.caller.call_finished(call)

    def _await(self, caller: Caller, request: Request, outcome: Deferred[Outcome], view: CurrentCall) -> None:
        call = RunningCall(caller=caller, request=request, key=_key(caller, request))
        self._began(call)

        def cancel() -> None:
            view.interrupted = True
            outcome.cancel()

        def ended(result: Outcome) -> None:
            call.outcome = result
            caller.call_finished(call)

        call.cancel = cancel
        outcome.addCallback(ended)

    def _began(self, call: RunningCall) -> None:
        call.caller.calls[call.key] = call
        self._server.call_began()

    def _succeeded(self, result: Any, codec: Codec, request: Request) -> Outcome:
        try:
            return SUCCESS, encode_result(codec, result, request.function)
        except Exception as error:
            return failure(codec, request, error, debug=self._server.debug)

    def _failed(self, failed: Failure, codec: Codec, request: Request) -> Outcome:
        return failure(codec, request, cast(BaseException, failed.value), debug=self._server.debug)

    # Functions that are not there

    def _stand_in(self, full_name: str) -> Function | None:
        """The namespace's handler for missing functions, called with the name and the arguments."""
        handler = self._server.functions.not_found_handler(full_name)
        if handler is None:
            return None
        handle = handler.call
        name = full_name.partition("/")[2]
        return evolve(handler, call=lambda *arguments: handle(name, list(arguments)))

    # Interceptors

    def _begin_intercepted(self, caller: Caller, request: Request, codec: Codec) -> Outcome | None:
        namespace, _, name = request.function.partition("/")
        call = Intercepted(
            namespace,
            name,
            data=request.data,
            content_type=codec.name,
            extensions=decode_extensions(request, codec) if request.extensions else {},
            peer=caller.peer.address,
        )
        view = CurrentCall(request, codec, caller.peer)
        outcome = drive(self._run(call, caller, request, codec, view))
        if isinstance(outcome, Deferred):
            self._await(caller, request, outcome, view)
            return None
        return cast(Outcome, outcome)

    async def _run(
        self, call: Intercepted, caller: Caller, request: Request, codec: Codec, view: CurrentCall
    ) -> Outcome:
        stages = self._stages
        raised: BaseException | None = None  # by the function, and not by an interceptor
        try:
            await forward(stages.pre, call)
            view.deadline = call.deadline
            if not call.ended:
                if call.args is None:
                    call.args = decode(codec, call.data or b"", call.name)
                await forward(stages.before, call)
            if not call.ended:
                outcome = self._call(self._admit(caller, call.name), call.args or (), view)
                call.result = await outcome if isinstance(outcome, Deferred) else outcome
        except _Raised as wrapped:
            call.error = raised = wrapped.error
        except Exception as error:
            call.error = error
        await backward(stages.after, call)
        code = self._encode(call, request, codec, raised)
        error_before = call.error
        await backward(stages.post, call)
        if call.error is not error_before:
            code = self._encode(call, request, codec, raised)
        return code, call.answer or b""

    def _admit(self, caller: Caller, name: str) -> Function:
        """The function of this name, if this caller may call it now."""
        server = self._server
        function = self._find(name) or self._stand_in(name)
        if function is None:
            raise FunctionNotFound(f"there is no function {name}", function=name)
        if function.allow is not None and not function.allow(caller.peer):
            raise AccessDenied(f"{caller.peer.address} may not call {name}", function=name)
        if server.draining or len(caller.calls) >= server.limits.max_in_flight:
            raise ServerBusy(f"no more calls are taken; {name} did not run", function=name)
        return function

    def _call(self, function: Function, args: Sequence[Any], view: CurrentCall) -> Any:
        """What the function returns, or a Deferred of it; what it raises is wrapped."""
        if not function.on_reactor:
            return self._call_in_pool(function, args, view)
        token = incoming.set(view)
        try:
            result = function.call(*args)
            if isinstance(result, _LATER):
                outcome = Deferred.fromCoroutine(result) if isinstance(result, CoroutineType) else result
                return outcome.addErrback(_wrap)
            return result
        except BaseException as error:  # whatever a function raises, SystemExit too, belongs to its caller
            raise _Raised(error) from error
        finally:
            incoming.reset(token)

    def _call_in_pool(self, function: Function, args: Sequence[Any], view: CurrentCall) -> Deferred[Any]:
        pool = self._server.pool_of(function.namespace)

        def cancel(_: object) -> None:
            view.interrupted = True
            job.dropped = True
            pool.remove(job)

        job = _PoolJob(partial(function.call, *args), view, self._server.seconds, Deferred(cancel))
        if not pool.submit(job):
            raise ServerBusy(f"the worker pool is full; {function.full_name} did not run")
        self._to_wake.add(pool)
        return job.done

    def _encode(self, call: Intercepted, request: Request, codec: Codec, raised: BaseException | None) -> int:
        """Write the answer of a call that has gone its way; its code."""
        if call.error is None:
            try:
                call.answer = encode_result(codec, call.result, call.name)
                return SUCCESS
            except ContentError as error:
                call.error = error
        # A function may raise one of our errors about a call of its own, which says nothing about this one.
        refused = None if call.error is raised else refusal(call.error)
        code, call.answer = refused or failure(codec, request, call.error, debug=self._server.debug)
        return code


class _Raised(Exception):
    """What a function raised, told apart from what an interceptor raised."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def _wrap(failed: Failure) -> Failure:
    return Failure(_Raised(cast(BaseException, failed.value)))


def _no_check(result: Any) -> Any:
    return result


def _refuse_later(result: Any) -> Any:
    """In a worker thread nobody waits for a Deferred or a coroutine."""
    if isinstance(result, _LATER):
        if isinstance(result, CoroutineType):
            result.close()
        raise TypeError(
            f"a function in a worker thread returned a {type(result).__name__}: "
            "mark it @nonblocking, so that it runs on the reactor"
        )
    return result


def _key(caller: Caller, request: Request) -> object:
    """The transaction id, or where a peer uses one twice at a time, something else that is unique."""
    return object() if request.tid in caller.calls else request.tid
