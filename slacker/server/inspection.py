"""The answers to inspect requests: which functions, what about one, which clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from slacker.content import dumps, loads
from slacker.content.values import Keyword, List
from slacker.errors import ContentError
from slacker.wire import Error, InspectAck, InspectCommand, InspectRequest, ResultCode, encode

if TYPE_CHECKING:
    from slacker.server.auth import Identity
    from slacker.server.service import SlackerServer

_log = Logger()

_MAX_ANSWER = 65_535  # an inspect answer's length is written in 16 bits


def inspect(server: SlackerServer, frame: InspectRequest, identity: Identity | None = None) -> bytes:
    """The frame that answers ``frame``: its argument and its answer are EDN, whatever the calls use.

    :param identity: who asks; it hears of the namespaces that it may call, and of other clients if those are
        all. None hears of everything.
    """
    try:
        argument = loads("clj", frame.data) if frame.data else None
        if argument is not None and not isinstance(argument, str):
            raise ContentError(
                f"an inspect argument should be a string or nil, not {type(argument).__name__}"
            )
        if frame.command == InspectCommand.FUNCTIONS:
            names = server.functions.names(argument or "")
            answer = dumps("clj", _cut([name for name in names if _may_see(identity, name)]))
        elif frame.command == InspectCommand.META:
            name = argument or ""
            if not _may_see(identity, name):
                return encode(Error(frame.tid, ResultCode.ACL_REJECT, frame.version))
            function = server.functions.find(name)
            answer = dumps("clj", function.metadata if function else {})
        elif frame.command == InspectCommand.CLIENTS:
            if not (identity is None or "*" in identity.namespaces):
                return encode(Error(frame.tid, ResultCode.ACL_REJECT, frame.version))
            answer = dumps("clj", _clients(server))
        else:
            raise ContentError(f"inspect command {frame.command} is unknown")
        if len(answer) > _MAX_ANSWER:
            raise ContentError(f"an inspect answer of {len(answer)} bytes does not fit in {_MAX_ANSWER}")
    except ContentError as error:
        _log.warn("refused an inspect request: {reason}", reason=str(error))
        return encode(Error(frame.tid, ResultCode.INVALID_PACKET, frame.version))
    return encode(InspectAck(frame.tid, answer, frame.version))


def _may_see(identity: Identity | None, name: str) -> bool:
    return identity is None or identity.may_call(name.partition("/")[0])


def _clients(server: SlackerServer) -> dict[Keyword, Any]:
    clients = [
        {
            Keyword("addr"): "/" + connection.peer.address,
            Keyword("name"): connection.peer.name,
            Keyword("version"): connection.peer.software,
            Keyword("connected-on"): connection.peer.connected_on,
        }
        for connection in server.connections
    ]
    return {
        Keyword("connected-clients"): _cut(clients),
        Keyword("started-on"): server.started_on,
        Keyword("version"): server.software,
    }


def _cut(items: list[Any]) -> List[Any]:
    """As many of the first items as fit into an answer, with a line in the log if some do not."""
    room = _MAX_ANSWER - 1_024  # for what stands around the list
    for count, item in enumerate(items):
        room -= len(dumps("clj", item)) + 1
        if room < 0:
            _log.warn("an inspect answer holds {count} of {all} entries", count=count, all=len(items))
            return List(items[:count])
    return List(items)
