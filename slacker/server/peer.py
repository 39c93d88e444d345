"""Who is at the other end of a connection."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from attrs import Factory, define
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from slacker.address import format_address
from slacker.tls import is_local

if TYPE_CHECKING:
    from slacker.server.auth import Identity


@define(eq=False)
class PeerInfo:
    """``inspect clients`` shows it, and functions find it in :func:`~slacker.server.current_call`.

    :ivar address: ``host:port``.
    :ivar loopback: whether it is on this machine.
    :ivar name: what it calls itself.
    :ivar software: what it says it is.
    :ivar identity: who it has proved to be, with a token or a certificate; None before that, and on servers
        without ``auth``.
    """

    address: str
    loopback: bool
    connected_on: datetime = Factory(lambda: datetime.now(timezone.utc))
    name: str = ""
    software: str = ""
    identity: Identity | None = None

    @classmethod
    def at(cls, address: object) -> PeerInfo:
        """The peer at this Twisted address. One on a UNIX socket is on this machine."""
        if isinstance(address, (IPv4Address, IPv6Address)):
            return cls(format_address(address.host, address.port), is_local(address))
        return cls("unix" if isinstance(address, UNIXAddress) else "unknown", is_local(address))
