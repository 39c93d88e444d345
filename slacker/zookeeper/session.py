"""One session with ZooKeeper: how it is opened, kept, lost, renewed and ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from kazoo.protocol.states import KazooState, KeeperState
from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from slacker.errors import ConfigurationError
from slacker.zookeeper.access import Access, ZookeeperTls
from slacker.zookeeper.connection import KazooConnection, Refusal
from slacker.zookeeper.errors import (
    AuthFailedException,
    ClosingException,
    ConnectionLossException,
    ConnectionTimeoutException,
    InvalidStateException,
    NotConnectedException,
    SessionExpiredException,
    ZookeeperError,
)
from slacker.zookeeper.events import ClientEvent, EventType, State
from slacker.zookeeper.paths import parse_servers
from slacker.zookeeper.requests import Requests, Watches

if TYPE_CHECKING:
    from typing_extensions import Self

_log = Logger()

# Seconds before kazoo is started again after its thread died of something it did not expect.
_RESTART_DELAY = 1.0
# Seconds before refused credentials are tried again: they may be put right on ZooKeeper's side.
_REFUSED_DELAY = 30.0
# Connections in a row that may break while ZooKeeper looks at the credentials; the next counts as a refusal.
_MAX_DROPS = 2
# ZooKeeper's codes for what is said to who may not: in, or at this node.
_REQUIRES_SASL = -124
_NO_AUTH = -102
# Seconds without a connection after which the session is given up. A server whose data were wiped refuses
# for ever whoever has seen later transactions; a session that ZooKeeper may still honour is not thrown away
# for less.
_FORGET_AFTER = 600.0


class ZookeeperSession:
    """The life of a connection, without any operation on nodes.

    The base of :class:`~slacker.zookeeper.client.ZookeeperClient`, where its parameters are described.
    """

    def __init__(
        self,
        servers: str = "127.0.0.1:2181",
        session_timeout: float = 15.0,
        connect_timeout: float = 10.0,
        *,
        auth: str | None = None,
        acl: str | None = None,
        tls: ZookeeperTls | None = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        for name, value in (("session_timeout", session_timeout), ("connect_timeout", connect_timeout)):
            if not 0 < value <= 86_400:
                raise ConfigurationError(f"{name} should be a number of seconds above 0, not {value!r}")
        if reactor is None:
            from twisted.internet import reactor as the_reactor

            reactor = cast(IReactorTime, the_reactor)
        self._reactor = reactor
        self._addresses, self._chroot = parse_servers(servers)
        self._asked_timeout = session_timeout
        self._connect_timeout = connect_timeout
        self._client_id: tuple[int, bytes] | None = None
        self._access = Access.of(auth, acl, tls)
        self._auth = self._access.identities  # and those of add_auth
        self._watches = Watches()
        self._requests = Requests(self._failed)
        self._listeners: list[Callable[[State], None]] = []
        self._session_callback: Callable[[Any, ClientEvent], object] | None = None
        self._connection_error_callback: Callable[[Any, ZookeeperError], Any] | None = None
        self._connecting: Deferred[Self] | None = None
        self._timer: IDelayedCall | None = None  # of the connect Deferred
        self._restart: IDelayedCall | None = None  # of kazoo, or of kazoo and the session
        self._closing: Deferred[Any] | None = None
        self._leaving: dict[Deferred[None], None] = {}  # kazoos that have been let go of and are not gone yet
        self._connection: KazooConnection | None = None
        self._drops = 0  # see _MAX_DROPS
        self.state = State.CLOSED

    @property
    def connected(self) -> bool:
        return self.state is State.CONNECTED

    @property
    def servers(self) -> str | None:
        """The connection string while connected, else None."""
        return self._servers if self.connected else None

    @property
    def _servers(self) -> str:
        return ",".join(self._addresses) + self._chroot

    @property
    def client_id(self) -> tuple[int, bytes] | None:
        """Session id and password, for :meth:`connect` to take over; None without a session."""
        return self._client_id

    @property
    def session_id(self) -> int | None:
        """What ``Stat.ephemeralOwner`` of this session's nodes says; None without a session."""
        return self._client_id[0] if self._client_id else None

    @property
    def session_timeout(self) -> float | None:
        """The negotiated session timeout in seconds; None while not connected."""
        observed = self._observed
        return observed.session_timeout if observed else None

    @property
    def local_host(self) -> str | None:
        """The local IP address of the connection to ZooKeeper; None while not connected."""
        observed = self._observed
        return observed.local_host if observed else None

    @property
    def peer_host(self) -> str | None:
        """The IP address of the ZooKeeper server; None while not connected."""
        observed = self._observed
        return observed.peer_host if observed else None

    @property
    def seconds_since_contact(self) -> float | None:
        """Seconds since bytes came from ZooKeeper (it answers a ping every third of the session timeout).

        None before the first connection. It counts on while the connection is lost.
        """
        observed = self._connection.handler.socket if self._connection else None
        if observed is None or observed.last_read is None:
            return None
        return time.monotonic() - observed.last_read

    @property
    def _observed(self) -> Any:
        return self._connection.handler.socket if self._connection and self.connected else None

    def connect(
        self,
        servers: str | None = None,
        timeout: float | None = None,
        client_id: tuple[int, bytes] | None = None,
    ) -> Deferred[Self]:
        """Begin to connect, and go on until :meth:`close`.

        :param servers: replaces those of the constructor.
        :param timeout: seconds this Deferred waits; ``connect_timeout`` if None.
        :param client_id: session to take over.
        :return: fires with this client once connected (and, with ``auth``, let in). It fails with
            :class:`~slacker.zookeeper.errors.ConnectionTimeoutException` if that takes longer, and with
            :class:`~slacker.zookeeper.errors.AuthFailedException` if ZooKeeper refuses the credentials; the
            client goes on trying nevertheless. Cancelling it stops the waiting only.
        :raises ConfigurationError: if ``servers`` is malformed.
        """
        if servers is not None:
            self._addresses, self._chroot = parse_servers(servers)
        if self.state is not State.CLOSED or self._closing is not None:
            state = "closing" if self._closing is not None else self.state.name.lower()
            return fail(InvalidStateException(f"connect: this client of {self._servers} is {state}"))
        self.state = State.CONNECTING
        self._client_id = client_id
        waiting: Deferred[Self] = Deferred(self._connect_cancelled)
        self._connecting = waiting
        seconds = self._connect_timeout if timeout is None else timeout
        self._timer = self._reactor.callLater(seconds, self._connect_timed_out, seconds)
        self._start()
        return waiting

    def _connect_ended(self) -> Deferred[Self] | None:
        waiting, self._connecting = self._connecting, None
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
        return waiting

    def _connect_cancelled(self, _: Deferred[Self]) -> None:
        self._connect_ended()

    def _connect_timed_out(self, seconds: float) -> None:
        problems = self._connection.problems if self._connection else []
        why = f" ({problems[-1]})" if problems else ""
        text = f"connect: no ZooKeeper reached at {self._servers} within {seconds:g} s{why}; still trying"
        waiting = self._connect_ended()  # who waits says so in the log; each reason is there already
        if waiting is not None:
            waiting.errback(ConnectionTimeoutException(text))

    def _start(self) -> None:
        self._restart = None
        self._connection = connection = KazooConnection(
            self._reactor,
            self._addresses,
            session_timeout=self._asked_timeout,
            connect_timeout=self._connect_timeout,
            client_id=self._client_id,
            identities=self._auth,
            access=self._access,
            heard=self._heard,
        )
        self._requests.attach(connection.kazoo, connection.mailbox)
        connection.start()

    def _heard(
        self, state: str, keeper_state: str, client_id: tuple[int, bytes] | None, refusal: Refusal | None
    ) -> None:
        """The connection changed."""
        self._cancel_restart()
        if state == KazooState.CONNECTED:
            self._client_id = client_id
            if self._connection and (self._access.sasl or self._auth):
                # kazoo says so before ZooKeeper has looked at the credentials.
                self._connection.probe(self._probed)
            else:
                self._let_in()
        elif state == KazooState.SUSPENDED:
            self._restart = self._reactor.callLater(_FORGET_AFTER, self._forget)
            if self.connected:
                self._suspended()
        elif refusal is Refusal.DROPPED and self._drops < _MAX_DROPS:
            self._drops += 1
            self._begin_anew(_RESTART_DELAY)
        elif refusal is not None:
            self._refused(refusal)
        else:
            self.state, self._client_id = State.EXPIRED, None
            _log.warn("the ZooKeeper session expired; opening a new one")
            if keeper_state == KeeperState.CLOSED:
                self._replace()
            self._requests.fail_all(SessionExpiredException, NotConnectedException, "the session expired")
            self._tell(State.EXPIRED)

    def _probed(self, error: BaseException | None) -> None:
        """ZooKeeper has answered after the credentials, or the connection broke, which is heard as well."""
        code = getattr(error, "code", None)
        if code == _REQUIRES_SASL:
            self._refused(Refusal.REQUIRED)
        elif error is None or code == _NO_AUTH:
            self._let_in()

    def _let_in(self) -> None:
        self.state = State.CONNECTED
        self._drops = 0
        _log.info(
            "connected to ZooKeeper at {peer}, session 0x{session:x}",
            peer=self.peer_host,
            session=self.session_id,
        )
        self._tell(State.CONNECTED)
        waiting = self._connect_ended()
        if waiting is not None:
            waiting.callback(self)

    def _suspended(self) -> None:
        self.state = State.CONNECTING
        _log.warn("the connection to ZooKeeper at {servers} was lost; trying again", servers=self._servers)
        self._requests.fail_all(ConnectionLossException, NotConnectedException, "the connection broke")
        self._tell(State.CONNECTING)

    def _refused(self, refusal: Refusal) -> None:
        """The credentials do not do; they are tried again later, quietly."""
        known = self.state is State.AUTH_FAILED
        self.state, self._client_id = State.AUTH_FAILED, None
        self._begin_anew(_REFUSED_DELAY)
        if known:
            return
        text = f"ZooKeeper at {self._servers} {refusal.value}"
        _log.error("{text}; trying again every {s:g} s", text=text, s=_REFUSED_DELAY)
        self._requests.fail_all(AuthFailedException, AuthFailedException, text)
        self._tell(State.AUTH_FAILED)
        waiting = self._connect_ended()
        if waiting is not None:
            waiting.errback(AuthFailedException(f"connect: {text}"))

    def _replace(self) -> None:
        """kazoo's thread ended by itself (an answer that is no ZooKeeper's, as a rule): begin anew."""
        _log.error("the ZooKeeper connection ended unexpectedly; starting again in {s:g} s", s=_RESTART_DELAY)
        self._begin_anew(_RESTART_DELAY)

    def _begin_anew(self, delay: float) -> None:
        self._cancel_restart()
        self._discard()
        self._restart = self._reactor.callLater(delay, self._start)
        self._watches.fire_all(State.CONNECTING)

    def _forget(self) -> None:
        """Nobody has let us in for so long that a new session is the better chance."""
        _log.warn("no ZooKeeper let us in for {s:g} s; giving the session up", s=_FORGET_AFTER)
        self.state, self._client_id = State.EXPIRED, None
        self._discard()
        self._start()
        self._watches.fire_all(State.CONNECTING)
        self._tell(State.EXPIRED)

    def _cancel_restart(self) -> None:
        restart, self._restart = self._restart, None
        if restart is not None:
            restart.cancel()

    def _tell(self, state: State) -> None:
        listeners = [*self._listeners]
        if self._session_callback is not None:
            listeners.append(partial(_tell_as_event, self._session_callback, self))
        for listener in listeners:
            if self.state is not state:
                return  # one of those just told has closed the client
            try:
                listener(state)
            except Exception:
                _log.failure("a listener to the ZooKeeper session raised")

    def add_listener(self, listener: Callable[[State], None]) -> None:
        """Call ``listener(state)`` on the reactor after each change of :attr:`state`, in order.

        A session that expires shows as CONNECTING, EXPIRED, CONNECTED; a connection that broke as
        CONNECTING, CONNECTED. EXPIRED comes only when the next server says so: across a partition there is
        nobody to say it.
        """
        self._listeners.append(listener)

    def remove_listener(self, listener: Callable[[State], None]) -> None:
        """Undo :meth:`add_listener`; unknown listeners are ignored."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def set_session_callback(self, callback: Callable[[Self, ClientEvent], object]) -> None:
        """Call ``callback(client, event)`` after each change of state; one per client, as in txzookeeper."""
        self._session_callback = callback

    def set_connection_error_callback(self, callback: Callable[[Self, ZookeeperError], object]) -> None:
        """Call ``callback(client, error)`` when a request in flight meets a lost connection or session.

        What it returns (a Deferred, too) becomes the request's result, so it is for clients whose requests
        are all one's own, and not for one given to the recipes.
        """
        self._connection_error_callback = callback

    def _failed(self, error: ZookeeperError) -> Deferred[Any]:
        """The result of a request that broke with the connection."""
        if self._connection_error_callback is None:
            return fail(error)
        handled: Deferred[Any] = maybeDeferred(self._connection_error_callback, self, error)
        return handled

    def close(self) -> Deferred[None]:
        """End the session; its ephemeral nodes go at once. Requests under way fail with ``ClosingException``.

        :return: fires when the connection is gone, after 4 s at most; never with an error.
        """
        done: Deferred[None] = Deferred()
        if self._closing is not None:
            self._closing.addCallback(lambda _: done.callback(None))
            return done
        if self.state is State.CLOSED:
            return succeed(None)
        self.state, self._client_id = State.CLOSED, None
        waiting = self._connect_ended()
        self._cancel_restart()
        self._discard()
        self._closing = closed = DeferredList([*self._leaving])
        self._requests.fail_all(ClosingException, ClosingException, "the client was closed")
        self._watches.fire_all(State.CLOSED)
        if waiting is not None:
            waiting.errback(ClosingException("connect: the client was closed"))
        self._tell(State.CLOSED)
        closed.addCallback(self._closed)
        closed.addCallback(lambda _: done.callback(None))
        return done

    def _closed(self, _: object) -> None:
        self._closing = None

    def _discard(self) -> None:
        """Let go of kazoo; ``_leaving`` tells until when."""
        connection, self._connection = self._connection, None
        if connection is not None:
            gone = connection.stop()
            self._leaving[gone] = None
            gone.addCallback(lambda _: self._leaving.pop(gone))


def _tell_as_event(callback: Callable[[Any, ClientEvent], object], client: object, state: State) -> None:
    callback(client, ClientEvent(EventType.SESSION, state, ""))
