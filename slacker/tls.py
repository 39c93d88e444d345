"""TLS for servers and for clients, with Twisted's own options; needs the extra ``tls``.

All files are PEM. They are read once, when :class:`ServerTls` or :class:`ClientTls` is made, so that whatever
is wrong with them is said before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from attrs import field, frozen
from twisted.internet.address import UNIXAddress
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from slacker.address import is_loopback
from slacker.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography import x509
    from OpenSSL import SSL, crypto
    from twisted.protocols.tls import TLSMemoryBIOProtocol

#: Endpoints that stay as they are: the first encrypts by itself, the second never leaves this machine.
_AS_THEY_ARE = ("ssl:", "unix:")

_MOST_NAMES = 5  # of a certificate, in an error


@frozen(kw_only=True)
class ServerTls:
    """What a server shows, and what it wants to see.

    :param certificate: file of the server's certificate, then those of the authorities between it and one
        that clients know, if there are any.
    :param key: file of its private key; None: it is in ``certificate``.
    :param client_ca: file of the authorities that sign clients' certificates: without one of these, nobody
        gets in. None: clients need no certificate.
    :raises ConfigurationError: if a file cannot be used, or the extra ``tls`` is not installed.
    """

    certificate: str
    key: str | None = None
    client_ca: str | None = None
    _options: Any = field(init=False, repr=False, eq=False)

    @_options.default
    def _load(self) -> Any:
        _check_library()
        from OpenSSL import SSL
        from twisted.internet.ssl import CertificateOptions

        own = _own_certificate(self.certificate, self.key)
        trusted = None if self.client_ca is None else _authorities("client_ca", self.client_ca)
        try:
            options = CertificateOptions(**own, trustRoot=trusted)
            options.getContext()  # which fails where OpenSSL does not want these
        except SSL.Error as error:
            raise ConfigurationError(
                f"TLS: OpenSSL does not take the certificate file {self.certificate}: {_reasons(error)}"
            ) from None
        return options

    def factory_for(self, endpoint: str, factory: IProtocolFactory) -> IProtocolFactory:
        """What should listen on this endpoint string, so that ``factory``'s protocols talk through TLS.

        That is ``factory`` itself for ``ssl:`` endpoints, which encrypt already, and for ``unix:`` ones.
        """
        from twisted.protocols.tls import TLSMemoryBIOFactory

        if endpoint.startswith(_AS_THEY_ARE):
            return factory
        return TLSMemoryBIOFactory(self._options, False, factory)


@frozen(kw_only=True)
class ClientTls:
    """Whom a client trusts, and what it shows.

    :param ca: file of the authorities that sign servers' certificates; None: those of the system.
    :param certificate: file of this client's certificate, for servers that ask for one.
    :param key: file of its private key; None: it is in ``certificate``.
    :param hostname: the name (or IP address) that servers' certificates have to be for; None: the host that
        is connected to. Servers of a cluster are addressed by IP: say the name that all their certificates
        share, or let each certificate name its server's IP address.
    :raises ConfigurationError: if a file cannot be used, or the extra ``tls`` is not installed.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    hostname: str | None = None
    _trusted: Any = field(init=False, repr=False, eq=False)
    _own: dict[str, Any] = field(init=False, repr=False, eq=False)

    @_trusted.default
    def _load_authorities(self) -> Any:
        _check_library()
        return None if self.ca is None else _authorities("ca", self.ca)

    @_own.default
    def _load_own(self) -> dict[str, Any]:
        if self.certificate is not None:
            return _own_certificate(self.certificate, self.key)
        if self.key is not None:
            raise ConfigurationError("TLS: a key without a certificate; give both files")
        return {}

    def secure(self, endpoint: IStreamClientEndpoint, host: str) -> IStreamClientEndpoint:
        """Connect through this endpoint, with TLS, to ``host`` (which ``hostname`` overrides).

        :raises ConfigurationError: if that is no name that a certificate could have.
        """
        from OpenSSL import SSL
        from twisted.internet.ssl import optionsForClientTLS

        name = self.hostname or host
        try:
            options = optionsForClientTLS(name, trustRoot=self._trusted, extraCertificateOptions=self._own)
        except SSL.Error as error:
            raise ConfigurationError(
                f"TLS: OpenSSL does not take the certificate file {self.certificate}: {_reasons(error)}"
            ) from None
        except (ValueError, UnicodeError) as error:
            raise ConfigurationError(f"TLS: {name!r} is no name of a host: {error}") from None
        return wrapClientTLS(_Strict(options, name, self.ca), endpoint)


class HandshakeFailed(Exception):
    """Why a server is not trusted, in one sentence."""


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _Strict:
    """Twisted's options with a stricter look at the certificate, that can say what is wrong with it.

    Twisted takes a certificate without any subjectAltName for one of every host: the exception that
    service_identity raises then is only logged.
    """

    _options: IOpenSSLClientConnectionCreator
    _name: str
    _ca: str | None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        from OpenSSL import SSL

        connection = self._options.clientConnectionForTLS(tlsProtocol)
        connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._verifier(ref(tlsProtocol))
        )
        return connection

    def _verifier(
        self, protocol: ref[TLSMemoryBIOProtocol]
    ) -> Callable[[SSL.Connection, crypto.X509, int, int, int], bool]:
        def verify(connection: SSL.Connection, shown: crypto.X509, code: int, depth: int, ok: int) -> bool:
            try:
                problem = self._problem(shown.to_cryptography(), code, depth) if depth == 0 or code else ""
            except Exception as error:  # an exception would be lost in OpenSSL, and the certificate taken
                problem = f"cannot be read ({type(error).__name__})"
            if not problem and ok:
                return True
            talking = protocol()
            if talking is not None:
                sentence = f"the server's certificate {problem or 'is not trusted'}"
                talking.failVerification(Failure(HandshakeFailed(sentence)))
            return False

        return verify

    def _problem(self, shown: x509.Certificate, code: int, depth: int) -> str:
        """What is wrong with a certificate; empty if nothing is.

        :param code: OpenSSL's X509_V_… number, 0 for none.
        :param depth: 0 for the server's own, above that for those of authorities.
        """
        if code:
            whose = " of an authority" if depth else ""
            if code in (9, 10):
                when = shown.not_valid_after_utc if code == 10 else shown.not_valid_before_utc
                return (
                    f"is not trusted: that{whose} {'expired' if code == 10 else 'begins'} on {when:%Y-%m-%d}"
                )
            if code in (2, 18, 19, 20, 21):
                by = f"the ca file {self._ca}" if self._ca else "this system (ca= names a file of others)"
                return f"is not trusted: it is signed by no authority of {by}"
            return f"is not trusted: OpenSSL refuses that{whose} with verify error {code}"
        return _name_problem(shown, self._name)


def _name_problem(shown: x509.Certificate, name: str) -> str:
    from service_identity import CertificateError, VerificationError
    from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
    from twisted.internet.abstract import isIPAddress, isIPv6Address

    try:
        if isIPAddress(name) or isIPv6Address(name):
            verify_certificate_ip_address(shown, name)
        else:
            verify_certificate_hostname(shown, name.encode("idna").decode("ascii"))
    except (VerificationError, CertificateError):
        named = [ascii(each) for each in _alternative_names(shown)]
        told = ", ".join(named[:_MOST_NAMES]) + (" and others" if len(named) > _MOST_NAMES else "")
        return (
            f"is for {told or 'no host (it has no subjectAltName)'}, not for {name!r} "
            "(hostname= says which name is expected)"
        )
    return ""


def encrypted(transport: object) -> bool:
    """Whether what is written there goes through TLS."""
    return hasattr(transport, "getPeerCertificate")


def is_local(address: object) -> bool:
    """Whether this Twisted address is one of this machine's: loopback, or a UNIX socket."""
    if isinstance(address, UNIXAddress):
        return True
    host = getattr(address, "host", None)
    return isinstance(host, str) and is_loopback(host)


def certificate_names(transport: Any) -> list[str]:
    """The names in the certificate that the peer has shown: subjectAltNames (DNS, URI, mail), then its CN.

    Empty where it has shown none, or one that cannot be read.
    """
    from cryptography.x509.oid import NameOID

    shown = transport.getPeerCertificate()
    if shown is None:
        return []
    try:
        certificate = shown.to_cryptography()
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [*_alternative_names(certificate, hosts=False), *(str(name.value) for name in common)]
    except ValueError:
        return []


def handshake_failed(failure: Failure) -> bool:
    """Whether a connection broke because of TLS."""
    value = failure.value
    return isinstance(value, HandshakeFailed) or type(value).__module__.startswith("OpenSSL")


def reason_of(failure: Failure) -> str:
    """Why a connection broke, with OpenSSL's words for a failed handshake replaced by ours."""
    value = failure.value
    if value is None or not type(value).__module__.startswith("OpenSSL"):
        return str(failure.getErrorMessage())
    said = _reasons(value)
    return next((ours for theirs, ours in _MEANINGS.items() if theirs in said), f"TLS failed: {said}")


def looks_like_tls(data: bytes) -> bool:
    """Whether these bytes are the begin of a TLS handshake, or of an alert that ends one."""
    return data[:2] in (b"\x16\x03", b"\x15\x03")


#: Part of what OpenSSL says (in lower case) → what it means here. An alert is what the other end has said.
_MEANINGS = {
    "certificate required": "the server wants a certificate of this client, and got none",
    "alert handshake failure": "the server ended the TLS handshake (does it want a certificate?)",
    "alert unknown ca": "the other end does not trust the certificate it was shown",
    "alert bad certificate": "the other end does not trust the certificate it was shown",
    "alert certificate unknown": "the other end does not trust the certificate it was shown",
    "alert certificate expired": "the other end does not trust the certificate it was shown: it has expired",
    "alert unsupported certificate": "the other end does not take this kind of certificate",
    "peer did not return a certificate": "the client showed no certificate",
    "certificate verify failed": "the certificate that the other end showed is not trusted",
    "wrong version number": "the other end does not speak TLS here",
    "packet length too long": "the other end does not speak TLS here",
    "record layer failure": "the other end does not speak TLS here",
    "unknown protocol": "the other end does not speak TLS here",
    "http request": "the other end speaks HTTP without TLS",
}


def _reasons(error: BaseException) -> str:
    """What OpenSSL says: ``[(library, function, reason), …]``, of which the reasons."""
    entries = error.args[0] if error.args and isinstance(error.args[0], (list, tuple)) else []
    return "; ".join(str(entry[2]) for entry in entries if len(entry) > 2).lower() or "no reason given"


def _check_library() -> None:
    for library in ("cryptography", "OpenSSL", "service_identity"):
        try:
            import_module(library)
        except ImportError:
            raise ConfigurationError(
                f"TLS needs the extra tls, and {library} is missing: pip install 'txslacker[tls]'"
            ) from None


def _own_certificate(certificate: str, key: str | None) -> dict[str, Any]:
    """Certificate, key and chain, as Twisted's CertificateOptions take them."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from OpenSSL import crypto

    own, *chain = _certificates("certificate", certificate)
    _check_valid(own, "certificate", certificate)
    private = _private_key(key or certificate)
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if own.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
        raise ConfigurationError(
            f"TLS: the key in {key or certificate} does not belong to the first certificate in {certificate}"
        )
    return {
        "certificate": crypto.X509.from_cryptography(own),
        "privateKey": crypto.PKey.from_cryptography_key(private),
        "extraCertChain": [crypto.X509.from_cryptography(each) for each in chain],
    }


def _authorities(what: str, path: str) -> Any:
    """The certificates in this file, as Twisted's trustRoot."""
    from OpenSSL import crypto
    from twisted.internet.ssl import Certificate, trustRootFromCertificates

    found = _certificates(what, path)
    if len(found) == 1:
        _check_valid(found[0], what, path)
    return trustRootFromCertificates([Certificate(crypto.X509.from_cryptography(each)) for each in found])


def _certificates(what: str, path: str) -> list[x509.Certificate]:
    from cryptography import x509

    data = _read(what, path)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ConfigurationError(f"TLS: the {what} file {path} holds no certificate in PEM form") from None


def _private_key(path: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read("key", path)
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        raise ConfigurationError(f"TLS: the key in {path} is encrypted; it should be in clear") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"TLS: the file {path} holds no private key in PEM form") from None


def _read(what: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"TLS: the {what} file {path}: {error.strerror}") from None


def _check_valid(certificate: x509.Certificate, what: str, path: str) -> None:
    now = datetime.now(timezone.utc)
    for wrong, when, happens in [
        (now > certificate.not_valid_after_utc, certificate.not_valid_after_utc, "expired"),
        (now < certificate.not_valid_before_utc, certificate.not_valid_before_utc, "is not valid before"),
    ]:
        if wrong:
            raise ConfigurationError(
                f"TLS: the certificate in the {what} file {path} {happens} {when:%Y-%m-%d %H:%M} UTC"
            )


def _alternative_names(certificate: x509.Certificate, *, hosts: bool = True) -> Iterator[str]:
    """Its subjectAltNames: with ``hosts`` those of hosts, else those that may name a client."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    yield from names.get_values_for_type(x509.DNSName)
    if hosts:
        yield from map(str, names.get_values_for_type(x509.IPAddress))
    else:
        yield from names.get_values_for_type(x509.UniformResourceIdentifier)
        yield from names.get_values_for_type(x509.RFC822Name)
