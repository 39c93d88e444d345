"""Sessions: who is there, until when, and by which password they come back.

Pure: the time, in seconds, is passed in.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import attrs

# A client that is stuck in a loop of new sessions, each with the longest timeout (40 s by default), can open
# 250 a second before it meets this bound; a real test has tens.
MAX_SESSIONS = 10_000

_PASSWORD_LENGTH = 16


@attrs.define(eq=False)
class Session:
    """One session. `timeout` and `deadline` are in seconds."""

    id: int
    password: bytes
    timeout: float
    deadline: float


class SessionTable:
    """The sessions of one server.

    :param first_id: the first session's id; the next ones follow. Ids of servers that follow one another
        should not meet, lest a client's old session look like somebody's new one (the password still tells
        them apart).
    """

    def __init__(
        self,
        min_timeout: float,
        max_timeout: float,
        *,
        first_id: int = 1,
        max_sessions: int = MAX_SESSIONS,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._min_timeout = min_timeout
        self._max_timeout = max_timeout
        self._next_id = first_id
        self._max_sessions = max_sessions
        self._random_bytes = random_bytes
        self._sessions: dict[int, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, session_id: int) -> Session | None:
        """The session, if it lives."""
        return self._sessions.get(session_id)

    def open(self, timeout: float, now: float) -> Session | None:
        """A new session with the nearest timeout the server allows; None if there are too many."""
        if len(self._sessions) >= self._max_sessions:
            return None
        session = Session(self._next_id, self._random_bytes(_PASSWORD_LENGTH), self._clamp(timeout), 0)
        self._next_id += 1
        self._sessions[session.id] = session
        self.touch(session, now)
        return session

    def reopen(self, session_id: int, password: bytes, timeout: float, now: float) -> Session | None:
        """A living session whose password this is, with a new timeout; else None."""
        session = self._sessions.get(session_id)
        if session is None or session.password != password:
            return None
        session.timeout = self._clamp(timeout)
        self.touch(session, now)
        return session

    def touch(self, session: Session, now: float) -> None:
        """The client was heard of."""
        session.deadline = now + session.timeout

    def postpone(self, seconds: float) -> None:
        """Move every deadline: the server itself was not listening for so long."""
        for session in self._sessions.values():
            session.deadline += seconds

    def expired(self, now: float) -> list[Session]:
        """The sessions whose clients were silent for too long."""
        return [session for session in self._sessions.values() if session.deadline <= now]

    def close(self, session_id: int) -> None:
        """Forget a session."""
        self._sessions.pop(session_id, None)

    def _clamp(self, timeout: float) -> float:
        return min(max(timeout, self._min_timeout), self._max_timeout)
