"""The HTTP gateway: ``POST /<namespace>/<function>.<format>`` with the arguments as the body.

::

    await server.listen_http("tcp:8080")                            # alone
    root.putChild(b"rpc", GatewayResource(server))                  # below /rpc in a site of your own

Formats are the content types by name: ``json``, ``clj``, ``msgpack``. Results come in the format of the call,
and everything else as a JSON object ``{"error": …, "message": …}``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from slacker import wire
from slacker.content import Codec
from slacker.server.http_site import GatewaySite, Refused, error_body, too_large
from slacker.server.peer import PeerInfo
from slacker.server.pipeline import EXCEPTION, SUCCESS, UNREADABLE, Outcome, told_of
from slacker.server.running import RunningCall
from slacker.tls import certificate_names, encrypted
from slacker.wire import ResultCode

if TYPE_CHECKING:
    from slacker.server.auth import Identity
    from slacker.server.service import SlackerServer

#: Operators' own: never answered here, to nobody.
_MANAGER = "slacker.cluster.manager"

_BUSY = int(ResultCode.THREAD_POOL_FULL)

#: Result code → status, name and sentence of the answer; bytes that are not to be read are 400.
_REFUSALS: Mapping[int, tuple[int, str, str]] = {
    ResultCode.NOT_FOUND: (404, "not-found", "there is no function {function}"),
    ResultCode.THREAD_POOL_FULL: (
        503,
        "thread-pool-full",
        "no more calls are taken now; {function} did not run",
    ),
    ResultCode.CANCELED: (504, "canceled", "{function} was canceled, or is past its deadline"),
    ResultCode.ACL_REJECT: (403, "acl-reject", "you may not call {function}"),
}
_INVALID = (400, "invalid-packet", "the call of {function} could not be read")

_CHALLENGE = 'Bearer realm="slacker"'

_WHERE = "functions are called by POST /<namespace>/<function>.<format>"


#: Whose token this is; None if it is nobody's. It compares in constant time.
Authenticate = Callable[[str], "Identity | None"]


class _Target(NamedTuple):
    """What a path names."""

    function: str
    format: str

    @property
    def namespace(self) -> str:
        return self.function.partition("/")[0]


class GatewayResource(Resource):
    """Answers calls over HTTP, at any place in a tree of resources.

    Twisted keeps the bodies of a site's requests before any resource sees them: in a site of your own it is
    the site that limits them, and this resource refuses those beyond ``max_frame`` when it gets them.

    :param authenticate: whose a bearer token is (``Authorization: Bearer …``); None: as the server's ``auth``
        says, if it has one (which may know the connection's certificate, too). With either every call needs a
        token; one that came neither over TLS nor from this machine is refused.
    """

    log = Logger()
    isLeaf = True

    def __init__(self, server: SlackerServer, authenticate: Authenticate | None = None) -> None:
        Resource.__init__(self)
        self._server = server
        if authenticate is None and server.auth is not None:
            authenticate = server.auth.identify
        self._authenticate = authenticate
        self._codecs = {codec.name: codec for codec in server.codecs.values()}

    def render(self, request: Request) -> int:
        """Twisted's name for: answer it."""
        try:
            self._call(request)
        except Refused as refused:
            for name, value in refused.headers.items():
                request.setHeader(name, value)
            _answer_error(request, refused.status, refused.error, refused.message)
        return NOT_DONE_YET

    def refusal(self, request: HTTPRequest) -> Refused | None:
        """Why whoever sends a request with these headers may call nothing; None if it is somebody who may."""
        if self._authenticate is not None:
            try:
                self._identity(self._authenticate, request, PeerInfo.at(request.getClientAddress()))
            except Refused as refused:
                return refused
        return None

    def _call(self, request: Request) -> None:
        target = _target(request.postpath or [])
        if request.method != b"POST":
            request.setHeader("allow", "POST, OPTIONS")
            if request.method != b"OPTIONS":
                raise Refused(405, "method-not-allowed", _WHERE)
            request.setResponseCode(204)
            request.finish()
            return
        _check_origin(request)
        peer = PeerInfo.at(request.getClientAddress())
        peer.software = "HTTP"
        if self._authenticate is not None:
            peer.identity = self._identity(self._authenticate, request, peer)
            if not peer.identity.may_call(target.namespace):
                raise Refused(403, "acl-reject", f"you may not call functions of {target.namespace}")
        codec = self._codecs.get(target.format)
        if codec is None:
            known = ", ".join(self._codecs)
            raise Refused(415, "unknown-format", f"format {target.format!r} should be one of {known}")
        most = self._server.limits.max_frame
        arguments = request.content.read(most + 1) if request.content is not None else b""
        if len(arguments) > most:
            raise too_large(most)
        _Exchange(self._server, request, codec, target.function, peer).begin(arguments)

    def _identity(self, identify: Authenticate, request: HTTPRequest, peer: PeerInfo) -> Identity:
        """Who has sent this, by the connection's certificate or the request's token."""
        auth = self._server.auth
        if auth is not None and encrypted(request.transport):
            identity = auth.identify_certificate(certificate_names(request.transport))
            if identity is not None:
                return identity
        scheme, _, token = (request.getHeader(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            raise Refused(401, "unauthenticated", "a bearer token is needed", www_authenticate=_CHALLENGE)
        if not (peer.loopback or request.isSecure()):
            raise Refused(
                403, "acl-reject", "tokens are taken over TLS only; others may have read this one: replace it"
            )
        identity = identify(token.strip().decode("ascii", "replace"))
        if identity is None:
            self.log.info("{peer} is not let in: its token is nobody's", peer=peer.address)
            challenge = f'{_CHALLENGE}, error="invalid_token"'
            raise Refused(401, "unauthenticated", "the bearer token is nobody's", www_authenticate=challenge)
        return identity


class _Exchange:
    """One request and its answer: what the call that it makes knows as its caller.

    Requests of one connection come one after the other, so that none has more than one call in flight.
    """

    def __init__(
        self, server: SlackerServer, request: Request, codec: Codec, function: str, peer: PeerInfo
    ) -> None:
        self._server = server
        self._request = request
        self._codec = codec
        self._function = function
        self._gone = False
        self.peer = peer
        self.calls: dict[object, RunningCall] = {}

    def begin(self, arguments: bytes) -> None:
        """Make the call, and answer when it has ended."""
        self._request.notifyFinish().addErrback(self._client_gone)
        call = wire.Request(0, self._codec.wire_id, self._function, arguments)
        outcome = self._server.execution.begin(self, call)
        if outcome is not None:
            self._answer(outcome)
        self._server.execution.wake()

    def call_finished(self, call: RunningCall, *, in_batch: bool = False) -> None:
        """Answer; there is nothing to gather for a batch."""
        del self.calls[call.key]
        self._answer(call.outcome)
        self._server.call_ended()

    def _client_gone(self, failure: Failure) -> None:
        self._gone = True
        for call in list(self.calls.values()):
            call.cancel()

    def _answer(self, outcome: Outcome) -> None:
        if self._gone:
            return
        code, data = outcome
        if code == SUCCESS:
            _answer(self._request, 200, self._codec.name, data)
        elif code == UNREADABLE:
            self._answer_exception(400, "invalid-arguments", data)
        elif code == EXCEPTION:
            self._answer_exception(500, "exception", data)
        else:
            if code == _BUSY:
                self._request.setHeader("retry-after", "1")
            status, error, message = _REFUSALS.get(code, _INVALID)
            _answer_error(self._request, status, error, message.format(function=self._function))

    def _answer_exception(self, status: int, error: str, data: bytes) -> None:
        text, stack_trace = told_of(self._codec, data)
        more = {"stacktrace": stack_trace} if stack_trace else {}
        _answer_error(self._request, status, error, text, **more)


def _target(path: list[bytes]) -> _Target:
    """The function and the format that a path, already percent-decoded, names."""
    try:
        text = b"/".join(path).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(400, "invalid-path", "the path should be UTF-8, percent-encoded") from None
    namespace, _, last = text.rpartition("/")
    name, dot, format_ = last.rpartition(".")
    if not namespace or not name or not dot:
        raise Refused(404, "not-found", _WHERE)
    target = _Target(f"{namespace}/{name}", format_)
    if target.namespace == _MANAGER:
        raise Refused(404, "not-found", f"there is no function {target.function}")
    return target


def _check_origin(request: Request) -> None:
    """Refuse what a page of another site makes a browser send: it comes from this machine, or from behind the
    firewall, or with the user's certificate. Other programs do not say where they are from.
    """
    origin = request.getHeader(b"origin")
    if origin is not None and origin.partition(b"://")[2] != request.getHeader(b"host"):
        raise Refused(403, "cross-origin", "pages of other sites may not call functions here")


def _answer_error(request: Request, status: int, error: str, message: str, **more: object) -> None:
    _answer(request, status, "json", error_body(error, message, **more))


def _answer(request: Request, status: int, format_: str, body: bytes) -> None:
    request.setResponseCode(status)
    request.setHeader("content-type", f"application/{format_}")
    request.setHeader("content-length", str(len(body)))
    request.write(body)
    request.finish()


def site(server: SlackerServer, authenticate: Authenticate | None = None) -> Site:
    """A site that is nothing but the gateway, with the limits of the server: bodies beyond ``max_frame``, and
    those of strangers beyond 64 KiB, are refused before they are kept, connections count as the server's, and
    slow ones are closed.

    :param authenticate: as for :class:`GatewayResource`.
    """
    resource = GatewayResource(server, authenticate)
    return GatewaySite(server, resource, resource.refusal)
