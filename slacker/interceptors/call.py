"""A call as interceptors see it, and what they may do with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import Factory, define


@define(eq=False)
class Call:
    """One call on its way. Stages may change what has not been used yet.

    :ivar namespace: of the function.
    :ivar function: its name in the namespace, verbatim.
    :ivar args: the arguments; on a server None until they are decoded.
    :ivar data: the encoded arguments; on a client None until they are encoded.
    :ivar content_type: how they are, or will be, encoded; empty on a client where the connection decides.
    :ivar extensions: by id, with decoded values. On a server those that came, which go back with the answer.
    :ivar peer: ``host:port`` of the other side.
    :ivar timeout: seconds; on a server None.
    :ivar result: what came of the call, if no error did.
    :ivar error: what went wrong, or None. While it is not None, ``result`` does not count.
    :ivar answer: the encoded result or error.
    :ivar deadline: when it is useless to go on, by the reactor's seconds (since the epoch); None if never.
    :ivar state: what stages want to remember of this call.
    """

    namespace: str
    function: str
    args: Sequence[Any] | None = None
    data: bytes | None = None
    content_type: str = ""
    extensions: dict[int, Any] = Factory(dict)
    peer: str = ""
    timeout: float | None = None
    result: Any = None
    error: BaseException | None = None
    answer: bytes | None = None
    deadline: float | None = None
    state: dict[Any, Any] = Factory(dict)
    ended: bool = False

    @property
    def name(self) -> str:
        """``namespace/function``."""
        return f"{self.namespace}/{self.function}"

    def end(self, result: Any = None) -> None:
        """In ``pre`` or ``before``: the call ends here, with this result. (With an error: raise it.)"""
        self.result = result
        self.ended = True


class Interceptor:
    """Subclass it, with the stages that are needed.

    A stage may return a Deferred or be an ``async def`` function; the call goes on when it is done. An error
    raised in ``pre`` or ``before`` ends the call with it; on a server the errors
    :class:`~slacker.errors.FunctionNotFound`,
    :class:`~slacker.errors.ServerBusy`, :class:`~slacker.errors.Canceled` and
    :class:`~slacker.errors.AccessDenied` become the result codes that they stand for. One raised in ``after``
    or ``post`` becomes the call's error.
    """

    def pre(self, call: Call) -> Any:
        """Before arguments are encoded (client) or decoded (server)."""

    def before(self, call: Call) -> Any:
        """Before the call is made: arguments are encoded (client) or decoded (server)."""

    def after(self, call: Call) -> Any:
        """After the call: ``answer`` is not decoded yet (client), ``result`` not encoded yet (server)."""

    def post(self, call: Call) -> Any:
        """At the end: ``result`` is decoded (client), ``answer`` encoded (server), or ``error`` set."""

    def before_merge(self, call: Any, outcomes: Sequence[Any]) -> Any:
        """Of a cluster client, when all servers that were asked have answered.

        :param call: ``namespace``, ``function``, ``args``, ``name`` and ``options`` of the call.
        :param outcomes: a :class:`~slacker.cluster.merging.Outcome` per server.
        :return: the outcomes to merge, or a Deferred of them.
        """
        return outcomes

    def after_merge(self, call: Any, result: Any) -> Any:
        """Of a cluster client, when the outcomes are merged.

        :param result: the merged result, or the error that it is, an instance of :class:`Exception`.
        :return: the result of the call, or a Deferred of it; an instance of :class:`Exception` is raised.
        """
        return result
