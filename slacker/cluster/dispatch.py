"""The way of one cluster call: choose servers, call them, go elsewhere where that is allowed, merge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from slacker.address import parse_address
from slacker.client import Client
from slacker.cluster.grouping import ALL, ONE_SERVER
from slacker.cluster.merging import IsFailure, Outcome, Reducer, merge, reducer_of
from slacker.cluster.routes import Route, Routes
from slacker.errors import (
    BacklogOverflow,
    ClusterError,
    ConfigurationError,
    ConnectionLost,
    NotSent,
    ServerBusy,
    Unavailable,
)
from slacker.interceptors import Interceptor
from slacker.interceptors.stages import stages_of


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


#: So many servers may refuse a call in one turn of the reactor; the next one is asked in the next turn. Each
#: takes some frames of the stack and some microseconds, and there may be a thousand.
_ASKED_AT_ONCE = 20

#: Stands for an ``unavailable_value`` that was not given, since None is one that may be.
UNSET = _Unset()


@frozen
class Options:
    """How a call is made; the parameters of :class:`~slacker.ClusterClient` say what each means."""

    grouping: str | Callable[..., Any]
    results: str | Callable[..., Any]
    exceptions: str | IsFailure
    unavailable_value: Any
    timeout: float
    retries: int
    of_client: Mapping[str, Any]
    """For each server's client, where the call says otherwise than the cluster's."""
    plain: bool = field(init=False)
    """Whether one server is asked by a policy, and its result is that of the call."""

    @plain.default
    def _(self) -> bool:
        return (
            self.results == "single"
            and isinstance(self.exceptions, str)
            and isinstance(self.grouping, str)
            and self.grouping in ONE_SERVER
        )


@define(eq=False)
class ClusterCall:
    """One call on a cluster.

    :ivar reducer: what makes the result of the outcomes; None where one server's answer is the result as it
        is.
    :ivar server: the one that was asked last.
    :ivar tried: the servers that are not asked again while there is another: that certainly did not run the
        call, or whose connection broke while it may have run and the caller said that it may run again.
    :ivar lost: how the connection broke, where one did: if the call cannot be made again, this is its error,
        since any other would say that it did not run.
    """

    namespace: str
    function: str
    args: Sequence[Any]
    options: Options
    route: Route
    began: float
    reducer: Reducer | None = None
    server: Client | None = None
    tried: tuple[Client, ...] = ()
    lost: Failure | None = None
    retries: int = 0
    late: bool = False  # some of its time has gone

    @property
    def name(self) -> str:
        """``namespace/function``."""
        return f"{self.namespace}/{self.function}"


class Dispatcher:
    """Makes cluster calls, for a cluster client.

    :param client: given to functions that choose servers.
    """

    def __init__(
        self, client: Any, routes: Routes, interceptors: Sequence[Interceptor], clock: IReactorTime
    ) -> None:
        self._client = client
        self._routes = routes
        self._before_merge = stages_of(interceptors, "before_merge")
        self._after_merge = stages_of(reversed(interceptors), "after_merge")
        self._intercepted = bool(self._before_merge or self._after_merge)
        self._clock = clock
        self.closed = False

    def call(
        self, namespace: str, function: str, args: Sequence[Any], options: Options, route: Route
    ) -> Deferred[Any]:
        """Make a call; the Deferred fires once, with the merged result."""
        began = self._clock.seconds()
        if options.plain and not self._intercepted:
            # The way of nearly all calls. What else belongs to one is put together when it has failed.
            if route.stale:
                route.refresh()
            client: Client | None = ONE_SERVER[options.grouping](route, ())  # type: ignore[index]  # it is plain
            if client is not None:
                called = client.call(namespace, function, args, **options.of_client)
                return self._routes.counted(client, called).addErrback(
                    self._failed, client, namespace, function, args, options, route, began
                )
        return self.dispatch(ClusterCall(namespace, function, args, options, route, began))

    def _failed(self, failure: Failure, client: Client, *of_call: Any) -> Failure | Deferred[Any]:
        call = ClusterCall(*of_call)
        return self._elsewhere(failure, call, cast(str, call.options.grouping), client)

    def dispatch(self, call: ClusterCall) -> Deferred[Any]:
        """Make this call, or make it again."""
        options = call.options
        if not (options.plain and not self._intercepted) and call.reducer is None:
            try:  # what is wrong about it is found before anything runs
                call.reducer = reducer_of(options.results, call.namespace, call.function, call.args)
            except Exception as error:
                return fail(error)
        grouping = options.grouping
        if isinstance(grouping, str):
            return self._by_policy(call, grouping)
        return self._by_function(call, grouping)

    def _by_policy(self, call: ClusterCall, policy: str) -> Deferred[Any]:
        route = call.route
        if route.stale:
            route.refresh()
        if policy == ALL:
            if not route.servers:
                return self._when_there_is_one(call, policy)
            return self._on_several(call, route.servers)
        client = ONE_SERVER[policy](route, call.tried)
        if client is None:
            return self._when_there_is_one(call, policy)
        asked = self._ask(client, call, policy)
        return asked if call.reducer is None else asked.addBoth(self._merge_one, call)

    # Functions that choose

    def _by_function(self, call: ClusterCall, choose: Callable[..., Any]) -> Deferred[Any]:
        if call.route.stale:
            call.route.refresh()
        if not call.route.servers:
            return self._when_there_is_one(call, None)
        addresses = [client.address for client in call.route.servers]
        chosen = maybeDeferred(choose, call.namespace, call.function, call.args, self._client, addresses)
        return chosen.addCallback(self._by_choice, call)

    def _by_choice(self, choice: Any, call: ClusterCall) -> Deferred[Any]:
        """What a function chose: the name of a policy, an address, or several."""
        if isinstance(choice, str) and (choice == ALL or choice in ONE_SERVER):
            return self._by_policy(call, choice)
        addresses = [choice] if isinstance(choice, str) else choice
        if not isinstance(addresses, (list, tuple, set, frozenset)) or not all(
            isinstance(address, str) for address in addresses
        ):
            raise ConfigurationError(
                f"the grouping function of {call.name} chose {choice!r}, which is no policy, no address and "
                "no list of addresses"
            )
        clients: list[Client] = []
        for address in addresses:
            client = self._chosen(address, call)
            if client is None:
                return self._unavailable(
                    call,
                    f"the grouping function of {call.name} chose {address}, which is no connected server of "
                    f"{call.namespace}",
                )
            clients.append(client)
        if not clients:
            return self._unavailable(call, f"the grouping function of {call.name} chose no server")
        if isinstance(choice, str):
            called = self._on(clients[0], call)
            return called.addBoth(self._merge_one, call)
        return self._on_several(call, clients)

    def _chosen(self, address: str, call: ClusterCall) -> Client | None:
        """The client of an address that a function chose; None if no connected server has it."""
        try:
            parse_address(address)
        except ConfigurationError as error:
            known = ", ".join([*ONE_SERVER, ALL])
            raise ConfigurationError(
                f"the grouping function of {call.name} chose {address!r}, which is no policy ({known}), "
                f"and as an address it is wrong: {error}"
            ) from None
        client = self._routes.clients.get(address)
        return client if client is not None and client in call.route.servers else None

    # One server

    def _on(self, client: Client, call: ClusterCall) -> Deferred[Any]:
        call.server = client
        of_client = call.options.of_client
        if call.late:  # what is left of its time
            left = call.began + call.options.timeout - self._clock.seconds()
            of_client = {**of_client, "timeout": max(left, 0.001)}
        called = client.call(call.namespace, call.function, call.args, **of_client)
        return self._routes.counted(client, called)

    def _ask(self, client: Client, call: ClusterCall, policy: str) -> Deferred[Any]:
        """Call this server, and others if it does not work out."""
        return self._on(client, call).addErrback(self._elsewhere, call, policy, client)

    def _elsewhere(
        self, failure: Failure, call: ClusterCall, policy: str, client: Client
    ) -> Failure | Deferred[Any]:
        """Ask another server, if the call certainly did not run, or the caller said that it may run again."""
        again = failure.check(ConnectionLost) is not None and call.retries < call.options.retries
        if again:
            call.retries += 1
            call.lost = failure
        elif failure.check(NotSent, ServerBusy) is None:
            return failure
        over = self._clock.seconds() >= call.began + call.options.timeout
        if over or self.closed or client in call.tried or (policy == "leader" and not again):
            return call.lost or failure
        call.tried += (client,)
        call.late = True
        route = call.route
        if route.stale:
            route.refresh()
        other = ONE_SERVER[policy](route, call.tried)
        if other is not None:
            if len(call.tried) % _ASKED_AT_ONCE:
                return self._ask(other, call, policy)
            soon = deferLater(self._clock, 0, lambda: None)
            return soon.addCallback(lambda _: self._ask(other, call, policy))
        if not again:
            return call.lost or failure  # nobody else; what this one said tells most
        call.tried = ()  # it may run again: on whichever server comes first
        return Deferred.fromCoroutine(self._ask_again(call, policy, failure))

    async def _ask_again(self, call: ClusterCall, policy: str, lost: Failure) -> Any:
        """Ask the first server that there is."""
        try:
            missing = await self._until_there_is_one(call, policy)
        except NotSent:  # the client was closed meanwhile
            missing = "closed"
        client = None if missing else ONE_SERVER[policy](call.route, ())
        if client is None:
            lost.raiseException()
        return await self._ask(client, call, policy)

    # Several

    def _on_several(self, call: ClusterCall, clients: Sequence[Client]) -> Deferred[Any]:
        """Call all of these, and merge what they answer."""
        seconds = [0.0] * len(clients)
        began = self._clock.seconds()

        def note(result: Any, index: int) -> Any:
            seconds[index] = self._clock.seconds() - began
            return result

        def outcomes_of(results: list[tuple[bool, Any]]) -> list[Outcome]:
            return [
                Outcome(client.address, value, None, took)
                if good
                else Outcome(client.address, None, value.value, took)
                for client, (good, value), took in zip(clients, results, seconds, strict=True)
            ]

        calls = [self._on(client, call).addBoth(note, index) for index, client in enumerate(clients)]
        answered = DeferredList(calls, consumeErrors=True).addCallback(outcomes_of)
        return self._merge(answered, call)

    def _merge_one(self, result: Any, call: ClusterCall) -> Deferred[Any]:
        """One server was chosen and asked: its error stays what it is."""
        assert call.server is not None
        seconds = self._clock.seconds() - call.began
        if isinstance(result, Failure):
            outcome = Outcome(call.server.address, None, result.value, seconds)
        else:
            outcome = Outcome(call.server.address, result, None, seconds)
        return self._merge(succeed([outcome]), call, alone=True)

    def _merge(
        self, outcomes: Deferred[list[Outcome]], call: ClusterCall, *, alone: bool = False
    ) -> Deferred[Any]:
        def reduce(outcomes: list[Outcome]) -> Any:
            assert call.reducer is not None
            if outcomes and all(isinstance(outcome.error, CancelledError) for outcome in outcomes):
                raise CancelledError  # the caller did it
            try:
                return merge(call.name, outcomes, call.reducer, call.options.exceptions)
            except ClusterError as error:
                raise (outcomes[0].error if alone and outcomes else None) or error from None

        merged: Deferred[Any] = outcomes
        for stage in self._before_merge:
            merged.addCallback(_stage, stage, call)
        merged.addCallback(reduce)
        for stage in self._after_merge:
            merged.addBoth(_stage, stage, call)
        return merged

    # Nobody to ask

    def _when_there_is_one(self, call: ClusterCall, policy: str | None) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._wait(call, policy))

    async def _wait(self, call: ClusterCall, policy: str | None) -> Any:
        """Make the call when there is a server for it."""
        missing = await self._until_there_is_one(call, policy)
        if missing:
            return await self._unavailable(call, missing)
        call.late = True
        return await self.dispatch(call)

    async def _until_there_is_one(self, call: ClusterCall, policy: str | None) -> str:
        """Wait, within the call's timeout, until there is a server that the policy may choose.

        :return: nothing; or why there is none.
        :raises NotSent: if the client is closed, or if too many calls wait already.
        """
        route, options = call.route, call.options
        deadline = call.began + options.timeout
        while True:
            if self.closed:
                raise NotSent(f"{call.name} was not sent: the cluster client is closed", function=call.name)
            if route.stale:
                route.refresh()
            if route.leader if policy == "leader" else route.servers:
                return ""
            view = route.view
            worth_waiting = policy == "leader" or route.had_servers
            if options.unavailable_value is not UNSET:
                worth_waiting = False
            if view.confirmed and not view.servers and not worth_waiting:
                return f"no server of the cluster has the namespace {call.namespace}"
            remaining = deadline - self._clock.seconds()
            if remaining <= 0:
                return self._why(call, policy)
            if route.crowded:
                raise BacklogOverflow(
                    f"{route.backlog} calls wait for a server of {call.namespace} already; "
                    "slow down, or raise backlog",
                    function=call.name,
                )
            await route.when_changed(remaining)

    def _unavailable(self, call: ClusterCall, why: str) -> Deferred[Any]:
        """There is nobody to ask: the call's value for that, or an error."""
        if call.options.unavailable_value is not UNSET:
            return succeed(call.options.unavailable_value)
        return fail(Unavailable(why, function=call.name))

    def _why(self, call: ClusterCall, policy: str | None) -> str:
        view, waited = call.route.view, f"{call.name} found no server within {call.options.timeout} s"
        if not view.confirmed:
            return f"{waited}: ZooKeeper has not said yet which servers have it"
        if not view.servers:
            return f"{waited}: all that had it have left the cluster"
        if policy == "leader" and call.route.servers:
            who = f"the leader, {view.leader}, is not connected" if view.leader else "none of them leads"
            return f"{waited}: of its {len(view.servers)} servers {who}"
        known = ", ".join(view.servers[:3]) + (", …" if len(view.servers) > 3 else "")
        return f"{waited}: none of its {len(view.servers)} servers ({known}) is connected"


def _stage(value: Any, stage: Callable[[ClusterCall, Any], Any], call: ClusterCall) -> Any:
    """Run one stage of an interceptor, to which an error is a value."""
    result = maybeDeferred(stage, call, value.value if isinstance(value, Failure) else value)
    return result.addCallback(_raise_error)


def _raise_error(result: Any) -> Any:
    return Failure(result) if isinstance(result, Exception) else result
