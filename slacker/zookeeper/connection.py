"""One kazoo client, with its thread: begun once, let go of once."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from enum import Enum
from typing import cast

from kazoo.client import KazooClient
from kazoo.exceptions import (
    AuthFailedError,
    ConnectionDropped,
    SASLException,
    SessionClosedRequireSaslError,
    UnimplementedError,
)
from kazoo.protocol.serialization import SASL, Auth, Connect
from kazoo.protocol.states import KazooState, KeeperState
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from slacker.zookeeper.access import Access
from slacker.zookeeper.handler import Mailbox, ReactorHandler

# kazoo's default doubles the pause between attempts to an hour: with this one a client is back within 2 s of
# ZooKeeper's return, and with it its session.
_RETRY = {"max_tries": -1, "delay": 0.1, "backoff": 2, "max_jitter": 0.4, "max_delay": 1.4}
# Seconds until a close without an answer cuts the connection, and until it is over whatever the thread does.
_CLOSE_PATIENCE = 2.0
_CLOSE_LIMIT = 4.0
# Different reasons why ZooKeeper cannot be reached that are told in the log, until it is.
_MAX_PROBLEMS = 10

_log = Logger()


class _NoSecrets(logging.Filter):
    """Keeps passwords out of kazoo's log, which tells each request, those that authenticate included."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.DEBUG:
            return False  # the password of the session
        if isinstance(record.args, tuple):
            record.args = tuple(
                type(arg).__name__ if isinstance(arg, (Auth, SASL, Connect)) else arg for arg in record.args
            )
        return True


# kazoo's own messages (every failed attempt to connect) go where the user's logging configuration sends
# them, and nowhere without one; what matters is said by the session, once per change.
_kazoo_log = logging.getLogger("slacker.zookeeper.kazoo")
_kazoo_log.addHandler(logging.NullHandler())
_kazoo_log.addFilter(_NoSecrets())


class Refusal(Enum):
    """What a server does about the credentials, in words for the user."""

    REFUSED = "refused the credentials: put user and password right, here or there"
    REQUIRED = "lets in only clients with SASL: give auth as sasl:USER:PASSWORD"
    UNKNOWN = "does not go through with SASL: it is not set up for it"
    DROPPED = "breaks the connection over SASL: it is not set up for it, or for this user"
    """Unless it happens just once: then it may be the network."""


def _refusal(keeper_state: str, error: BaseException | None) -> Refusal | None:
    """Whether kazoo gave up over the credentials, by the state it is in and the error that led to it."""
    if isinstance(error, AuthFailedError) and isinstance(error.__cause__, ConnectionDropped):
        return Refusal.DROPPED
    if keeper_state == KeeperState.AUTH_FAILED or isinstance(error, SessionClosedRequireSaslError):
        return Refusal.REFUSED
    return Refusal.UNKNOWN if isinstance(error, (SASLException, UnimplementedError)) else None


class KazooConnection:
    """What a session rests on, until that replaces it.

    :param heard: called on the reactor with kazoo's state, its finer ``KeeperState``, the session's id and
        password, and why it gave up, if that was over the credentials.
    :ivar problems: different reasons why attempts to connect failed, since one succeeded.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        addresses: list[str],
        *,
        session_timeout: float,
        connect_timeout: float,
        client_id: tuple[int, bytes] | None,
        identities: list[tuple[str, str]],
        access: Access,
        heard: Callable[[str, str, tuple[int, bytes] | None, Refusal | None], None],
    ) -> None:
        self._reactor = reactor
        self._threads = cast(IReactorFromThreads, reactor)
        self._heard = heard
        self.problems: list[str] = []
        self.mailbox = Mailbox(self._threads)
        self.handler = ReactorHandler(
            self.mailbox, connect_timeout / len(addresses), access.tls, self._problem
        )
        self.kazoo = KazooClient(
            hosts=",".join(addresses),
            timeout=session_timeout,
            client_id=client_id,
            handler=self.handler,
            auth_data=set(identities),
            sasl_options=access.sasl_options,
            connection_retry=dict(_RETRY),
            use_ssl=access.tls is not None,
            logger=_kazoo_log,
        )
        self.kazoo.add_listener(self._listen)

    def start(self) -> None:
        self.kazoo.start_async()

    def _listen(self, state: str) -> None:
        """kazoo's state listener; on its connection thread, where id and error are still those of the change.

        (It is called while the error that led to the change is being handled.)
        """
        keeper_state = self.kazoo.client_state
        if state == KazooState.CONNECTED:
            self.mailbox.put(self.problems.clear)
        refusal = _refusal(keeper_state, sys.exc_info()[1])
        self.mailbox.put(self._heard, state, keeper_state, self.kazoo.client_id, refusal)

    def _problem(self, text: str) -> None:
        """An attempt to connect failed."""
        if text not in self.problems and len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(text)
            _log.warn("no connection to ZooKeeper at {text}; trying on", text=text)

    def probe(self, answered: Callable[[BaseException | None], None]) -> None:
        """Ask what anybody may ask: it is answered after the credentials that kazoo is just sending.

        :param answered: called on the reactor, with kazoo's error if there was one.
        """
        with self.mailbox.held():
            self.kazoo.exists_async("/").rawlink(lambda result: self.mailbox.put(answered, result.exception))

    def stop(self) -> Deferred[None]:
        """Let go of it, in a thread, because kazoo's ``stop`` waits. Nothing is heard of it any more.

        :return: fires when it is gone, after 4 s at most.
        """
        gone: Deferred[None] = Deferred()
        self.mailbox.close()

        def stop() -> None:
            try:
                self.kazoo.stop()
                self.kazoo.close()
            except Exception as error:  # whatever it is, this client is not used again
                _kazoo_log.debug("stopping: %s", error)
            self._threads.callFromThread(ended)

        def ended() -> None:
            if not gone.called:
                for timer in timers:
                    if timer.active():
                        timer.cancel()
                gone.callback(None)

        timers = [
            self._reactor.callLater(_CLOSE_PATIENCE, self.handler.abort),
            self._reactor.callLater(_CLOSE_LIMIT, ended),
        ]
        threading.Thread(target=stop, name="zookeeper-stop", daemon=True).start()
        return gone
