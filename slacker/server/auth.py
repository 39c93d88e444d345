"""Who may call what: names with their tokens or certificates, and the namespaces that are open to each.

A token is 32 random bytes, so its plain SHA-256 tells nothing about it: no dictionary holds it, and nobody
can try all of them. A slow hash, as passwords need it, would only let strangers keep the server busy.
``python -m slacker.server.auth NAME NAMESPACE…`` makes one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_bytes, token_urlsafe
from typing import Any

from attrs import field, frozen

from slacker.errors import ConfigurationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HASH = re.compile(r"[0-9a-f]{64}")
_COMMAND = "python -m slacker.server.auth"

#: A secret of fewer characters is refused, whatever its hash: somebody chose it, and others can guess it.
#: Those that are made here have 43.
MIN_SECRET = 32
_MAX_TOKEN = 1_000  # characters of name and secret; nothing longer is worth hashing


@frozen
class Identity:
    """Somebody whom the server knows.

    :ivar namespaces: those it may call: names, ``prefix.*`` for all that begin with ``prefix.``, or ``*`` for
        all.
    """

    name: str
    namespaces: tuple[str, ...]
    _exact: frozenset[str] = field(init=False, repr=False, eq=False)
    _prefixes: tuple[str, ...] = field(init=False, repr=False, eq=False)

    @_exact.default
    def _find_exact(self) -> frozenset[str]:
        return frozenset(name for name in self.namespaces if not name.endswith("*"))

    @_prefixes.default
    def _find_prefixes(self) -> tuple[str, ...]:
        return tuple(name[:-1] for name in self.namespaces if name.endswith("*"))

    def may_call(self, namespace: str) -> bool:
        """Whether the functions of this namespace are open to it."""
        return namespace in self._exact or namespace.startswith(self._prefixes)


@frozen
class _Known:
    """One name of the file and the hash of its secret."""

    digest: bytes = field(repr=False)
    identity: Identity | None


class Authenticator:
    """Knows names, the hashes of their tokens, and the names in certificates.

    ::

        {"tokens": {"billing": {"sha256": "9f86…", "namespaces": ["shop", "shop.*"]}},
         "certificates": {"billing.example.com": {"namespaces": ["*"]}}}

    :param known: like this, which is what the file has.
    :param source: what this is called in errors.
    :raises ConfigurationError: if something in it is wrong; the message says where.
    """

    def __init__(self, known: Mapping[str, Any], *, source: str = "auth") -> None:
        sections = _sections(known, source)
        self._tokens = {
            name: _Known(_digest_of(entry, where), Identity(name, _namespaces(entry, where)))
            for name, entry, where in sections["tokens"]
        }
        self._certificates = {
            name: Identity(name, _namespaces(entry, where)) for name, entry, where in sections["certificates"]
        }
        if not self._tokens and not self._certificates:
            raise ConfigurationError(
                f"{source} names nobody: add a [tokens.NAME] ({_COMMAND} NAME NAMESPACE… makes one)"
            )
        # An unknown name is compared as well, with what no secret hashes to, so that it takes the same time.
        self._nobody = _Known(token_bytes(32), None)

    @classmethod
    def from_file(cls, path: str) -> Authenticator:
        """Read a TOML file; it is not looked at again.

        :raises ConfigurationError: if it cannot be read, or something in it is wrong.
        """
        try:
            known = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(f"auth file {path}: {error.strerror}") from None
        except ValueError as error:  # no UTF-8, or no TOML
            raise ConfigurationError(f"auth file {path} should be TOML: {error}") from None
        return cls(known, source=f"auth file {path}")

    def identify(self, token: str) -> Identity | None:
        """Whose token this is, ``name:secret``; None if it is nobody's. Takes the same time for all."""
        if len(token) > _MAX_TOKEN or not token.isascii():
            return None
        name, _, secret = token.partition(":")
        known = self._tokens.get(name, self._nobody)
        same = compare_digest(sha256(secret.encode("ascii")).digest(), known.digest)
        return known.identity if same and len(secret) >= MIN_SECRET else None

    def identify_certificate(self, names: Iterable[str]) -> Identity | None:
        """Whom a certificate with these names stands for, by the first that is known.

        Ask it only of certificates that an authority of your choice has signed.
        """
        return next((self._certificates[name] for name in names if name in self._certificates), None)


def new_token(name: str) -> tuple[str, str]:
    """A new token for this name, ``name:secret``, and the hash that stands for it in the file.

    :raises ConfigurationError: if the name is none.
    """
    _check_name(name, f"the name {name!r}")
    secret = token_urlsafe(32)
    return f"{name}:{secret}", sha256(secret.encode("ascii")).hexdigest()


def _sections(known: Mapping[str, Any], source: str) -> dict[str, list[tuple[str, Any, str]]]:
    """Name, entry and what to call it in errors, for all of both sections."""
    found: dict[str, list[tuple[str, Any, str]]] = {"tokens": [], "certificates": []}
    for section, entries in known.items():
        if section not in found or not isinstance(entries, Mapping):
            raise ConfigurationError(
                f"{source}: {section!r} should be a [tokens.NAME] or a [certificates.NAME]"
            )
        allowed = {"namespaces", "sha256"} if section == "tokens" else {"namespaces"}
        for name, entry in entries.items():
            where = f"{source}: [{section}.{name}]"
            if section == "tokens":
                _check_name(name, where)
            if not isinstance(entry, Mapping):
                raise ConfigurationError(f"{where} should be a table with {_and(allowed)}")
            if entry.keys() - allowed:
                raise ConfigurationError(
                    f"{where} has {_and(entry.keys() - allowed)}, which stands for nothing: "
                    f"it should have {_and(allowed)}"
                )
            found[section].append((name, entry, where))
    return found


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where}: a name should be 1 to 100 letters, digits, dots, hyphens and underscores, and begin "
            "with a letter or digit"
        )


def _digest_of(entry: Mapping[str, Any], where: str) -> bytes:
    text = entry.get("sha256")
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        # It is not repeated here: somebody may have written the token itself.
        raise ConfigurationError(
            f"{where}: sha256 should be the 64 hexadecimal digits that {_COMMAND} NAME prints"
        )
    return bytes.fromhex(text)


def _namespaces(entry: Mapping[str, Any], where: str) -> tuple[str, ...]:
    names = entry.get("namespaces")
    if not isinstance(names, (list, tuple)) or not names:
        raise ConfigurationError(f'{where}: namespaces should be a list, like ["shop", "shop.*"] or ["*"]')
    for name in names:
        if not isinstance(name, str) or not _is_pattern(name):
            raise ConfigurationError(
                f"{where}: {name!r} in namespaces should be a namespace, or prefix.* or * for several"
            )
    return tuple(names)


def _is_pattern(text: str) -> bool:
    stem = text.removesuffix(".*") if text != "*" else "all"
    return bool(stem) and "*" not in stem and "/" not in stem and stem.isprintable() and " " not in stem


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(names))


def main(arguments: list[str]) -> int:
    """Print a new token and the lines of the file that let it in."""
    if not arguments or arguments[0].startswith("-"):
        print(f"usage: {_COMMAND} NAME [NAMESPACE…]", file=sys.stderr)
        return 2
    name, *namespaces = arguments
    try:
        token, digest = new_token(name)
        Authenticator({"tokens": {name: {"sha256": digest, "namespaces": namespaces or ["*"]}}})
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    key = f'"{name}"' if "." in name else name
    print("# For the client, as auth=; it is secret, and is not shown again:")
    print(f"{token}\n")
    print("# For the server, in the file of --auth:")
    print(f"[tokens.{key}]")
    print(f'sha256 = "{digest}"')
    listed = ", ".join(_toml(name) for name in namespaces) or '"your.namespace"'
    print(f"namespaces = [{listed}]")
    return 0


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
