from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from gateway.serving.frame_parser import FrameParser, FrameReader

SIZES = st.sampled_from([0, 1, 7, 8, 9, 125, 126, 300, 65_536])


def server() -> tuple[FrameParser, FrameReader]:
    parser = FrameParser(state=State.OPEN)
    return parser, parser.reader


@given(st.lists(SIZES, min_size=1, max_size=4), st.data())
@settings(deadline=None)
def test_what_is_behind_the_last_whole_frame_is_known_to_the_byte(sizes: list[int], data: st.DataObject) -> None:
    frames = [Frame(Opcode.BINARY, bytes([number]) * size) for number, size in enumerate(sizes)]
    wire = [frame.serialize(mask=True) for frame in frames]
    stream, ends = b"".join(wire), [0]
    for each in wire:
        ends.append(ends[-1] + len(each))
    protocol, reader = server()
    before, got = 0, []
    for cut in sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=8)) | {len(stream)}):
        protocol.receive_data(stream[before:cut])
        got += protocol.events_received()
        last = max(end for end in ends if end <= cut)
        assert reader.unparsed() == stream[last:cut] and reader.partial == cut - last
        before = cut
    assert got == frames


def test_a_payload_that_came_alone_is_not_copied() -> None:
    protocol, reader = server()
    wire = Frame(Opcode.BINARY, b"x" * 100_000).serialize(mask=True)
    protocol.receive_data(wire[:-1])
    held = reader.buffer
    taken = reader.read_exact(len(held))
    try:
        next(taken)
    except StopIteration as end:
        assert end.value is held and reader.buffer == b""
