"""ZooKeeper's protocol as a client sees it, written apart from the server's, lest they share their errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import pack, unpack_from
from typing import Any, NamedTuple

Rule = tuple[int, str, str]

OPEN: Sequence[Rule] = ((31, "world", "anyone"),)
CREATOR: Sequence[Rule] = ((31, "auth", ""),)

STAT_FIELDS = (
    "czxid",
    "mzxid",
    "ctime",
    "mtime",
    "version",
    "cversion",
    "aversion",
    "ephemeral_owner",
    "data_length",
    "num_children",
    "pzxid",
)


def text(value: str) -> bytes:
    raw = value.encode()
    return pack(">i", len(raw)) + raw


def data(value: bytes | None) -> bytes:
    return pack(">i", -1) if value is None else pack(">i", len(value)) + value


def texts(values: Sequence[str]) -> bytes:
    return pack(">i", len(values)) + b"".join(map(text, values))


def rules(acl: Sequence[Rule]) -> bytes:
    return pack(">i", len(acl)) + b"".join(
        pack(">i", perms) + text(scheme) + text(id) for perms, scheme, id in acl
    )


class Question(NamedTuple):
    """A request: its operation's number, and its fields."""

    op: int
    body: bytes


def create(
    path: str, value: bytes | None = b"", flags: int = 0, acl: Sequence[Rule] = OPEN, *, op: int = 1
) -> Question:
    return Question(op, text(path) + data(value) + rules(acl) + pack(">i", flags))


def create_ttl(path: str, ttl: int, flags: int = 5) -> Question:
    return Question(21, create(path, b"", flags).body + pack(">q", ttl))


def delete(path: str, version: int = -1) -> Question:
    return Question(2, text(path) + pack(">i", version))


def exists(path: str, watch: bool = False) -> Question:
    return Question(3, text(path) + pack(">?", watch))


def get_data(path: str, watch: bool = False) -> Question:
    return Question(4, text(path) + pack(">?", watch))


def set_data(path: str, value: bytes | None, version: int = -1) -> Question:
    return Question(5, text(path) + data(value) + pack(">i", version))


def get_acl(path: str) -> Question:
    return Question(6, text(path))


def set_acl(path: str, acl: Sequence[Rule], version: int = -1) -> Question:
    return Question(7, text(path) + rules(acl) + pack(">i", version))


def get_children(path: str, watch: bool = False, *, op: int = 8) -> Question:
    return Question(op, text(path) + pack(">?", watch))


def get_children2(path: str, watch: bool = False) -> Question:
    return get_children(path, watch, op=12)


def sync(path: str) -> Question:
    return Question(9, text(path))


def ping() -> Question:
    return Question(11, b"")


def check(path: str, version: int) -> Question:
    return Question(13, text(path) + pack(">i", version))


def multi(*questions: Question) -> Question:
    body = b"".join(pack(">i?i", one.op, False, -1) + one.body for one in questions)
    return Question(14, body + pack(">i?i", -1, True, -1))


def check_watches(path: str, kind: int) -> Question:
    return Question(17, text(path) + pack(">i", kind))


def remove_watches(path: str, kind: int) -> Question:
    return Question(18, text(path) + pack(">i", kind))


def auth(scheme: str, credentials: bytes) -> Question:
    return Question(100, pack(">i", 0) + text(scheme) + data(credentials))


def set_watches(zxid: int, changed: Sequence[str], exist: Sequence[str], child: Sequence[str]) -> Question:
    return Question(101, pack(">q", zxid) + texts(changed) + texts(exist) + texts(child))


def set_watches2(
    zxid: int,
    reads: tuple[Sequence[str], Sequence[str], Sequence[str]],
    persistent: Sequence[str],
    recursive: Sequence[str],
) -> Question:
    return Question(105, set_watches(zxid, *reads).body + texts(persistent) + texts(recursive))


def add_watch(path: str, mode: int) -> Question:
    return Question(106, text(path) + pack(">i", mode))


def close() -> Question:
    return Question(-11, b"")


def connect(
    timeout: int = 10_000,
    session: int = 0,
    password: bytes = bytes(16),
    zxid: int = 0,
    read_only: bytes = b"\0",
) -> bytes:
    return pack(">iqiq", 0, zxid, timeout, session) + data(password) + read_only


# -- answers -----------------------------------------------------------------------------------------


class Answers:
    """Takes the fields of an answer off, in order."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def take(self, form: str, size: int) -> Any:
        (value,) = unpack_from(form, self.body)
        self.body = self.body[size:]
        return value

    def number(self) -> int:
        return int(self.take(">i", 4))

    def data(self) -> bytes | None:
        length = self.number()
        if length < 0:
            return None
        value, self.body = self.body[:length], self.body[length:]
        assert len(value) == length
        return value

    def text(self) -> str:
        return (self.data() or b"").decode()

    def texts(self) -> list[str]:
        return [self.text() for _ in range(self.number())]

    def rules(self) -> list[Rule]:
        return [(self.number(), self.text(), self.text()) for _ in range(self.number())]

    def stat(self) -> dict[str, int]:
        values = unpack_from(">qqqqiiiqiiq", self.body)
        self.body = self.body[68:]
        return dict(zip(STAT_FIELDS, values, strict=True))

    def multi(self) -> list[Any]:
        results: list[Any] = []
        while True:
            op, done, code = self.number(), self.take(">?", 1), self.number()
            if done:
                assert (op, code) == (-1, -1)
                return results
            if op == -1:
                results.append(("error", self.number()))
            else:
                assert code == 0
                results.append((op, *_READ.get(op, _nothing)(self)))


def _nothing(_: Answers) -> list[Any]:
    return []


_READ: dict[int, Callable[[Answers], Sequence[Any]]] = {
    1: lambda answer: [answer.text()],
    3: lambda answer: [answer.stat()],
    4: lambda answer: [answer.data(), answer.stat()],
    5: lambda answer: [answer.stat()],
    6: lambda answer: [answer.rules(), answer.stat()],
    7: lambda answer: [answer.stat()],
    8: lambda answer: [sorted(answer.texts())],
    9: lambda answer: [answer.text()],
    12: lambda answer: [sorted(answer.texts()), answer.stat()],
    14: lambda answer: answer.multi(),
    15: lambda answer: [answer.text(), answer.stat()],
    19: lambda answer: [answer.text(), answer.stat()],
    21: lambda answer: [answer.text(), answer.stat()],
    106: lambda answer: [answer.number()],
}


class Answer(NamedTuple):
    """A reply: header and what the operation returned, empty where it failed."""

    xid: int
    zxid: int
    code: int
    values: tuple[Any, ...]


class Event(NamedTuple):
    """The report of a watch."""

    type: int
    path: str


def read_answer(frame: bytes, op: int) -> Answer:
    """A reply to a request of this operation; every byte of it must belong to it."""
    xid, zxid, code = unpack_from(">iqi", frame)
    rest = Answers(frame[16:])
    values = () if code else tuple(_READ.get(op, _nothing)(rest))
    assert rest.body == b"", f"{len(rest.body)} bytes too many in the answer to {op}"
    return Answer(xid, zxid, code, values)


def read_event(frame: bytes) -> Event | None:
    """The event, if the frame is one."""
    if unpack_from(">i", frame) != (-1,):
        return None
    _, _, code = unpack_from(">iqi", frame)
    rest = Answers(frame[16:])
    kind, state = rest.number(), rest.number()
    assert (code, state) == (0, 3)
    event = Event(kind, rest.text())
    assert rest.body == b""
    return event


class Welcome(NamedTuple):
    """The reply to a connect."""

    timeout: int
    session: int
    password: bytes
    read_only: bytes


def read_welcome(frame: bytes) -> Welcome:
    _, timeout, session = unpack_from(">iiq", frame)
    rest = Answers(frame[16:])
    return Welcome(timeout, session, rest.data() or b"", rest.body)
