import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.serving.frame_parser import FrameParser, FrameReader

SIZES = st.sampled_from([0, 1, 7, 8, 9, 125, 126, 300, 65_536])


def server() -> tuple[FrameParser, FrameReader]:
    parser = FrameParser(ServerProtocol(), State.OPEN)
    return parser, parser.reader


ASKED = {
    "Host": "a",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
    "Sec-WebSocket-Protocol": "chat",
    "Sec-WebSocket-Extensions": "permessage-deflate",
}


@pytest.mark.parametrize(
    "wrong", [{}, *({name: value} for name in ASKED for value in ("", "x")), {"Sec-WebSocket-Key": "eA=="}]
)
def test_a_handshake_is_answered_as_the_library_does_but_for_the_date(wrong: dict[str, str]) -> None:
    request = Request("/", Headers({**ASKED, **wrong}))
    theirs = ServerProtocol().accept(request)
    ours = FrameParser(ServerProtocol(), State.CONNECTING).accept(request)
    for answer in (theirs, ours):
        del answer.headers["Date"]
    assert ours.serialize() == theirs.serialize()


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
