"""Test what uses slacker without sockets, threads or waiting: servers in memory, under a manual clock.

::

    network = Network()
    network.serve("10.0.0.1:2104", [myapp.api])
    client = network.client("10.0.0.1:2104")
    answer = client.call("myapp.api", "echo", ["hello"])
    network.flush()
    assert self.successResultOf(answer) == "hello"
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from typing import Any, cast

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorFromThreads,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker.address import parse_address
from slacker.client.client import Client
from slacker.server.functions import Exposable
from slacker.server.service import SlackerServer
from slacker.server.workers import Job, PoolStatus

#: Bytes that wait on one side before its producer is paused, as in Twisted's own transports.
_BUFFER = 2**16

_MOST_STEPS = 10_000  # of one flush; two ends that answer each other for ever would not end


@implementer(IReactorFromThreads)
class MemoryReactor(Clock):
    """A clock that moves when told, and that worker threads may call."""

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """Run it at the next :meth:`~twisted.internet.task.Clock.advance`."""
        self.callLater(0, callable, *args, **kwargs)

    def callInThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """Run it now: nothing here has threads of its own."""
        callable(*args, **kwargs)


class SameThreadWorkers:
    """Stands for a :class:`~slacker.server.workers.WorkerPool`: runs jobs at once, on the caller's thread.

    :ivar held: set it, and jobs wait in ``queue`` until :meth:`run`.
    """

    def __init__(self, after_batch: Callable[[], None], capacity: int) -> None:
        self.held = False
        self.queue: list[Job] = []
        self._after_batch = after_batch
        self._capacity = capacity

    def submit(self, job: Job, held: int = 0) -> bool:
        """Take a job, unless the queue is full."""
        if len(self.queue) >= self._capacity:
            return False
        self.queue.append(job)
        return True

    def remove(self, job: Job) -> bool:
        """Take back a job that has not run."""
        if job not in self.queue:
            return False
        self.queue.remove(job)
        return True

    def status(self) -> PoolStatus:
        """What is held."""
        return PoolStatus(0, len(self.queue), 0.0)

    def wake(self) -> None:
        """Run what is queued, unless held."""
        if not self.held:
            self.run()

    def run(self) -> None:
        """Run what is queued."""
        jobs, self.queue = self.queue, []
        for job in jobs:
            copy_context().run(job.run)  # what it sets stays in its thread, as it were
            job.finish()
        self._after_batch()

    def stop(self) -> None:
        """Forget what is queued."""
        self.queue.clear()


@implementer(ITransport, IConsumer, IPushProducer)
@define(eq=False)
class MemoryTransport:
    """One end of a connection in memory, with the flow control of a real one."""

    protocol: IProtocol
    host: IAddress
    peer: IAddress
    other: MemoryTransport = field(init=False, repr=False)
    disconnecting: bool = False
    disconnected: bool = False
    reading: bool = True
    _written: list[bytes] = field(factory=list)
    _size: int = 0
    _producer: IPushProducer | None = None
    _paused: bool = False

    def write(self, data: bytes) -> None:
        if self.disconnecting or self.disconnected:
            return
        self._written.append(data)
        self._size += len(data)
        if self._size > _BUFFER and self._producer is not None and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        self._producer = cast(IPushProducer, producer)  # a pull producer would find no consumer here

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def stopProducing(self) -> None:
        self.loseConnection()

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.lose(ConnectionAborted())

    def getPeer(self) -> IAddress:
        return self.peer

    def getHost(self) -> IAddress:
        return self.host

    def lose(self, reason: Exception) -> None:
        """Break the connection, on this end and then on the other."""
        if self.disconnected:
            return
        self.disconnected = self.other.disconnected = True
        seen_there = reason if isinstance(reason, ConnectionDone) else ConnectionLost()
        self.protocol.connectionLost(Failure(reason))
        self.other.protocol.connectionLost(Failure(seen_there))

    def step(self) -> bool:
        """Move what was written to the other end, or close; whether there was anything to do."""
        if self.disconnected:
            return False
        if self._written and self.other.reading:
            data = b"".join(self._written)
            self._written.clear()
            self._size = 0
            self.other.protocol.dataReceived(data)
            if self._paused and self._producer is not None and not self._written:
                self._paused = False
                self._producer.resumeProducing()
            return True
        if self.disconnecting and not self._written and self._producer is None:
            self.lose(ConnectionDone())
            return True
        return False


@implementer(IStreamClientEndpoint)
@define
class _MemoryEndpoint:
    _network: Network
    _address: str

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return self._network.connect(self._address, protocolFactory)


class Network:
    """Servers and clients that reach each other in memory.

    :ivar reactor: the manual clock of all of them; ``network.advance(seconds)`` moves it and delivers what is
        due.
    :ivar connections: the clients' ends of the open connections, by the server's address.
    """

    def __init__(self) -> None:
        self.reactor = MemoryReactor()
        self._factories: dict[str, IProtocolFactory] = {}
        self._transports: list[MemoryTransport] = []
        self._ports = 40_000

    def listen(self, address: str, factory: IProtocolFactory) -> None:
        """Let a factory's protocols answer at this address."""
        self._factories[address] = factory

    def refuse(self, address: str) -> None:
        """Refuse new connections to this address, and break the open ones, as a killed process would."""
        self._factories.pop(address, None)
        self.cut(address)

    def cut(self, address: str) -> None:
        """Break the open connections to this address."""
        for transport in self.connections(address):
            transport.lose(ConnectionLost())

    def stall(self, address: str) -> None:
        """Let all that is sent to and from this address stand still, as a stopped process would."""
        for transport in self.connections(address):
            transport.reading = transport.other.reading = False

    def connections(self, address: str) -> list[MemoryTransport]:
        """The clients' ends of the open connections to this address."""
        self._transports = [transport for transport in self._transports if not transport.disconnected]
        host, port = parse_address(address)
        peer = IPv4Address("TCP", host, port)
        return [transport for transport in self._transports if transport.peer == peer]

    def serve(self, address: str, exposed: Sequence[Exposable], **options: Any) -> SlackerServer:
        """A server at this address; the options are those of :class:`~slacker.SlackerServer`."""
        server = SlackerServer(exposed, reactor=self.reactor, **options)
        capacity = options.get("threads", 10) + options.get("queue_size", 3000)
        server.workers = SameThreadWorkers(server.flush, capacity)
        self.listen(address, server.factory)
        return server

    def client(self, address: str, **options: Any) -> Client:
        """A client of the server at this address; the options are those of :class:`~slacker.Client`."""
        return Client(address, **{"endpoint": self.endpoint(address), "reactor": self.reactor, **options})

    def endpoint(self, address: str) -> IStreamClientEndpoint:
        """What connects to this address."""
        return _MemoryEndpoint(self, address)

    def connect(self, address: str, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect a client's factory to whatever listens at this address."""
        host, port = parse_address(address)
        peer = IPv4Address("TCP", host, port)
        self._ports += 1
        local = IPv4Address("TCP", "127.0.0.1", self._ports)
        if address not in self._factories:
            return fail(ConnectionRefusedError(f"nothing listens at {address}"))
        server = self._factories[address].buildProtocol(local)
        client = factory.buildProtocol(peer)
        if server is None or client is None:
            return fail(ConnectionRefusedError(f"{address} takes no connection"))
        near, far = MemoryTransport(client, local, peer), MemoryTransport(server, peer, local)
        near.other, far.other = far, near
        self._transports += [near, far]
        server.makeConnection(far)
        client.makeConnection(near)
        return succeed(client)

    def flush(self) -> None:
        """Deliver everything that is written, and what comes of it."""
        for _ in range(_MOST_STEPS):
            self.reactor.advance(0)
            moved = [transport.step() for transport in list(self._transports)]
            if not any(moved):
                break
        else:
            raise RuntimeError(f"the network did not come to rest within {_MOST_STEPS} steps")
        self._transports = [transport for transport in self._transports if not transport.disconnected]

    def advance(self, seconds: float) -> None:
        """Move the clock, and deliver what is written."""
        self.flush()
        self.reactor.advance(seconds)
        self.flush()
