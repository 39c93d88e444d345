"""Who is at the other end of a connection."""

from __future__ import annotations

from datetime import datetime, timezone
from ipaddress import ip_address

from attrs import Factory, define
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from slacker.address import format_address


@define(eq=False)
class PeerInfo:
    """``inspect clients`` shows it, and functions find it in :func:`~slacker.server.current_call`.

    :ivar address: ``host:port``.
    :ivar loopback: whether it is on this machine.
    :ivar name: what it calls itself.
    :ivar software: what it says it is.
    """

    address: str
    loopback: bool
    connected_on: datetime = Factory(lambda: datetime.now(timezone.utc))
    name: str = ""
    software: str = ""

    @classmethod
    def at(cls, address: object) -> PeerInfo:
        """The peer at this Twisted address. One on a UNIX socket is on this machine."""
        if isinstance(address, (IPv4Address, IPv6Address)):
            loopback = ip_address(address.host.partition("%")[0]).is_loopback
            return cls(format_address(address.host, address.port), loopback)
        return cls(
            "unix" if isinstance(address, UNIXAddress) else "unknown", isinstance(address, UNIXAddress)
        )
