"""Where the HTTP gateway listens: connections and requests that are held to the server's limits.

Twisted keeps a whole body, in files where it is large, before a resource sees the request, and closes slow
clients by the time between two reads. Here a body is refused before it is kept, and a request has to come as
fast as a frame of the protocol's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from twisted.copyright import version as twisted_version
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from slacker.server.peer import PeerInfo
from slacker.tls import handshake_failed, reason_of

if TYPE_CHECKING:
    from slacker.server.service import SlackerServer

#: Earlier Twisteds mix up the answers to requests that come in one go (CVE-2023-46137, CVE-2024-41671).
KEEPS_ORDER = tuple(map(int, twisted_version.split(".")[:2])) >= (24, 7)

#: Bytes of a body that are kept of who may not call anything.
STRANGERS_BODY = 64 * 1024

#: Digits of a length that nobody means; Python refuses to read a few thousand of them.
_LONGEST_LENGTH = 18


def error_body(error: str, message: str, **more: object) -> bytes:
    """What every answer that is no result says: a JSON object."""
    return json.dumps({"error": error, "message": message, **more}).encode("ascii")


class Refused(Exception):
    """Why a request is not a call.

    :ivar headers: what else the answer says, with underscores for hyphens.
    """

    def __init__(self, status: int, error: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def too_large(most: int) -> Refused:
    """Why a body is refused."""
    return Refused(413, "too-large", f"arguments may have {most} bytes; call with less at a time")


#: Why whoever sends a request with these headers may call nothing; None if it is somebody who may.
Refusal = Callable[[HTTPRequest], "Refused | None"]


class GatewayChannel(HTTPChannel):
    """One connection of an HTTP client; requests on it are answered one after the other."""

    log = Logger()
    transport: Any  # TCP, TLS, or in memory

    def __init__(self, server: SlackerServer, refusal: Refusal) -> None:
        HTTPChannel.__init__(self)
        self._server = server
        self.refusal = refusal
        self.limits = server.limits
        self._begun = False  # bytes of the next request have come
        self._busy = False  # with a request that has come as a whole
        self._refused = False  # nothing of what comes is read any more
        self._looks = 0  # at which the next request was awaited, or the end
        self._client_reads = True
        self._unsent = 0  # bytes of answers, since the client stopped to read

    # What Twisted calls

    def connectionMade(self) -> None:
        HTTPChannel.connectionMade(self)
        self.peer = PeerInfo.at(self.transport.getPeer())
        self.peer.software = "HTTP"
        self._server.connected(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if handshake_failed(reason):
            self.log.info("{peer} is not served: {reason}", peer=self.peer.address, reason=reason_of(reason))
        HTTPChannel.connectionLost(self, reason)
        self._server.disconnected(self)

    def dataReceived(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._begun and not self._busy:
            self._begun = True
            self._looks = 0
        HTTPChannel.dataReceived(self, data)

    # One read may hold more than what was refused.

    def lineReceived(self, line: bytes) -> None:
        if not self._refused:
            HTTPChannel.lineReceived(self, line)

    def rawDataReceived(self, data: bytes) -> None:
        if not self._refused:
            HTTPChannel.rawDataReceived(self, data)

    def headerReceived(self, line: bytes) -> bool:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and len(value.strip()) > _LONGEST_LENGTH:
            self.refuse(too_large(self.limits.max_frame))
            return False
        return bool(HTTPChannel.headerReceived(self, line))

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        if KEEPS_ORDER:
            return bool(HTTPChannel.checkPersistence(self, request, version))
        request.setHeader(b"connection", b"close")
        return False

    def allContentReceived(self) -> None:
        if self._refused:
            return
        self._begun = False
        self._busy = True
        HTTPChannel.allContentReceived(self)

    def requestDone(self, request: Request) -> None:
        self._busy = False
        self._looks = 0
        HTTPChannel.requestDone(self, request)
        if self._unsent > self.limits.max_unsent:
            self.log.warn(
                "closing {peer}: it does not read its answers, of which {count} bytes wait",
                peer=self.peer.address,
                count=self._unsent,
            )
            self._refused = True
            self.transport.abortConnection()

    def pauseProducing(self) -> None:
        self._client_reads = False
        HTTPChannel.pauseProducing(self)

    def resumeProducing(self) -> None:
        self._client_reads = True
        self._unsent = 0
        self._looks = 0
        HTTPChannel.resumeProducing(self)

    def write(self, data: bytes) -> None:
        waiting = not self._client_reads
        HTTPChannel.write(self, data)
        if waiting:
            # Requests that came in one read are all answered, whether the answers are read or not.
            self._unsent += len(data)

    # What the server calls

    def look(self) -> None:
        """Close a client that has been in the middle of a request, or idle, for as long as ``frame_timeout``.

        Between the first of three looks and the last there is that much.
        """
        if self._busy or not self._client_reads:
            return
        self._looks += 1
        if self._looks < 3:
            return
        if self._refused:
            self.transport.abortConnection()
        elif self._begun:
            within = f"{self.limits.frame_timeout:g} seconds"
            self.refuse(Refused(408, "timeout", f"a request has to come within {within}"))
        else:
            self._refused = True
            self.close()

    def close(self) -> None:
        """Close after what has been written."""
        HTTPChannel.loseConnection(self)

    # Refusals

    def refuse(self, refused: Refused) -> None:
        """Answer a request that has not come as a whole; what comes yet is dropped.

        The client is left to close the connection: were that done here while it still sends, its system would
        throw the answer away. Who does not, is closed at the third look from now.
        """
        self.log.info("refusing {peer}: {reason}", peer=self.peer.address, reason=refused.message)
        self._refused = True
        self._looks = 0
        body = error_body(refused.error, refused.message)
        head = [
            f"HTTP/1.1 {refused.status} {RESPONSES[refused.status].decode()}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *[f"{name}: {value}" for name, value in refused.headers.items()],
        ]
        self.write("\r\n".join([*head, "", ""]).encode("ascii") + body)


class GatewayRequest(Request):
    """A request whose body is refused before it is kept, if it is too large, or large and a stranger's."""

    channel: GatewayChannel
    content: Any  # a file in memory

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        self._room = self.channel.limits.max_frame
        self._why = too_large(self._room)
        if (length is None or length > STRANGERS_BODY) and self._room > STRANGERS_BODY:
            stranger = self.channel.refusal(self)
            if stranger is not None:
                self._room = STRANGERS_BODY
                self._why = stranger
        if length is not None and length > self._room:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if self._room < 0:
            return
        self._room -= len(data)
        if self._room < 0:
            self._refuse()
        else:
            self.content.write(data)

    def _refuse(self) -> None:
        self._room = -1
        self.content = BytesIO()
        self.requestHeaders.removeHeader(b"expect")  # else Twisted would ask for the body
        self.channel.refuse(self._why)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        # curl says of every body that it is a form, and Twisted would take it apart as one.
        self.requestHeaders.removeHeader(b"content-type")
        Request.requestReceived(self, command, path, version)


class GatewaySite(Site):
    """The factory of these connections. HTTP/1 only, and no access log."""

    noisy = False

    def __init__(self, server: SlackerServer, resource: IResource, refusal: Refusal) -> None:
        Site.__init__(self, resource)
        self._server = server
        self._refusal = refusal

    def buildProtocol(self, addr: IAddress | None) -> Any:
        refusal = self._server.refusal()
        if refusal is not None:
            return refusal
        channel: Any = GatewayChannel(self._server, self._refusal)
        channel.factory = channel.site = self
        channel.requestFactory = GatewayRequest
        return channel

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]

    # Twisted's own keep the time for the access log, once a second.

    def startFactory(self) -> None:
        pass

    def stopFactory(self) -> None:
        pass

    def log(self, request: HTTPRequest) -> None:
        pass
