"""Datetimes and the milliseconds since 1970 that Java's Date is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from slacker.content.refusal import Refusal
from slacker.errors import ContentError

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def since_epoch(value: datetime) -> int:
    """The microseconds from 1970, UTC, to ``value``.

    :raises Refusal: it has no time zone.
    """
    if value.utcoffset() is None:
        raise Refusal(value, "is a datetime without a time zone; give it one, as tzinfo=timezone.utc")
    return (value - _EPOCH) // _MICROSECOND


def from_epoch(seconds: int = 0, milliseconds: int = 0, nanoseconds: int = 0) -> datetime:
    """The datetime so long after 1970, UTC; nanoseconds that make no microsecond are dropped.

    :raises ContentError: it lies outside the years 1 to 9999.
    """
    try:
        return _EPOCH + timedelta(
            seconds=seconds, milliseconds=milliseconds, microseconds=nanoseconds // 1000
        )
    except OverflowError:
        raise ContentError("a time lies outside the years 1 to 9999, which are all that Python has") from None


def in_utc(value: datetime) -> datetime:
    """``value`` in UTC, without the zone.

    :raises Refusal: there it would lie outside the years 1 to 9999.
    """
    try:
        return value.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        raise Refusal(value, "is a datetime outside the years 1 to 9999 of UTC") from None
