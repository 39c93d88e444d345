"""What looks at calls on their way, and may change what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Interceptor:
    """Subclass it, with the stages that are needed.

    A stage gets what the one before it made and returns what the next one gets: itself, something else, or a
    Deferred of either. Interceptors run in the order in which they were given on the way there, and in
    reverse on the way back.
    """

    def before_merge(self, call: Any, outcomes: Sequence[Any]) -> Any:
        """Of a cluster call, when all servers have answered.

        :param call: ``namespace``, ``function``, ``args``, ``name`` and ``options`` of the call.
        :param outcomes: a :class:`~slacker.cluster.merging.Outcome` per server.
        :return: the outcomes to merge.
        """
        return outcomes

    def after_merge(self, call: Any, result: Any) -> Any:
        """Of a cluster call, when the outcomes are merged.

        :param result: the merged result, or the error that it is, an instance of :class:`Exception`.
        :return: the result of the call; an instance of :class:`Exception` is raised.
        """
        return result
