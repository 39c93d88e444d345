"""What stands between kazoo's connection thread and the reactor.

kazoo asks a *handler* for threads, sockets and call-backs. Ours runs no thread of its own beyond kazoo's
connection thread; everything it hears goes to the reactor through one :class:`Mailbox`, so that answers,
watch events and state changes arrive in the order in which kazoo met them.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from kazoo.handlers.threading import AsyncResult, KazooTimeoutError
from kazoo.handlers.utils import create_tcp_connection, selector_select
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from slacker.errors import ConfigurationError
from slacker.zookeeper.access import ZookeeperTls

_log = Logger()

# Bytes of the server's first answer up to and with the session timeout: length, protocol version, timeout.
_CONNECT_HEAD = 12
# The type of a request that carries SASL, at bytes 8 to 12, and how many one connection takes: DIGEST-MD5
# needs three. A server that is not set up for SASL answers each with nothing, and kazoo that with the next,
# for ever.
_SASL = (102).to_bytes(4, "big")
_MAX_SASL = 10


class Mailbox:
    """Calls put here from any thread run on the reactor, in the order of arrival, until it is closed.

    It is as long as what it carries: the answers of the requests in flight (64), the watches set, state
    changes.
    """

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._lock = threading.RLock()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._scheduled = False
        self._closed = False

    def put(self, function: Callable[..., object], *args: Any) -> None:
        """Run ``function(*args)`` on the reactor, after everything put here before. From any thread."""
        with self._lock:
            if self._closed:
                return
            self._calls.append((function, args))
            if self._scheduled:
                return
            self._scheduled = True
        self._reactor.callFromThread(self._deliver)

    def held(self) -> AbstractContextManager[object]:
        """While this is entered, what other threads put in waits: what the caller puts in comes before it.

        For handing a request to kazoo and linking a call-back to its result, which is two steps: in between
        kazoo's thread may have the answer, to which nothing is linked yet, and the event of its watch.
        """
        return self._lock

    def close(self) -> None:
        """Drop what has not been delivered, and whatever comes later."""
        with self._lock:
            self._closed = True
            self._calls.clear()

    def _deliver(self) -> None:
        with self._lock:
            self._scheduled = False
            count = len(self._calls)
        for _ in range(count):
            try:
                function, args = self._calls.popleft()
            except IndexError:  # closed by one of the calls
                return
            try:
                function(*args)
            except Exception:
                _log.failure("a call-back about ZooKeeper raised")


class ObservedSocket:
    """The socket kazoo talks through. It notes what kazoo keeps to itself.

    :ivar local_host: the local address of this connection.
    :ivar peer_host: the address of the ZooKeeper server.
    :ivar last_read: ``time.monotonic()`` when bytes came last.
    :param problem: called in kazoo's thread with the reason, if no answer comes at all.
    """

    def __init__(self, connection: socket.socket, problem: Callable[[str], None]) -> None:
        self._connection = connection
        self._problem = problem
        self._head = b""
        self._sasl = 0  # requests so far
        self.last_read: float | None = None
        self.local_host: str = connection.getsockname()[0]
        self.peer_host: str = connection.getpeername()[0]

    @property
    def session_timeout(self) -> float | None:
        """The negotiated session timeout in seconds, once the server has answered to the connect request."""
        if len(self._head) < _CONNECT_HEAD:
            return None
        return int.from_bytes(self._head[8:_CONNECT_HEAD], "big", signed=True) / 1000.0

    def send(self, data: memoryview) -> int:
        if data[8:12] == _SASL:
            self._sasl += 1
        return self._connection.send(data)

    def recv(self, size: int) -> bytes:
        if self._sasl > _MAX_SASL:
            raise ConnectionResetError("SASL without an end")
        try:
            data = self._connection.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            raise
        except OSError as error:
            if not self._head:
                self._problem(_reason(error))
            raise
        if not data and not self._head:
            self._problem("it closes connections without an answer (no quorum? TLS on one side only?)")
        if data:
            self.last_read = time.monotonic()
            if len(self._head) < _CONNECT_HEAD:
                self._head += data[: _CONNECT_HEAD - len(self._head)]
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _reason(error: Exception) -> str:
    """Why there is no connection, in the words of a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    return getattr(error, "strerror", None) or str(error)


class ReactorHandler:
    """kazoo's ``IHandler`` for a reactor: nothing here blocks the thread that calls kazoo's ``*_async``
    methods.

    :param connect_timeout: the longest a single TCP (and TLS) connect may take, in seconds.
    :param tls: with which files connections are encrypted; None: they are not.
    :param problem: called through the mailbox with the reason when an attempt to connect fails.
    """

    name = "reactor"
    timeout_exception = KazooTimeoutError
    sleep_func = staticmethod(time.sleep)
    # Tells kazoo's results to run their call-backs at once, in the thread that sets them, instead of in a
    # queue of their own. The last of these call-backs is always ours and only puts a note into the mailbox.
    running = False

    def __init__(
        self,
        mailbox: Mailbox,
        connect_timeout: float,
        tls: ZookeeperTls | None = None,
        problem: Callable[[str], None] | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._connect_timeout = connect_timeout
        self._tls = tls
        self._problem = problem
        self.socket: ObservedSocket | None = None

    def start(self) -> None:
        """kazoo calls this where it would start its worker threads; there are none."""

    def stop(self) -> None:
        """kazoo calls this where it would join its worker threads."""

    def abort(self) -> None:
        """Cut the connection under kazoo's feet, so that its thread wakes up and ends."""
        if self.socket is not None:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was gone already

    def select(self, *args: Any, **kwargs: Any) -> Any:
        return selector_select(*args, **kwargs)

    def create_connection(
        self, address: tuple[str, int], hostname: str | None = None, *, timeout: float, **_: object
    ) -> ObservedSocket:
        """What else kazoo says of TLS is not heard here.

        It would trust the system's authorities, too, whichever are named.
        """

        def problem(reason: str) -> None:
            if self._problem is not None:
                self._mailbox.put(self._problem, f"{hostname or address[0]}:{address[1]}: {reason}")

        seconds = min(timeout, self._connect_timeout)
        try:
            connection = create_tcp_connection(socket, address, timeout=seconds)
            if self._tls is not None:
                connection = self._encrypted(connection, self._tls, hostname or address[0])
        except (OSError, ConfigurationError) as error:
            problem(_reason(error))
            raise OSError(str(error)) from error  # the only kind after which kazoo tries again
        self.socket = ObservedSocket(connection, problem)
        return self.socket

    @staticmethod
    def _encrypted(connection: socket.socket, tls: ZookeeperTls, hostname: str) -> ssl.SSLSocket:
        try:
            return tls.context().wrap_socket(connection, server_hostname=hostname)
        except BaseException:
            connection.close()
            raise

    def create_socket_pair(self) -> tuple[socket.socket, socket.socket]:
        """The pair through which a caller wakes the connection thread, one byte per request.

        The caller's end does not block: should it ever be full, the request fails instead of the reactor
        stopping.
        """
        thread_end, caller_end = socket.socketpair()
        caller_end.setblocking(False)
        return thread_end, caller_end

    def event_object(self) -> threading.Event:
        return threading.Event()

    def lock_object(self) -> threading.Lock:
        return threading.Lock()

    def rlock_object(self) -> Any:
        return threading.RLock()

    def async_result(self) -> Any:
        return AsyncResult(self)

    def spawn(self, func: Callable[..., object], *args: Any, **kwargs: Any) -> threading.Thread:
        def run() -> None:
            # What ends kazoo's thread is in its log already, and its listener has been told.
            with contextlib.suppress(Exception):
                func(*args, **kwargs)

        thread = threading.Thread(target=run, name="zookeeper", daemon=True)
        thread.start()
        return thread

    def dispatch_callback(self, callback: Any) -> None:
        self._mailbox.put(callback.func, *callback.args)
