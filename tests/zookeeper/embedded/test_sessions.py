"""How sessions begin, go on and end."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from slacker.zookeeper.embedded.sessions import Session, SessionTable


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = SessionTable(1, 40, first_id=7, max_sessions=3)

    def opened(self, timeout: float = 10, now: float = 0) -> Session:
        session = self.table.open(timeout, now)
        assert session is not None
        return session

    def test_ids_count_up_and_passwords_differ(self) -> None:
        one, two = self.opened(), self.opened()
        self.assertEqual([one.id, two.id], [7, 8])
        self.assertNotEqual(one.password, two.password)
        self.assertEqual(len(one.password), 16)

    def test_timeouts_are_kept_within_the_servers(self) -> None:
        self.assertEqual([self.opened(timeout).timeout for timeout in (-1, 10, 99)], [1, 10, 40])

    def test_a_session_expires_after_its_timeout_of_silence(self) -> None:
        session = self.opened(10)
        self.assertEqual(self.table.expired(9.9), [])
        self.table.touch(session, 9.9)
        self.assertEqual(self.table.expired(19.8), [])
        self.assertEqual(self.table.expired(19.9), [session])

    def test_a_closed_session_is_gone(self) -> None:
        session = self.opened()
        self.table.close(session.id)
        self.table.close(session.id)
        self.assertIsNone(self.table.find(session.id))
        self.assertEqual(self.table.expired(99), [])
        self.assertEqual(len(self.table), 0)

    def test_the_password_opens_a_session_again_with_a_new_timeout(self) -> None:
        session = self.opened(10)
        self.assertIs(self.table.reopen(session.id, session.password, 5, 8), session)
        self.assertEqual((session.timeout, session.deadline), (5, 13))

    def test_a_wrong_password_or_id_opens_nothing_and_changes_nothing(self) -> None:
        session = self.opened(10)
        self.assertIsNone(self.table.reopen(session.id, bytes(16), 5, 8))
        self.assertIsNone(self.table.reopen(99, session.password, 5, 8))
        self.assertEqual((session.timeout, session.deadline), (10, 10))

    def test_there_are_only_so_many(self) -> None:
        for _ in range(3):
            self.opened()
        self.assertIsNone(self.table.open(10, 0))
        self.table.close(8)
        self.opened()

    def test_time_in_which_nobody_could_be_heard_does_not_count(self) -> None:
        session = self.opened(10)
        self.table.postpone(100)
        self.assertEqual(self.table.expired(109), [])
        self.assertEqual(self.table.expired(110), [session])
