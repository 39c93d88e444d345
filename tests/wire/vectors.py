"""The frames that the real Clojure implementation wrote: one table for both directions."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    ContentType,
    Error,
    Frame,
    InspectAck,
    InspectCommand,
    InspectRequest,
    Interrupt,
    Ping,
    Pong,
    Request,
    Response,
    ResultCode,
    ServerHello,
)

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "frames.json").read_text(encoding="utf-8")
)


def _named(enum: type[ContentType] | type[ResultCode] | type[InspectCommand], name: str) -> int:
    return int(enum[name.upper().replace("-", "_")])


def _data(entry: dict[str, Any]) -> bytes:
    if "data_len" in entry:
        return b"x" * int(entry["data_len"])
    text = entry["data"] or ""
    if "data_cut" in entry:  # a run of one byte, of which the file holds the beginning
        return bytes.fromhex(text[:2]) * (int(entry["data_cut"]) // 2)
    return bytes.fromhex(text)


def frame_of(entry: dict[str, Any]) -> Frame:
    """The frame that an entry's fields describe."""
    tid, version, kind = entry["tid"], entry["version"], entry["type"]
    extensions = tuple((number, bytes.fromhex(value)) for number, value in entry.get("extensions") or ())
    if kind == "type-request":
        content_type = _named(ContentType, entry["content_type"])
        return Request(tid, content_type, entry["fname"], _data(entry), extensions, version)
    if kind == "type-response":
        content_type = _named(ContentType, entry["content_type"])
        code = _named(ResultCode, entry["code"])
        return Response(tid, content_type, code, _data(entry), extensions, version)
    if kind == "type-ping":
        return Ping(tid, version)
    if kind == "type-pong":
        return Pong(tid, version)
    if kind == "type-error":
        return Error(tid, _named(ResultCode, entry["code"]), version)
    if kind == "type-auth-req":
        return AuthRequest(tid, entry["credentials"], version)
    if kind == "type-auth-ack":
        return AuthAck(tid, {"auth-ok": 0, "auth-reject": 1}[entry["ack"]], version)
    if kind == "type-inspect-req":
        return InspectRequest(tid, _named(InspectCommand, entry["cmd"]), _data(entry), version)
    if kind == "type-inspect-ack":
        return InspectAck(tid, _data(entry), version)
    if kind == "type-interrupt":
        return Interrupt(entry["target_tid"], tid, version)
    if kind == "type-client-hello":
        return ClientHello(entry["client_version"] or "", entry["client_name"] or "", tid, version)
    assert kind == "type-server-hello", kind
    return ServerHello(entry["server_version"] or "", tid, version)


def is_encodable(entry: dict[str, Any]) -> bool:
    """Whether the real encoder wrote this entry as given: not refused, nothing cut, no letter replaced."""
    return (
        "encode_error" not in entry
        and "data_len" not in entry  # 65,536 bytes written with a length of 0
        and str(entry.get("credentials", "")).isascii()  # "café" written as "caf?"
    )


def matches(entry: dict[str, Any], data: bytes) -> bool:
    """Whether ``data`` is what the real encoder wrote; of long frames the file holds length and digest."""
    if "hex" in entry:
        return data.hex() == str(entry["hex"])
    return (len(data), sha256(data).hexdigest()) == (int(entry["hex_bytes"]), str(entry["hex_sha256"]))


#: The entries that stand for one frame and its bytes.
FRAMES: list[dict[str, Any]] = [entry for entry in VECTORS["encode"] if is_encodable(entry)]

#: Those that the real encoder refused or wrote wrongly.
REFUSED: list[dict[str, Any]] = [entry for entry in VECTORS["encode"] if not is_encodable(entry)]

#: Input that its decoder met, and what it did.
ODD: dict[str, bytes] = {entry["name"]: bytes.fromhex(entry["hex"]) for entry in VECTORS["decode_odd"]}
