"""Who a client is to ZooKeeper, who may touch what it creates, and how its connection is encrypted.

No error here repeats what was given: a text that is wrong in one place holds a password in another.
"""

from __future__ import annotations

import ipaddress
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import field, frozen
from kazoo.security import make_digest_acl_credential

from slacker.errors import ConfigurationError
from slacker.zookeeper.events import ZOO_OPEN_ACL_UNSAFE, Acl

_PERMISSIONS = {"r": 1, "w": 2, "c": 4, "d": 8, "a": 16}
_ACL_FORMS = (
    "creator, auth::PERMISSIONS, digest:USER:PASSWORD:PERMISSIONS, sasl:USER:PERMISSIONS, "
    "ip:ADDRESS[/BITS]:PERMISSIONS or world:anyone:PERMISSIONS"
)


@frozen
class Credentials:
    """Who a client is.

    :ivar scheme: ``digest``: ZooKeeper takes every user and password, and permits what the two may do;
        ``sasl``: it knows its users, and refuses wrong passwords.
    """

    scheme: str
    user: str
    password: str = field(repr=False)


def parse_auth(text: str) -> Credentials:
    """Read ``digest:user:password`` or ``sasl:user:password``; the password may hold colons.

    :raises ConfigurationError: if it is neither, or if SASL lacks its library.
    """
    scheme, user, password = [*text.split(":", 2), "", ""][:3] if isinstance(text, str) else ("", "", "")
    if scheme not in ("digest", "sasl") or not user or not password:
        raise ConfigurationError("ZooKeeper's auth should be digest:USER:PASSWORD or sasl:USER:PASSWORD")
    if scheme == "sasl" and find_spec("puresasl") is None:
        raise ConfigurationError(
            "ZooKeeper's auth by SASL needs the package pure-sasl: pip install 'txslacker[sasl]'"
        )
    return Credentials(scheme, user, password)


def parse_acl(text: str, *, identified: bool) -> list[Acl]:
    """Read an access control list, whose entries are separated by commas.

    Permissions are letters of ``cdrwa``: create, delete, read, write, admin. ``creator`` is ``auth::cdrwa``:
    everything for the identity of the client that creates the node. ``digest`` takes a password in clear and
    sends its hash; it may hold colons, but no comma.

    :param identified: whether the client has an identity that ``creator`` and ``auth`` can stand for.
    :raises ConfigurationError: naming the entry by its number.
    """
    if not isinstance(text, str):
        raise ConfigurationError("ZooKeeper's acl should be a text such as creator,world:anyone:r")
    entries = [entry.strip() for entry in text.split(",")]
    return [_entry(entry, number, identified=identified) for number, entry in enumerate(entries, 1)]


def _entry(entry: str, number: int, *, identified: bool) -> Acl:
    def wrong(what: str) -> ConfigurationError:
        return ConfigurationError(f"ZooKeeper's acl, entry {number}: {what}")

    if entry == "creator":
        entry = "auth::cdrwa"
    scheme, _, rest = entry.partition(":")
    name, colon, letters = rest.rpartition(":")
    if not colon or scheme not in ("auth", "digest", "sasl", "ip", "world"):
        raise wrong(f"it should be {_ACL_FORMS} (entries are separated by commas)")
    if not letters or set(letters) - _PERMISSIONS.keys():
        raise wrong("after the last colon should stand permissions, letters of cdrwa")
    if scheme == "world" and name != "anyone":
        raise wrong("world is always world:anyone:PERMISSIONS")
    if scheme == "auth":
        if name:
            raise wrong("auth takes no name, it stands for the client itself: auth::PERMISSIONS")
        if not identified:
            raise wrong("creator and auth stand for this client's identity, and it has none: give auth, too")
    elif not name:
        raise wrong(f"whom {scheme} stands for is missing")
    if scheme == "digest":
        user, _, password = name.partition(":")
        if not user or not password:
            raise wrong("digest should be digest:USER:PASSWORD:PERMISSIONS")
        name = make_digest_acl_credential(user, password)
    elif scheme == "ip":
        try:
            ipaddress.ip_network(name, strict=False)
        except ValueError:
            raise wrong("ip should be an address, or address/bits") from None
    return {"perms": sum(_PERMISSIONS[letter] for letter in set(letters)), "scheme": scheme, "id": name}


@frozen(kw_only=True)
class ZookeeperTls:
    """TLS to ZooKeeper, whose servers listen for it at their ``secureClientPort``.

    All files are PEM. They are read when this is made, so that what is wrong is said at once, and again for
    each connection, so that renewed certificates need no restart.

    :param ca: file of the authorities that sign servers' certificates; None: those of the system.
    :param certificate: file of this client's certificate, for servers that ask for one (``ssl.clientAuth``).
    :param key: file of its private key; None: it is in ``certificate``.
    :param password: of the private key, if that is encrypted.
    :param verify: False talks to whoever answers. For experiments only.
    :param check_hostname: False takes any certificate that ``ca`` has signed, whichever host it names.
    :raises ConfigurationError: if a file cannot be used; the message names it.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = field(default=None, repr=False)
    verify: bool = True
    check_hostname: bool = True

    def __attrs_post_init__(self) -> None:
        if self.certificate is None and (self.key is not None or self.password is not None):
            raise ConfigurationError("ZooKeeper's TLS: a key or password without a certificate")
        self.context()

    def context(self) -> ssl.SSLContext:
        """What a connection is made with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.verify and self.check_hostname
        if not self.verify:
            context.verify_mode = ssl.CERT_NONE
        if self.ca is None:
            context.load_default_certs()
        else:
            _readable("ca", self.ca)
            try:
                context.load_verify_locations(self.ca)
            except ssl.SSLError:
                raise ConfigurationError(
                    f"ZooKeeper's TLS: the ca file {self.ca} holds no certificate"
                ) from None
        if self.certificate is not None:
            self._identify(context, self.certificate)
        return context

    def _identify(self, context: ssl.SSLContext, certificate: str) -> None:
        _readable("certificate", certificate)
        if self.key is not None:
            _readable("key", self.key)
        try:
            # A function, because without one OpenSSL asks at the terminal.
            context.load_cert_chain(certificate, self.key, lambda: self.password or "")
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"ZooKeeper's TLS: the certificate file {certificate} and the key file "
                f"{self.key or certificate} should hold a certificate and its private key, and the password "
                f"should fit ({error.reason or 'OpenSSL cannot read them'})"
            ) from None


@frozen
class Access:
    """All of it, for one client.

    :ivar credentials: who it is; None: nobody in particular.
    :ivar acls: of what it creates.
    """

    credentials: Credentials | None
    acls: list[Acl]
    tls: ZookeeperTls | None

    @classmethod
    def of(cls, auth: str | None, acl: str | None, tls: ZookeeperTls | None) -> Access:
        """From what users write.

        :raises ConfigurationError: if one of the three is wrong.
        """
        if tls is not None and not isinstance(tls, ZookeeperTls):
            raise ConfigurationError(f"ZooKeeper's tls should be a ZookeeperTls, not a {type(tls).__name__}")
        credentials = None if auth is None else parse_auth(auth)
        identified = credentials is not None or (tls is not None and tls.certificate is not None)
        acls = [ZOO_OPEN_ACL_UNSAFE] if acl is None else parse_acl(acl, identified=identified)
        return cls(credentials, acls, tls)

    @property
    def sasl(self) -> bool:
        """Whether ZooKeeper looks at the credentials, and may refuse them."""
        return self.credentials is not None and self.credentials.scheme == "sasl"

    @property
    def sasl_options(self) -> dict[str, Any] | None:
        """As kazoo has them."""
        if self.credentials is None or not self.sasl:
            return None
        return {
            "mechanism": "DIGEST-MD5",
            "username": self.credentials.user,
            "password": self.credentials.password,
        }

    @property
    def identities(self) -> list[tuple[str, str]]:
        """As kazoo's ``auth_data`` has them."""
        if self.credentials is None or self.sasl:
            return []
        return [(self.credentials.scheme, f"{self.credentials.user}:{self.credentials.password}")]


def _readable(what: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"ZooKeeper's TLS: the {what} file {path}: {error.strerror}") from None
