"""The way to one server: a connection that comes back when it breaks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from attrs import define
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker.client.connection import ClientConnection
from slacker.client.pace import Pace
from slacker.client.pending import PendingCall

# A server that has just died is asked again soon, one that stays away every few seconds; half of each pause
# is random, so that the clients of a restarted server do not come all at once.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_ENOUGH_FAILURES = 10  # for the longest pause
# Seconds that a connection has to live to begin with the first pause again. Who closes it sooner, and be it
# after a greeting, counts as one that could not be reached; who does so later is asked no more often than one
# that stays away.
_SETTLED = _LONGEST_PAUSE


class LinkUser(Protocol):
    """Who is told of the link's changes; all on the reactor, as they happen."""

    def link_ready(self, connection: ClientConnection) -> None:
        """This connection may be used for calls."""

    def link_lost(self, reason: str) -> None:
        """The connection that was in use broke."""

    def link_failed(self, reason: str) -> None:
        """An attempt led to no connection; more follow."""


class Link:
    """Connects, greets, and does so again whenever the connection breaks, until closed.

    A peer that leaves a hello unanswered may be one of slacker 0.16, which stalls on it for good, or any that
    was held up: the next attempt greets with a ping, the one after that with a hello again, until one is
    answered. A peer that answers a ping, but has answered a hello before, is asked with a hello once more
    before it is taken for an old one. Once a connection that was in use breaks, hello comes first again,
    since the peer may have been replaced by a newer one; with slacker 0.16 that costs a second and a half.

    :param calls: the table in which connections find the call that an answer belongs to.
    :param auth: the token that the server is shown.
    :param pace: whom to ask for a turn before each attempt to connect, if anybody.
    :ivar connection: the one that may be used for calls; None while there is none.
    :ivar closed: whether it has been closed; what a peer says after that changes nothing.
    :ivar broken: why the last attempt failed; None until one fails, and once one succeeds.
    """

    log = Logger()

    def __init__(
        self,
        user: LinkUser,
        calls: dict[int, PendingCall],
        address: str,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        *,
        name: str,
        keepalive: float,
        max_frame: int,
        version: int,
        auth: str | None,
        pace: Pace | None,
    ) -> None:
        self.connection: ClientConnection | None = None
        self.broken: str | None = None
        self.closed = False
        self.calls = calls
        self.address = address
        self.clock = clock
        self.name = name
        self.keepalive = keepalive
        self.max_frame = max_frame
        self.version = version
        self.auth = auth
        self._user = user
        self._open: ClientConnection | None = None  # also while it is being greeted
        self._failures = 0
        self._ready_at = 0.0
        self._say_hello = version == 6
        self._hello_answered = False  # by the last peer that answered anything
        factory = Factory.forProtocol(lambda: ClientConnection(self, say_hello=self._say_hello))
        factory.noisy = False
        self._service = ClientService(
            _Observed(endpoint, self._failed, pace),
            factory,
            retryPolicy=self._pause,
            clock=clock,
        )

    def start(self) -> None:
        """Connect, if that has not begun."""
        if not self._service.running and not self.closed:
            self._service.startService()

    def close(self, reason: str) -> Deferred[None]:
        """Close for good; fires when the connection is gone."""
        if self.closed:
            return succeed(None)
        self.closed = True
        self.broken = reason
        self._drop(reason)
        if self._open is not None:
            self._open.close()
        return self._service.stopService() if self._service.running else succeed(None)

    # What connections report

    def made(self, connection: ClientConnection) -> None:
        """A connection has been made, and is being greeted."""
        self._open = connection

    def ready(self, connection: ClientConnection) -> None:
        """The peer has answered."""
        held_up = self._hello_answered and not self._say_hello
        self._hello_answered = self._say_hello
        if held_up:
            self._say_hello = True
            connection.abort("the server answered a ping, but no hello, which it did before; asking again")
            return
        self.connection = connection
        self._ready_at = self.clock.seconds()
        self.broken = None
        self._user.link_ready(connection)

    def lost(self, connection: ClientConnection, reason: str) -> None:
        """A connection has broken; ClientService makes the next one."""
        self._open = None
        if connection is self.connection:
            self._say_hello = self.version == 6
            self._failures = 0 if self.clock.seconds() - self._ready_at >= _SETTLED else self._failures + 1
            self._drop(reason)
        else:
            self._failed(reason)

    def greeting_failed(self) -> None:
        """A peer has not answered: the next connection goes without a hello, or with one again."""
        self._say_hello = not self._say_hello and self.version == 6

    def refused(self) -> None:
        """The server does not want this client, which will not change soon: the next attempt can wait."""
        self._failures = _ENOUGH_FAILURES

    def _drop(self, reason: str) -> None:
        if self.connection is None:
            return
        self.connection = None
        self.log.info("the connection to {server} broke: {reason}", server=self.address, reason=reason)
        self._user.link_lost(reason)

    def _failed(self, reason: str) -> None:
        if self.closed:
            return
        self._failures += 1
        if self.broken is None:
            self.log.info("no connection to {server}: {reason}", server=self.address, reason=reason)
        self.broken = reason
        self._user.link_failed(reason)

    def _pause(self, attempt: int) -> float:
        """Seconds before the next attempt, by the attempts that led to no lasting connection."""
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._failures, _ENOUGH_FAILURES))
        return pause * random.uniform(0.5, 1.0)


@implementer(IStreamClientEndpoint)
@define
class _Observed:
    """An endpoint that tells why an attempt to connect failed, which ClientService only logs."""

    _endpoint: IStreamClientEndpoint
    _failed: Callable[[str], None]
    _pace: Pace | None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self._pace is None:
            connecting = self._endpoint.connect(protocolFactory)
        else:
            connecting = self._pace.turn().addCallback(lambda _: self._endpoint.connect(protocolFactory))
        return connecting.addErrback(self._tell)

    def _tell(self, failure: Failure) -> Failure:
        self._failed(failure.getErrorMessage())
        return failure
