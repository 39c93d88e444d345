"""What a kazoo client is told when it is made."""

from __future__ import annotations

from kazoo.exceptions import ConnectionLoss
from twisted.trial.unittest import SynchronousTestCase

from slacker.testing import MemoryReactor
from slacker.zookeeper.access import Access
from slacker.zookeeper.connection import KazooConnection


class PauseTests(SynchronousTestCase):
    def test_however_long_zookeeper_is_away_the_next_attempt_is_at_most_2_seconds_off(self) -> None:
        """kazoo's own limit is an hour; this asks kazoo itself for the pauses, jitter and all."""
        connection = KazooConnection(
            MemoryReactor(),
            ["127.0.0.1:2181"],
            session_timeout=15.0,
            connect_timeout=10.0,
            client_id=None,
            identities=[],
            access=Access.of(None, None, None),
            heard=lambda *_: None,
        )
        retry = connection.kazoo._conn_retry.copy()
        retry.interrupt = None  # asked between short sleeps, of which there is one for each pause without it
        pauses: list[float] = []
        retry.sleep_func = pauses.append

        def attempt() -> None:
            if len(pauses) < 200:
                raise ConnectionLoss

        retry(attempt)
        self.assertEqual(len(pauses), 200)
        self.assertLessEqual(max(pauses), 2.0)
        self.assertLessEqual(pauses[0], 0.2)
