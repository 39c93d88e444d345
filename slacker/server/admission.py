"""The door of a server that wants to know its clients: what one peer may do before it has said who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from slacker.server.peer import PeerInfo
from slacker.tls import certificate_names, encrypted
from slacker.wire import AuthAck, AuthRequest, Error, Frame, Malformed, ResultCode, encode

if TYPE_CHECKING:
    from slacker.server.auth import Authenticator, Identity
    from slacker.server.service import SlackerServer

#: Tokens that a peer may get wrong before it is closed: enough for a mistake, and each costs it a wait.
MOST_FAILURES = 3
#: Seconds before it hears that one was wrong, in which it is not read either.
FAILURE_DELAY = 0.5

#: Bytes of the largest frame that a peer may send before it is let in: a hello, with two texts of 65,535.
STRANGERS_FRAME = 6 + 2 * (2 + 65_535)

_ACCEPTED, _REJECTED = 0, 1


class Door(Protocol):
    """The connection that is guarded."""

    peer: PeerInfo
    transport: Any

    def let_in(self, identity: Identity) -> None:
        """Serve this one."""

    def say(self, data: bytes) -> None:
        """Write this."""

    def hold(self, held: bool) -> None:
        """Read nothing, or go on."""

    def close(self) -> None:
        """Close after what has been written."""


class Admission:
    """Lets one peer in, by its certificate or its token."""

    log = Logger()

    def __init__(self, door: Door, server: SlackerServer, authenticator: Authenticator) -> None:
        self._door = door
        self._server = server
        self._authenticator = authenticator
        self._failures = 0
        self._waiting: list[bytes] = []  # answers to wrong tokens
        self._timer: IDelayedCall | None = None

    def handshake_completed(self) -> None:
        """Who has shown a certificate that the server's authorities signed needs no token."""
        identity = self._authenticator.identify_certificate(certificate_names(self._door.transport))
        if identity is not None:
            self._let_in(identity)

    def handles(self, frame: Frame) -> bool:
        """Deal with a frame that concerns this: a token, or what comes from nobody in particular."""
        if isinstance(frame, AuthRequest):
            if self._failures < MOST_FAILURES:
                self._authenticate(frame)
            return True
        if self._door.peer.identity is not None or isinstance(frame, Malformed):
            return False
        self._door.say(encode(Error(frame.tid, ResultCode.ACL_REJECT, frame.version)))
        return True

    def stop(self) -> None:
        """The connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _let_in(self, identity: Identity) -> None:
        self._door.let_in(identity)
        self.log.info("{peer} is {name}", peer=self._door.peer.address, name=identity.name)

    def _authenticate(self, frame: AuthRequest) -> None:
        peer = self._door.peer
        if not peer.loopback and not encrypted(self._door.transport):
            self._fail(
                Error(frame.tid, ResultCode.ACL_REJECT, frame.version),
                "it sent a token without TLS, for everybody on the way to read",
            )
            return
        identity = self._authenticator.identify(frame.token)
        if identity is None:
            self._fail(AuthAck(frame.tid, _REJECTED, frame.version), "its token is nobody's")
            return
        self._let_in(identity)
        self._door.say(encode(AuthAck(frame.tid, _ACCEPTED, frame.version)))

    def _fail(self, answer: Error | AuthAck, reason: str) -> None:
        self.log.warn("{peer} is not let in: {reason}", peer=self._door.peer.address, reason=reason)
        self._failures += 1
        self._waiting.append(encode(answer))
        if self._timer is None:
            self._timer = self._server.call_later(FAILURE_DELAY, self._answer)
            self._door.hold(True)

    def _answer(self) -> None:
        self._timer = None
        self._door.hold(False)
        self._door.say(b"".join(self._waiting))
        self._waiting.clear()
        if self._failures >= MOST_FAILURES:
            self.log.warn("closing {peer}: too many wrong tokens", peer=self._door.peer.address)
            self._door.close()
