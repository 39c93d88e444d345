"""Calls for asyncio: what returns a Deferred elsewhere returns an asyncio Future here.

::

    async def main():
        async with aio.Client("127.0.0.1:2104") as client:
            print(await client.namespace("slacker.example.api").rand_ints(5))

    asyncio.run(main())

Nothing has to be installed or started: the first client makes Twisted's reactor a guest of the event loop
that runs. In a program that runs ``asyncioreactor`` itself, the same clients serve the asyncio tasks of that
reactor.

:class:`slacker.cluster.aio.ClusterClient` is the client of a cluster.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import twisted.internet
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred
from twisted.internet.main import installReactor

from slacker.client import client as deferred
from slacker.client.remote import Namespace, RemoteFunction
from slacker.errors import ConfigurationError

if TYPE_CHECKING:
    from typing_extensions import Self

_TOO_LATE = (
    "an asyncio client needs asyncioreactor, but {} is Twisted's reactor already: make the client, "
    "or call slacker.client.aio.install(), before anything imports twisted.internet.reactor"
)


class DeferredCaller(Protocol):
    """What :class:`slacker.Client` and :class:`slacker.ClusterClient` have in common."""

    @property
    def call(self) -> Callable[..., Deferred[Any]]:
        """Call a function."""

    def functions(self, prefix: str | None = None) -> Deferred[list[str]]:
        """The functions that there are."""

    def meta(self, name: str) -> Deferred[dict[Any, Any]]:
        """What is known of one."""

    def close(self) -> Deferred[None]:
        """Close the connections."""


C = TypeVar("C", bound=DeferredCaller)


class Caller(Generic[C]):
    """A client whose calls are asyncio Futures.

    They can be awaited, gathered and shielded; when one is cancelled, because its task is or by
    :func:`asyncio.wait_for`, so is the call, and a server of this project is told. Names, options, timeouts
    and errors are those of the client that is wrapped.

    :param client: one on the running event loop's reactor.
    """

    def __init__(self, client: C) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()

    def call(
        self, namespace: str, function: str, args: Sequence[Any] = (), **options: Any
    ) -> asyncio.Future[Any]:
        """Call ``namespace/function``, a name taken verbatim, with positional arguments."""
        return self._client.call(namespace, function, args, **options).asFuture(self._loop)

    def namespace(self, name: str) -> Namespace[asyncio.Future[Any]]:
        """The functions of a namespace as attributes and items."""
        return Namespace(self.call, name)

    def function(self, name: str, **options: Any) -> RemoteFunction[asyncio.Future[Any]]:
        """``namespace/function`` as a Python callable; the options are those of :meth:`call`."""
        return RemoteFunction.named(self.call, name, options)

    def functions(self, prefix: str | None = None) -> asyncio.Future[list[str]]:
        """``namespace/function`` of all functions whose name begins so."""
        return self._client.functions(prefix).asFuture(self._loop)

    def meta(self, name: str) -> asyncio.Future[dict[Any, Any]]:
        """What is known of ``namespace/function``: ``:name``, ``:doc``, ``:arglists``, if anything."""
        return self._client.meta(name).asFuture(self._loop)

    def close(self) -> asyncio.Future[None]:
        """Close all connections, and fail what is pending."""
        return self._client.close().asFuture(self._loop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Client(Caller[deferred.Client]):
    """:class:`slacker.Client` for asyncio; has to be made while the event loop runs.

    :param address: ``host:port``.
    :param options: those of :class:`slacker.Client`.
    :raises ConfigurationError: if one of these is wrong, or the reactor is not this event loop's.
    """

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(deferred.Client(address, reactor=running_reactor(), **options))

    def clients(self) -> asyncio.Future[dict[Any, Any]]:
        """The server's clients, its version, and since when it runs."""
        return self._client.clients().asFuture(self._loop)

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        return self._client.address

    @property
    def connected(self) -> bool:
        """Whether a call made now would leave now."""
        return self._client.connected

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer, or for a connection."""
        return self._client.in_flight

    def connect(self) -> None:
        """Connect, if that has not begun."""
        self._client.connect()


def install(loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Make Twisted's reactor a guest of an event loop: of this one, or of the one that runs.

    The first client does so by itself. A program has to only if it imports something that imports
    ``twisted.internet.reactor`` before it makes a client.

    :raises ConfigurationError: if there is no event loop, or another reactor is installed already.
    """
    installed = installed_reactor()
    if installed is not None:
        raise ConfigurationError(_TOO_LATE.format(type(installed).__name__))
    installReactor(_GuestReactor(loop or _running_loop()))


def running_reactor() -> AsyncioSelectorReactor:
    """The reactor of the event loop that runs; installed, if there is none, and started.

    :raises ConfigurationError: if no event loop runs, or the reactor is not its.
    """
    loop = _running_loop()
    if installed_reactor() is None:
        install(loop)
    reactor = installed_reactor()
    if not isinstance(reactor, AsyncioSelectorReactor):
        raise ConfigurationError(_TOO_LATE.format(type(reactor).__name__))
    if reactor._asyncioEventloop is not loop:  # it has no public name
        raise ConfigurationError(
            "Twisted's reactor belongs to another event loop than the one that runs here; "
            "there is one reactor, so let one event loop have all asyncio clients"
        )
    if isinstance(reactor, _GuestReactor):
        reactor.start()
    elif not reactor.running:
        raise ConfigurationError(
            "asyncioreactor is installed, but does not run: start it with reactor.run(), "
            "or install it with slacker.client.aio.install(loop), which lets the event loop run it"
        )
    return reactor


def installed_reactor() -> object | None:
    """The reactor that is installed. One whose event loop has ended makes room for the next one."""
    reactor: object = sys.modules.get("twisted.internet.reactor")
    if isinstance(reactor, _GuestReactor) and reactor.loop.is_closed():
        del sys.modules["twisted.internet.reactor"], twisted.internet.reactor
        return None
    return reactor


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError("no event loop runs here: make asyncio clients inside a coroutine") from None


class _GuestReactor(AsyncioSelectorReactor):
    """The reactor in an event loop that others start and stop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.loop = loop
        self._life: AsyncGenerator[None, None] | None = None

    def start(self) -> None:
        """Run from now until the event loop ends; to be called while it runs."""
        if self._life is None:
            self.startRunning(installSignalHandlers=False)  # signals belong to the loop's owner
            # asyncio.run() and its like end the asynchronous generators of their loop before they close it:
            # a place to hang up from, and to stop the threads that would keep the process alive.
            self._life = self._live()
            with suppress(StopIteration):
                self._life.__anext__().send(None)

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.fireSystemEvent("shutdown")
            self.loop.remove_reader(self.waker.fileno())  # a pipe of which nobody else takes care
            self.waker.connectionLost(None)

    def crash(self) -> None:
        # The base class would stop the loop in the middle of its own end.
        super(AsyncioSelectorReactor, self).crash()
