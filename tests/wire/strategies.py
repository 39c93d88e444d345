"""Hypothesis strategies for frames and for the ways in which a stream can be cut into reads."""

from __future__ import annotations

from hypothesis import strategies as st

from slacker.wire import (
    AuthAck,
    AuthRequest,
    ClientHello,
    Error,
    Frame,
    InspectAck,
    InspectRequest,
    Interrupt,
    Ping,
    Pong,
    Request,
    Response,
    ServerHello,
)

_tids = st.integers(-(2**31), 2**31 - 1)
_bytes = st.integers(-128, 127)
_texts = st.text(max_size=20)  # without lone surrogates, which UTF-8 cannot hold
_blobs = st.binary(max_size=40)
_versions = st.sampled_from([5, 6])
_extensions = st.lists(st.tuples(st.integers(-(2**15), 2**15 - 1), _blobs), max_size=4).map(tuple)


def _call_frames(version: int) -> st.SearchStrategy[Frame]:
    extensions = _extensions if version == 6 else st.just(())
    return st.one_of(
        st.builds(Request, _tids, _bytes, _texts, _blobs, extensions, st.just(version)),
        st.builds(Response, _tids, _bytes, _bytes, _blobs, extensions, st.just(version)),
    )


#: Any frame that can be encoded.
frames: st.SearchStrategy[Frame] = st.one_of(
    _versions.flatmap(_call_frames),
    st.builds(Ping, _tids, _versions),
    st.builds(Pong, _tids, _versions),
    st.builds(Error, _tids, _bytes, _versions),
    st.builds(AuthRequest, _tids, st.text(st.characters(max_codepoint=127), max_size=20), _versions),
    st.builds(AuthAck, _tids, _bytes, _versions),
    st.builds(InspectRequest, _tids, _bytes, _blobs, _versions),
    st.builds(InspectAck, _tids, _blobs, _versions),
    st.builds(Interrupt, _tids, _tids, _versions),
    st.builds(ClientHello, _texts, _texts, _tids),
    st.builds(ServerHello, _texts, _tids),
)

#: Bytes that are likely to be nearly a frame: pieces of frames, lengths and noise in any order.
noise: st.SearchStrategy[bytes] = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from(
            [b"\x06\0\0\0\x01", b"\x05\0\0\0\x01", b"\0\0\0\x02", b"\0", b"\x02", b"\x7f", b"\xff" * 4]
        ),
        st.integers(0, 11).map(lambda kind: b"\x06\0\0\0\x01" + bytes([kind])),
    ),
    max_size=12,
).map(b"".join)
