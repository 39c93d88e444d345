"""Calls on a server with interceptors. All stages run on the reactor, and only the function in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from slacker.content import Codec
from slacker.errors import AccessDenied, FunctionNotFound, ServerBusy
from slacker.interceptors.call import Call
from slacker.interceptors.context import decode_extensions, incoming
from slacker.interceptors.stages import Stages, backward, forward
from slacker.server.context import CurrentCall
from slacker.server.functions import Function
from slacker.server.pipeline import (
    AROUND_RESULT,
    SUCCESS,
    Outcome,
    decode,
    encode_result,
    failure,
    refusal,
    shortened,
)
from slacker.server.running import LATER, NOW, Caller, PoolJob, Raised
from slacker.wire import Request

if TYPE_CHECKING:
    from slacker.server.execution import Execution
    from slacker.server.service import SlackerServer


class StagedCalls:
    """Runs calls through the stages of interceptors.

    :param execution: looks up functions, and has worker pools woken.
    """

    def __init__(self, execution: Execution, server: SlackerServer, stages: Stages) -> None:
        self._execution = execution
        self._server = server
        self._stages = stages
        self._max_frame = server.limits.max_frame

    async def run(self, caller: Caller, request: Request, codec: Codec, view: CurrentCall) -> Outcome:
        """``pre``, decode, ``before``, the function, ``after``, encode, ``post``."""
        namespace, _, name = request.function.partition("/")
        extensions = decode_extensions(request.extensions, codec) if request.extensions else {}
        # In the order of its fields: named, they would take twice the time.
        call = Call(namespace, name, None, request.data, codec.name, extensions, caller.peer.address)
        stages = self._stages
        raised: BaseException | None = None  # by the function, and not by an interceptor
        try:
            if (later := forward(stages.pre, call)) is not None:
                await later
            view.deadline = call.deadline
            if not call.ended:
                if call.args is None:
                    call.args = decode(codec, call.data or b"", request.function)
                if (later := forward(stages.before, call)) is not None:
                    await later
            if not call.ended:
                function = self._admit(caller, call.name)
                result, is_later = self._call(function, call.args or (), view, len(caller.calls))
                call.result = await result if is_later else result
        except Raised as wrapped:
            call.error = raised = wrapped.error
        except GeneratorExit:  # nobody drives this any more
            raise
        except BaseException as error:  # as in a function, SystemExit and the like are the caller's
            call.error = error
        if (later := backward(stages.after, call)) is not None:
            await later
        code = self._encode(call, request, codec, raised)
        error_before = call.error
        if (later := backward(stages.post, call)) is not None:
            await later
        if call.error is not error_before:
            code = self._encode(call, request, codec, raised)
        answer = call.answer or b""
        if not isinstance(answer, bytes):
            raise TypeError(f"an interceptor has made the answer a {type(answer).__name__}, not bytes")
        room = self._max_frame - AROUND_RESULT
        if len(answer) > room:  # as an interceptor has made it
            return shortened(codec, request, (code, answer), room)
        return code, answer

    def _admit(self, caller: Caller, name: str) -> Function:
        """The function of this name, if this caller may call it now."""
        server = self._server
        if server.auth is not None:  # again: an interceptor may have changed the name
            identity = caller.peer.identity
            if identity is None or not identity.may_call(name.partition("/")[0]):
                raise AccessDenied(f"{caller.peer.address} may not call {name}", function=name)
        function = self._execution.find(name)
        if function is None:
            raise FunctionNotFound(f"there is no function {name}", function=name)
        if function.allow is not None and not function.allow(caller.peer):
            raise AccessDenied(f"{caller.peer.address} may not call {name}", function=name)
        if server.draining or len(caller.calls) >= server.limits.max_in_flight:
            raise ServerBusy(f"no more calls are taken; {name} did not run", function=name)
        return function

    def _call(
        self, function: Function, args: Sequence[Any], view: CurrentCall, held: int
    ) -> tuple[Any, bool]:
        """What the function returns, and whether that is a Deferred; what it raises is wrapped."""
        if not function.on_reactor:
            return self._call_in_pool(function, args, view, held), True
        token = incoming.set(view)
        try:
            result = function.call(*args)
            if type(result) not in NOW and isinstance(result, LATER):
                outcome = Deferred.fromCoroutine(result) if isinstance(result, CoroutineType) else result
                return outcome.addErrback(_wrap), True
            return result, False
        except BaseException as error:  # whatever a function raises, SystemExit too, belongs to its caller
            raise Raised(error) from error
        finally:
            incoming.reset(token)

    def _call_in_pool(
        self, function: Function, args: Sequence[Any], view: CurrentCall, held: int
    ) -> Deferred[Any]:
        pool = self._server.pool_of(function.namespace)

        def cancel(_: object) -> None:
            view.interrupted = True
            job.dropped = True
            pool.remove(job)

        job = PoolJob(partial(function.call, *args), view, self._server.seconds, Deferred(cancel))
        if not pool.submit(job, held):
            raise ServerBusy(f"the worker pool is full; {function.full_name} did not run")
        self._execution.to_wake.add(pool)
        return job.done

    def _encode(self, call: Call, request: Request, codec: Codec, raised: BaseException | None) -> int:
        """Write the answer of a call that has gone its way; its code."""
        if call.error is None:
            try:
                call.answer = encode_result(codec, call.result, request.function, self._max_frame)
                return SUCCESS
            except BaseException as error:  # a value of the function's may do anything while it is written
                call.error = error
        # A function may raise one of our errors about a call of its own, which says nothing about this one.
        refused = None if call.error is raised else refusal(call.error)
        code, call.answer = refused or failure(codec, request, call.error, debug=self._server.debug)
        return code


def _wrap(failed: Failure) -> Failure:
    return Failure(Raised(cast(BaseException, failed.value)))
