"""Everything that can go wrong, as one tree.

::

    SlackerError
    ├── ProtocolError        bytes that are no slacker frame, or a frame that cannot be written
    ├── ContentError         a value that cannot be written, or a payload that cannot be read
    ├── ConfigurationError   a wrong option, address, module or mapping, found before anything runs
    ├── CallError            a call that brought no result
    │   ├── NotSent          it certainly did not run: nothing of it left this process
    │   │   └── BacklogOverflow   too many calls were waiting already
    │   ├── ConnectionLost   it may or may not have run: the connection broke before the answer
    │   ├── CallTimeout      it may or may not have run: no answer came in time
    │   ├── Canceled         result code 14: interrupted, or past its deadline
    │   ├── RemoteError      result code 12: the function raised
    │   ├── FunctionNotFound result code 11: the server has no such function
    │   ├── ServerBusy       result code 13: the server took no more work; the call did not run
    │   ├── AccessDenied     result code 22
    │   ├── PeerProtocolError    result codes 20 and 21: the server could not read the call
    │   ├── Unavailable      no server that could be asked is known and connected
    │   └── ClusterError     several servers were asked, and their answers make a failure
    └── ZookeeperError       what ZooKeeper refused, or that it is out of reach
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slacker.cluster.merging import Outcome


class SlackerError(Exception):
    """The root of everything this package raises."""


class ProtocolError(SlackerError):
    """Bytes that cannot be a slacker frame, or a frame that the format cannot hold.

    :ivar frames: the good frames that came before the bad one in the same read.
    :ivar version: the protocol version an answer should be written in.
    :ivar tid: the transaction id an answer should carry; 0 where none could be read.
    :ivar code: the result code that tells the peer (20 protocol-mismatch or 21 invalid-packet).
    """

    def __init__(
        self, message: str, *, frames: Sequence[Any] = (), version: int = 6, tid: int = 0, code: int = 21
    ) -> None:
        super().__init__(message)
        self.frames = list(frames)
        self.version = version
        self.tid = tid
        self.code = code


class ContentError(SlackerError, ValueError):
    """A value that a content type cannot carry, or a payload that is not of its content type.

    :ivar path: where the element that cannot be written stands in the value, like ``[0]["when"]``; empty for
        the value itself; None where that is not known.
    :ivar reason: what is wrong with it, beginning with a verb; empty where the message says all.
    """

    path: str | None = None
    reason = ""


class ConfigurationError(SlackerError, ValueError):
    """A wrong option, address, module or mapping; the message says which, where, and what to do."""


class CallError(SlackerError):
    """A call that brought no result.

    :ivar server: ``host:port`` of the server that was asked; empty where none was.
    :ivar function: ``namespace/function`` as it was asked for; empty where unknown.
    """

    def __init__(self, message: str, *, server: str = "", function: str = "") -> None:
        super().__init__(message)
        self.server = server
        self.function = function


class NotSent(CallError):
    """The call certainly did not run: nothing of it left this process. Calling again is safe."""


class BacklogOverflow(NotSent):
    """The call was refused here, because too many calls were waiting for answers already."""


class ConnectionLost(CallError):
    """The connection broke after the call may have left: it may or may not have run."""


class CallTimeout(CallError):
    """No answer came within the call's timeout: it may or may not have run."""


class Canceled(CallError):
    """Result code 14: the call was interrupted, or was past its deadline."""


class RemoteError(CallError):
    """Result code 12: the function was called and raised.

    :ivar remote_message: what the server said about the exception, ``str`` of it as a rule.
    :ivar remote_traceback: the remote stack trace, one line per frame; empty unless the server is in debug
        mode.
    """

    def __init__(
        self,
        message: str,
        *,
        remote_message: str,
        remote_traceback: str = "",
        server: str = "",
        function: str = "",
    ) -> None:
        super().__init__(message, server=server, function=function)
        self.remote_message = remote_message
        self.remote_traceback = remote_traceback


class FunctionNotFound(CallError):
    """Result code 11: the server exposes no function of this name."""


class ServerBusy(CallError):
    """Result code 13: the server takes no more work (full, or draining); the call did not run."""


class AccessDenied(CallError):
    """Result code 22: the server does not let this client make this call."""


class PeerProtocolError(CallError):
    """Result codes 20 and 21: the server could not read what it was sent."""


class Unavailable(CallError):
    """No server of the namespace is known and connected (or none was within the call's timeout)."""


class ClusterError(CallError):
    """Several servers were asked, and by the rule of ``grouping_exceptions`` their answers make a failure.

    :ivar outcomes: one per server asked: its address, its value or its error, and the seconds it took.
    """

    def __init__(self, message: str, *, outcomes: Sequence[Outcome], function: str = "") -> None:
        super().__init__(message, function=function)
        self.outcomes = list(outcomes)


class ZookeeperError(SlackerError):
    """What ZooKeeper refused, or that it is out of reach."""
