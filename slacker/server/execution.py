"""Running calls: on the reactor or in a worker pool, with interceptors or without, for TCP and for HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from slacker.content import Codec
from slacker.interceptors.context import incoming
from slacker.interceptors.stages import Stages, drive
from slacker.server.context import CurrentCall
from slacker.server.functions import Function
from slacker.server.pipeline import SUCCESS, Outcome, decode, encode_result, failure
from slacker.server.running import (
    LATER,
    NOW,
    AwaitedCall,
    Caller,
    PoolCall,
    RunningCall,
    key_of,
    refuse_later,
)
from slacker.server.staged import StagedCalls
from slacker.server.workers import Workers
from slacker.wire import Request, ResultCode

if TYPE_CHECKING:
    from slacker.server.service import SlackerServer

_INVALID: Outcome = (int(ResultCode.INVALID_PACKET), b"")
_NOT_FOUND: Outcome = (int(ResultCode.NOT_FOUND), b"")
_BUSY: Outcome = (int(ResultCode.THREAD_POOL_FULL), b"")
_DENIED: Outcome = (int(ResultCode.ACL_REJECT), b"")


class Execution:
    """Runs the calls of a server."""

    def __init__(self, server: SlackerServer) -> None:
        self._server = server
        self._find = server.functions.find
        self._codecs: Mapping[int, Codec] = server.codecs
        self._max_in_flight = server.limits.max_in_flight
        self._max_frame = server.limits.max_frame
        stages = Stages(server.interceptors)
        self._staged = StagedCalls(self, server, stages) if stages else None
        #: Worker pools that were given work since they were woken last.
        self.to_wake: set[Workers] = set()
        #: Run a request of a caller: its outcome, or None if that comes later, through
        #: ``caller.call_finished``. Without authentication a call costs no question about it.
        self.begin: Callable[[Caller, Request], Outcome | None] = (
            self._begin if server.auth is None else self._begin_if_allowed
        )

    def _begin_if_allowed(self, caller: Caller, request: Request) -> Outcome | None:
        # Before anything else: who may not call a namespace does not learn what is in it, either.
        identity = caller.peer.identity
        if identity is None or not identity.may_call(request.function.partition("/")[0]):
            return _DENIED
        return self._begin(caller, request)

    def _begin(self, caller: Caller, request: Request) -> Outcome | None:
        server = self._server
        server.called = True
        codec = self._codecs.get(request.content_type)
        if codec is None:
            return _INVALID
        if self._staged is not None:
            return self._begin_staged(self._staged, caller, request, codec)
        function = self._find(request.function) or self._stand_in(request.function)
        if function is None:
            return _NOT_FOUND
        if function.allow is not None and not function.allow(caller.peer):
            return _DENIED
        if server.draining or len(caller.calls) >= self._max_in_flight:
            return _BUSY
        view = CurrentCall(request, codec, caller.peer)
        if not function.on_reactor:
            return self._begin_in_pool(caller, request, codec, function, view)
        context = copy_context()  # of its own: what the function sets there is not for the next call
        context.run(incoming.set, view)
        outcome = context.run(self.call_plainly, function, codec, request, self._later)
        if outcome.__class__ is tuple:
            return outcome
        self._await(caller, request, cast("Deferred[Outcome]", outcome), view)
        return None

    def wake(self) -> None:
        """Call it after one or more calls have begun: worker threads look at them now."""
        while self.to_wake:
            self.to_wake.pop().wake()

    def call_plainly(
        self,
        function: Function,
        codec: Codec,
        request: Request,
        later: Callable[[Any, Codec, Request], Outcome],
    ) -> Outcome:
        """Decode, call, encode: the way of a call without interceptors, on the reactor and in threads.

        :param later: what to make of a result that comes later, one of :data:`LATER`.
        """
        try:
            result = function.call(*decode(codec, request.data, request.function))
            if type(result) not in NOW and isinstance(result, LATER):
                return later(result, codec, request)
            return SUCCESS, encode_result(codec, result, request.function, self._max_frame)
        except BaseException as error:  # whatever a function raises, SystemExit too, belongs to its caller
            return failure(codec, request, error, debug=self._server.debug)

    # Calls that end later

    def _later(self, result: Any, codec: Codec, request: Request) -> Outcome:
        """On the reactor it is waited for: a Deferred of the outcome, instead of the outcome."""
        outcome = Deferred.fromCoroutine(result) if isinstance(result, CoroutineType) else result
        return outcome.addCallbacks(  # type: ignore[return-value]  # as said above
            self._succeeded, self._failed, callbackArgs=(codec, request), errbackArgs=(codec, request)
        )

    def _begin_in_pool(
        self, caller: Caller, request: Request, codec: Codec, function: Function, view: CurrentCall
    ) -> Outcome | None:
        pool = self._server.pool_of(function.namespace)
        call = PoolCall(
            caller=caller,
            request=request,
            key=key_of(caller, request),
            pool=pool,
            work=partial(self.call_plainly, function, codec, request, refuse_later),
            view=view,
        )
        if not pool.submit(call, len(caller.calls)):
            return _BUSY
        self.to_wake.add(pool)
        self._began(call)
        return None

    def _await(self, caller: Caller, request: Request, outcome: Deferred[Outcome], view: CurrentCall) -> None:
        call = AwaitedCall(
            caller=caller, request=request, key=key_of(caller, request), view=view, deferred=outcome
        )
        self._began(call)
        call.wait()

    def _began(self, call: RunningCall) -> None:
        call.caller.calls[call.key] = call
        self._server.call_began()

    def _succeeded(self, result: Any, codec: Codec, request: Request) -> Outcome:
        try:
            return SUCCESS, encode_result(codec, result, request.function, self._max_frame)
        except BaseException as error:
            return failure(codec, request, error, debug=self._server.debug)

    def _failed(self, failed: Failure, codec: Codec, request: Request) -> Outcome:
        return failure(codec, request, cast(BaseException, failed.value), debug=self._server.debug)

    # Functions

    def find(self, full_name: str) -> Function | None:
        """The function of this name, or what stands in for it."""
        return self._find(full_name) or self._stand_in(full_name)

    def _stand_in(self, full_name: str) -> Function | None:
        """The namespace's handler for missing functions, called with the name and the arguments."""
        handler = self._server.functions.not_found_handler(full_name)
        if handler is None:
            return None
        handle = handler.call
        name = full_name.partition("/")[2]
        return evolve(handler, call=lambda *arguments: handle(name, list(arguments)))

    # Interceptors

    def _begin_staged(
        self, staged: StagedCalls, caller: Caller, request: Request, codec: Codec
    ) -> Outcome | None:
        view = CurrentCall(request, codec, caller.peer)
        try:
            outcome = drive(staged.run(caller, request, codec, view))
        except BaseException as error:  # an interceptor has made of the call what cannot be answered
            return failure(codec, request, error, debug=self._server.debug)
        if outcome.__class__ is tuple:
            return cast(Outcome, outcome)
        self._await(caller, request, outcome.addErrback(self._failed, codec, request), view)
        return None
