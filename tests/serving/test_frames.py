import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gateway.serving import frames

SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])


@given(SIZES)
def test_a_client_reads_what_we_write(size: int) -> None:
    client = ClientProtocol(parse_uri("ws://gateway"), state=State.OPEN)
    client.receive_data(frames.text(b"x" * size))
    (frame,) = client.events_received()
    assert frame == Frame(Opcode.TEXT, b"x" * size)


@given(SIZES, st.sampled_from([Opcode.TEXT, Opcode.BINARY]), st.booleans())
def test_we_read_what_a_client_would_write(size: int, opcode: Opcode, fin: bool) -> None:
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(frames.masked(b"x" * size, opcode, fin=fin))
    (frame,) = server.events_received()
    assert frame == Frame(opcode, b"x" * size, fin)


@given(st.binary(max_size=12) | st.text(max_size=6).map(str.encode), st.integers(1, 4))
def test_text_is_utf8_wherever_it_is_cut(data: bytes, slice: int) -> None:
    try:
        expected = bool(data.decode()) or True
    except UnicodeDecodeError:
        expected = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "_SLICE", slice)
        assert frames.is_utf8(data) is expected
