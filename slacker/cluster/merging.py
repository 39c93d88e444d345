"""What several servers answered, as one result. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen

from slacker.errors import ClusterError, ConfigurationError


@frozen
class Outcome:
    """How one server fared: ``error`` is None where it answered, and ``value`` is what it answered."""

    address: str
    value: Any
    error: BaseException | None
    seconds: float


#: One value of the outcomes that are no failures, of which there is at least one.
Reducer = Callable[[Sequence[Outcome]], Any]

RESULTS: dict[str, Reducer] = {
    "single": lambda outcomes: outcomes[0].value,
    "vector": lambda outcomes: [outcome.value for outcome in outcomes],
    "map": lambda outcomes: {outcome.address: outcome.value for outcome in outcomes},
    "nil": lambda outcomes: None,
}

#: Whether a call has failed, by the outcomes that are values and those that are errors.
IsFailure = Callable[[Sequence[Outcome], Sequence[Outcome]], object]

EXCEPTIONS: dict[str, IsFailure] = {
    "all": lambda valid, failed: not valid,
    "any": lambda valid, failed: failed,
}


def check_merging(results: object, exceptions: object) -> None:
    """Refuse what is no way to merge.

    :raises ConfigurationError: with the names there are.
    """
    _check("grouping_results", results, RESULTS)
    _check("grouping_exceptions", exceptions, EXCEPTIONS)


def _check(option: str, value: object, known: Mapping[str, object]) -> None:
    if not callable(value) and not (isinstance(value, str) and value in known):
        names = ", ".join(known)
        raise ConfigurationError(f"{option} {value!r} is unknown; there are {names}, or a function")


def reducer_of(results: Any, namespace: str, function: str, args: Sequence[Any]) -> Reducer:
    """What ``grouping_results`` stands for in one call.

    :param results: a name of :data:`RESULTS`, or a function ``(ns, fn, params)`` that returns one or a
        reducer.
    :raises ConfigurationError: if such a function returns neither.
    """
    if callable(results):
        results = results(namespace, function, args)
        if callable(results):
            return results  # type: ignore[no-any-return]  # callable() says no more of it
    check_merging(results, "all")
    return RESULTS[results]


def merge(function: str, outcomes: Sequence[Outcome], reducer: Reducer, exceptions: str | IsFailure) -> Any:
    """The result of a call on several servers: what the reducer makes of the outcomes that are values.

    :param exceptions: ``all``: it is a failure if all servers failed; ``any``: if one of them did; or a
        function of the outcomes that are values and those that are errors, whose answer is true if it is a
        failure.
    :raises ClusterError: if it is a failure, or no server answered with a value; it holds all outcomes.
    """
    valid = [outcome for outcome in outcomes if outcome.error is None]
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    is_failure = EXCEPTIONS[exceptions] if isinstance(exceptions, str) else exceptions
    if is_failure(valid, failed) or not valid:
        said = "; ".join(f"{outcome.address}: {outcome.error}" for outcome in failed[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise ClusterError(
            f"{function} failed on {len(failed)} of {len(outcomes)} servers: {said}{more}",
            outcomes=outcomes,
            function=function,
        )
    return reducer(valid)
