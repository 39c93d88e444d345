"""What calls of one client go through: the link to the server, and the table of those that wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from slacker import content
from slacker.client.connection import ClientConnection, lost
from slacker.client.link import Link
from slacker.client.pace import Pace
from slacker.client.pending import PendingCall, PendingCalls
from slacker.errors import BacklogOverflow, CallTimeout, ContentError, NotSent
from slacker.wire import Interrupt, encode

OURS = "txslacker/"
_CLOSED = "the client was closed"
_AROUND_ARGUMENTS = 16  # bytes of a frame that are neither those, nor name and extensions


class Channel:
    """Asks one server, whatever becomes of the connection to it. Every call that is begun ends exactly once.

    :param codec: for calls that name none; None for content type ``auto``.
    :param interrupt_any_peer: tell every server of calls that nobody waits for any more.
    :param changed: called when a connection was made, or broke.
    """

    def __init__(
        self,
        address: str,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        *,
        codec: content.Codec | None,
        timeout: float,
        backlog: int,
        interrupt_any_peer: bool,
        name: str,
        keepalive: float,
        max_frame: int,
        version: int,
        auth: str | None,
        pace: Pace | None,
        changed: Callable[[], None],
    ) -> None:
        self.address = address
        self.timeout = timeout
        self.backlog = backlog
        self.version = version
        #: Bytes of a function's name, its arguments and extensions that fit into a frame; a peer accepts no
        #: larger ones than this client, unless it was told to.
        self.max_arguments = max_frame - _AROUND_ARGUMENTS
        self.seconds = clock.seconds
        self.pending = PendingCalls(clock, self._expired)
        self.link = Link(
            self,
            self.pending.calls,
            address,
            endpoint,
            clock,
            name=name,
            keepalive=keepalive,
            max_frame=max_frame,
            version=version,
            auth=auth,
            pace=pace,
        )
        self._codec = codec
        #: The canceller of every pending call; bound once, and not for each.
        self.cancel = self._cancelled
        self._interrupt_any_peer = interrupt_any_peer
        self._changed = changed

    def new_call(self, name: bytes) -> PendingCall:
        """A call of this function, which is not in the table yet.

        :raises BacklogOverflow: if too many are.
        """
        if len(self.pending.calls) >= self.backlog:
            raise self.overflow()
        call = PendingCall(self.cancel)
        call.name = name
        return call

    def overflow(self) -> BacklogOverflow:
        """The error of a call that finds too many before it."""
        text = f"{self.backlog} calls wait for {self.address} already; slow down, or raise backlog"
        return BacklogOverflow(text, server=self.address)

    def wait(
        self, call: PendingCall, timeout: float | None, send: Callable[[PendingCall], None]
    ) -> Deferred[Any]:
        """Keep a call until there is a connection, and then ``send(call)``; NotSent if none comes."""
        if self.link.broken is not None:
            return fail(self.not_sent(call, self.link.broken))
        call.transmit = send
        self.pending.add(call, self.timeout if timeout is None else timeout)
        self.link.start()
        return call

    def when_connected(self, function: str, timeout: float) -> Deferred[ClientConnection]:
        """While there is no connection: fires with it as soon as there is one; fails with NotSent."""
        try:
            call = self.new_call(function.encode())
        except BacklogOverflow as error:
            return fail(error)

        def ready(call: PendingCall) -> None:
            self.pending.remove(call)
            call.callback(self.link.connection)

        return self.wait(call, timeout, ready)

    def codec_for(self, connection: ClientConnection, codec: content.Codec | None) -> content.Codec:
        """The codec of a call that names this one, or none.

        :raises NotSent: if the peer would wait for ever for the end of the call.
        """
        codec = codec or self._codec
        if codec is None or codec is connection.codec:
            return connection.codec
        if codec.name == "msgpack":  # the connection's own codec is not, so the peer is not of this project
            raise NotSent(
                f"{self.address} does not read msgpack, which only servers of this project do: "
                "leave the content type at auto, or choose clj or json",
                server=self.address,
            )
        return codec

    def check_room(self, connection: ClientConnection, call: PendingCall, size: int) -> None:
        """See that ``size`` bytes of arguments can be sent now.

        :raises ContentError: if they are too many for a frame, here or with any other server.
        :raises NotSent: if too much waits for a peer that does not read.
        """
        if len(call.name) + size > self.max_arguments:
            limit = self.max_arguments + _AROUND_ARGUMENTS
            raise ContentError(
                f"arguments of {call.function}: their {size} bytes, extensions included, do not fit into a "
                f"frame of {limit}; send less at once, or raise max_frame on both sides"
            )
        connection.check_room(size)

    def close(self) -> Deferred[None]:
        """Close the connection for good, and fail what is pending; fires when that is done."""
        closed = self.link.close(_CLOSED)
        self._fail_all(_CLOSED)
        self.pending.stop()
        return closed

    def not_sent(self, call: PendingCall, reason: str) -> NotSent:
        """The error of a call that certainly did not run."""
        text = f"{call.function} was not sent to {self.address}: {reason}"
        return NotSent(text, server=self.address, function=call.function)

    # What the link reports

    def link_ready(self, connection: ClientConnection) -> None:
        """Send what has waited for a connection."""
        connection.codec = content.get("msgpack" if connection.peer_software.startswith(OURS) else "clj")
        for call in list(self.pending.calls.values()):
            if call.transmit is not None and not call.called:
                send, call.transmit = call.transmit, None
                send(call)
        self._changed()

    def link_lost(self, reason: str) -> None:
        """What was sent may have run; what waits, waits for the next connection."""
        self._changed()
        sent = [call for call in self.pending.calls.values() if call.transmit is None]
        for call in self.pending.take(sent):
            call.errback(lost(reason, self.address, call.function))

    def link_failed(self, reason: str) -> None:
        """Who waits for a connection hears at once that none came, and may go elsewhere."""
        self._fail_all(reason)

    def _fail_all(self, reason: str) -> None:
        for call in self.pending.take(list(self.pending.calls.values())):
            call.errback(self.not_sent(call, reason))

    def _expired(self, call: PendingCall) -> None:
        if call.transmit is not None:
            call.errback(self.not_sent(call, f"no connection within {call.timeout} s"))
            return
        if call.interrupt:
            self._interrupt(call)
        text = f"{self.address} did not answer {call.function} within {call.timeout} s"
        call.errback(CallTimeout(text, server=self.address, function=call.function))

    def _cancelled(self, deferred: Deferred[Any]) -> None:
        """The caller has cancelled the call, which fails with CancelledError by itself."""
        call = cast(PendingCall, deferred)
        if not self.pending.remove(call):
            return
        if call.transmit is None:
            self._interrupt(call)

    def _interrupt(self, call: PendingCall) -> None:
        """Tell the server that nobody waits for this call any more."""
        connection = self.link.connection
        # Others may close the connection, and with it all other calls.
        if connection is not None and (self._interrupt_any_peer or connection.peer_software.startswith(OURS)):
            connection.send([encode(Interrupt(call.tid, version=self.version))])
