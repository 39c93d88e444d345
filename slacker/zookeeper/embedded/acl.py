"""Who may do what: the schemes ``world``, ``auth``, ``digest`` and ``ip``.

An identity is a pair of scheme and id, like ``("digest", "joe:pQ0/…=")`` or ``("ip", "127.0.0.1")``. A
connection has one for its address, and one for each auth packet the server took.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from slacker.zookeeper.embedded.codes import Code, OperationRefused, Perm
from slacker.zookeeper.embedded.records import Acl

Identity: TypeAlias = tuple[str, str]

OPEN = (Acl(Perm.ALL, "world", "anyone"),)
READ_ONLY = (Acl(Perm.READ, "world", "anyone"),)


def digest_identity(user_and_password: bytes) -> Identity:
    """Who an auth packet of the scheme digest, ``user:password``, says the client is."""
    user = user_and_password.partition(b":")[0].decode("utf-8", "replace")
    # SHA-1 is what the scheme is defined with.
    digest = base64.b64encode(hashlib.sha1(user_and_password).digest()).decode("ascii")
    return "digest", f"{user}:{digest}"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """``address`` or ``address/bits``; None if it is neither."""
    address, slash, bits = text.partition("/")
    if slash and not (bits.isascii() and bits.isdigit()):
        return None
    try:
        return ipaddress.ip_network((address, int(bits)) if slash else address, strict=False)
    except ValueError:
        return None


def _matches(rule: Acl, identity: Identity) -> bool:
    scheme, name = identity
    if scheme != rule.scheme:
        return False
    if scheme == "digest":
        return name == rule.id
    network, address = _network(rule.id), _network(name)
    return network is not None and address is not None and address.network_address in network


def allowed(acl: Sequence[Acl], perm: int, identities: Sequence[Identity]) -> bool:
    """Whether one of the rules gives one of the permission bits to one of the identities, or to everybody."""
    return any(
        rule.perms & perm
        and ((rule.scheme, rule.id) == ("world", "anyone") or any(_matches(rule, one) for one in identities))
        for rule in acl
    )


def check_allowed(acl: Sequence[Acl], perm: int, identities: Sequence[Identity], path: str) -> None:
    """:raises OperationRefused: NO_AUTH, if :func:`allowed` says no."""
    if not allowed(acl, perm, identities):
        raise OperationRefused(
            Code.NO_AUTH, f"the rules of {path!r} do not give this client permission {perm}"
        )


def resolve(acl: Sequence[Acl], identities: Sequence[Identity], path: str) -> tuple[Acl, ...]:
    """The rules a node is to keep: without doubles, and ``auth`` replaced by those it stands for.

    :raises OperationRefused: INVALID_ACL, if there is none, or one that no scheme here understands.
    """
    kept: dict[Acl, None] = {}
    for rule in acl:
        if rule.scheme == "auth":
            # "auth" means whoever proved who they are; an address proves nothing.
            proven = [Acl(rule.perms, *one) for one in identities if one[0] == "digest"]
            if not proven:
                raise OperationRefused(
                    Code.INVALID_ACL, f"the rules of {path!r} say 'auth', but no auth came"
                )
            kept.update(dict.fromkeys(proven))
        elif _valid(rule):
            kept[rule] = None
        else:
            raise OperationRefused(Code.INVALID_ACL, f"the rules of {path!r} hold {rule.scheme}:{rule.id!r}")
    if not kept:
        raise OperationRefused(Code.INVALID_ACL, f"{path!r} was given no rules of access")
    return tuple(kept)


def _valid(rule: Acl) -> bool:
    if rule.scheme == "world":
        return rule.id == "anyone"
    if rule.scheme == "digest":
        _, colon, digest = rule.id.partition(":")
        return bool(colon and digest) and ":" not in digest
    return rule.scheme == "ip" and _network(rule.id) is not None


def masked(acl: Sequence[Acl]) -> list[Acl]:
    """The rules without their password digests, for a reader that is no admin of the node."""
    return [
        rule._replace(id=f"{rule.id.partition(':')[0]}:x") if rule.scheme == "digest" else rule
        for rule in acl
    ]
