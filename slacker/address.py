"""``host:port``, the name of a server everywhere: in ZooKeeper, in options, in errors."""

from __future__ import annotations

from ipaddress import ip_address

from slacker.errors import ConfigurationError

_MAX_PORT = 65_535


def parse_address(text: str) -> tuple[str, int]:
    """Split ``host:port``; an IPv6 host stands in brackets, and comes back without them.

    :raises ConfigurationError: if the text is no such address; the message says why.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"address {text!r} should be text like 127.0.0.1:2104")
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ConfigurationError(f"address {text!r} should be host:port, like 127.0.0.1:2104")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigurationError(f"address {text!r}: an IPv6 host stands in brackets, like [::1]:2104")
    if not host or any(c.isspace() or c in "/[]" or not c.isprintable() for c in host):
        raise ConfigurationError(f"address {text!r} has no usable host before the colon")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _MAX_PORT):
        raise ConfigurationError(f"address {text!r} should end in a port between 1 and {_MAX_PORT}")
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether this IP address is of the loopback interface; False for a name."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    # A socket for both families shows an IPv4 peer as ::ffff:127.0.0.1.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
