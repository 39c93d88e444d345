"""What ZooKeeper takes as a path, and what as a connection string."""

from __future__ import annotations

from slacker.address import format_address, parse_address
from slacker.errors import ConfigurationError
from slacker.zookeeper.errors import BadArgumentsException

_DEFAULT_PORT = 2181


def name_problem(name: str) -> str | None:
    """Why ZooKeeper cannot hold a node of this name; None if it can.

    The rule is that of ZooKeeper's ``PathUtils``: control characters, surrogates (so everything past U+FFFF),
    private and special characters are refused, and so are ``.`` and ``..``.
    """
    if not name:
        return "it is empty"
    if name in (".", ".."):
        return f"ZooKeeper does not take {name!r} as a name"
    for char in name:
        if char == "/":
            return "it holds a '/', which separates the names of a path"
        if char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\uf8ff" or char >= "\ufff0":
            return f"it holds the character {char!r}, which ZooKeeper does not take"
    return None


def check_path(path: str, *, sequence: bool = False) -> None:
    """Accept an absolute path without empty names.

    :param sequence: the server will append a number, so the last name may be empty.
    :raises BadArgumentsException: if ZooKeeper would refuse the path.
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise BadArgumentsException(f"path {path!r} should be a text that begins with '/'")
    if path == "/":
        return
    names = path[1:].split("/")
    if sequence and len(names) > 1 and not names[-1]:
        names.pop()
    for name in names:
        problem = name_problem(name)
        if problem:
            raise BadArgumentsException(f"path {path!r} holds the name {name!r}: {problem}")


def parse_servers(servers: str) -> tuple[list[str], str]:
    """Split ``host[:port][,host[:port]…][/chroot]`` into the addresses and the chroot (empty if none).

    :raises ConfigurationError: if it is no such text; the message says which part.
    """
    if not isinstance(servers, str):
        raise ConfigurationError(f"ZooKeeper's servers should be a text like 127.0.0.1:2181, not {servers!r}")
    hosts, slash, chroot = servers.strip().partition("/")
    addresses = []
    for entry in hosts.split(","):
        address = entry.strip()
        bare = not address.endswith("]") if address.startswith("[") else ":" in address
        if not bare:
            address = f"{address}:{_DEFAULT_PORT}"
        try:
            host, port = parse_address(address)
            host.encode("idna")
        except (ConfigurationError, UnicodeError) as error:
            raise ConfigurationError(
                f"ZooKeeper's servers {servers!r}: {entry.strip()!r} should be host:port ({error})"
            ) from None
        addresses.append(format_address(host, port))
    path = slash + chroot.rstrip("/") if chroot.strip("/") else ""
    if path:
        try:
            check_path(path)
        except BadArgumentsException as error:
            raise ConfigurationError(
                f"ZooKeeper's servers {servers!r}: the chroot after the hosts: {error}"
            ) from None
    return addresses, path
