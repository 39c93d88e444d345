"""What several servers answered, as one result. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from slacker.errors import ClusterError, ConfigurationError

RESULTS = ("single", "vector", "map", "nil")
EXCEPTIONS = ("all", "any")


@frozen
class Outcome:
    """How one server fared: ``error`` is None where it answered, and ``value`` is what it answered."""

    address: str
    value: Any
    error: BaseException | None
    seconds: float


def check_merging(results: object, exceptions: object) -> None:
    """Refuse what is no way to merge.

    :raises ConfigurationError: with the names there are.
    """
    for option, value, known in [
        ("grouping_results", results, RESULTS),
        ("grouping_exceptions", exceptions, EXCEPTIONS),
    ]:
        if value not in known:
            raise ConfigurationError(f"{option} {value!r} is unknown; there are {', '.join(known)}")


def merge(function: str, outcomes: Sequence[Outcome], results: str, exceptions: str) -> Any:
    """The result of a call on several servers.

    :param results: ``single``: one of the values; ``vector``: a list of them; ``map``: address → value;
        ``nil``: None.
    :param exceptions: ``all``: it is a failure if all servers failed, else the values that came count;
        ``any``: it is a failure if one of them failed.
    :raises ClusterError: if it is a failure; it holds all outcomes.
    """
    good = [outcome for outcome in outcomes if outcome.error is None]
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed and (not good or exceptions == "any"):
        said = "; ".join(f"{outcome.address}: {outcome.error}" for outcome in failed[:3])
        more = f"; and {len(failed) - 3} more" if len(failed) > 3 else ""
        raise ClusterError(
            f"{function} failed on {len(failed)} of {len(outcomes)} servers: {said}{more}",
            outcomes=outcomes,
            function=function,
        )
    if results == "map":
        return {outcome.address: outcome.value for outcome in good}
    if results == "vector":
        return [outcome.value for outcome in good]
    return good[0].value if results == "single" else None
