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


@given(SIZES, st.booleans())
def test_we_read_what_a_client_would_write_and_know_its_size(size: int, binary: bool) -> None:
    wire = frames.masked(b"x" * size if binary else "x" * size)
    server = ServerProtocol(state=State.OPEN)
    server.receive_data(wire)
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, bytes(frame.data)) == (Opcode.BINARY if binary else Opcode.TEXT, b"x" * size)
    assert frames.wire_size(frame) == len(wire)
