"""The log of a worker on its way to the supervisor: a line of JSON for each event, with its text made.

(Twisted's own events in JSON lose what an exception said.)
"""

from __future__ import annotations

import json
from typing import IO, Any

from twisted.logger import FileLogObserver, LogEvent, LogLevel, eventAsText

# Tells an event from what a program prints.
_MARK = "\x1e"
#: Characters of an event's text: a long stack trace, several times over; the rest is cut off.
LONGEST_TEXT = 64 * 1024
#: Bytes of a line, of what is printed, too: an event, whose characters JSON writes as twelve bytes at most.
LONGEST_LINE = 1024 * 1024


def recorder(file: IO[str]) -> FileLogObserver:
    """An observer that writes each event to this file."""
    return FileLogObserver(file, written)


def written(event: LogEvent) -> str:
    """The line of an event; that of an event with a true ``worker_up`` says so."""
    level = event.get("log_level", LogLevel.info)
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    if not text:
        return ""
    record = {
        "level": level.name,
        "system": str(event.get("log_system") or f"{event.get('log_namespace', '-')}#{level.name}")[:1000],
        "text": text[:LONGEST_TEXT],
        "time": event["log_time"],
        "up": bool(event.get("worker_up")),
    }
    return f"{_MARK}{json.dumps(record)}\n"


def read(line: str, worker: str) -> LogEvent | None:
    """The event in a line, as one of this worker; None if the line was printed by something else.

    Its key ``worker_up`` is true if the worker serves from now on.
    """
    if not line.startswith(_MARK):
        return None
    try:
        record: dict[str, Any] = json.loads(line.removeprefix(_MARK))
        return {
            "log_level": LogLevel.lookupByName(record["level"]),
            "log_system": f"{worker}: {record['system']}",
            "log_namespace": __name__,
            "log_format": "{text}",
            "log_time": record["time"],
            "text": record["text"],
            "worker_up": record["up"],
        }
    except (ValueError, KeyError, TypeError):  # somebody printed the mark
        return None


class Lines:
    """Cuts what arrives from a pipe into lines, of which none is longer than ``LONGEST_LINE``."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace") for line in lines]

    def end(self) -> list[str]:
        """What came after the last line."""
        return self.feed(b"\n") if self._rest else []
