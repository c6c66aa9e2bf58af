import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.text.unicode import (
    MAX_LEVELS,
    REPLACEMENT,
    SurrogateJoiner,
    well_formed,
    well_formed_json,
    well_formed_value,
)
from tests.effort import examples
from tests.slack import slack

HIGH, LOW, EMOJI = "\ud83d", "\ude00", "\U0001f600"
halves = st.text(st.sampled_from([HIGH, LOW, EMOJI, "a", "é", "\\", '"', "u", "d", "8", "\n"]))


def node(text: str) -> str:
    """JavaScript's `toWellFormed`, by its definition: one code unit after the other."""
    units = text.encode("utf-16-le", "surrogatepass")
    codes = [int.from_bytes(units[at : at + 2], "little") for at in range(0, len(units), 2)]
    said, at = "", 0
    while at < len(codes):
        pair = codes[at : at + 2]
        if len(pair) == 2 and 0xD800 <= pair[0] < 0xDC00 <= pair[1] < 0xE000:
            said += chr(0x10000 + ((pair[0] - 0xD800) << 10) + pair[1] - 0xDC00)
            at += 2
            continue
        said += REPLACEMENT if 0xD800 <= codes[at] < 0xE000 else chr(codes[at])
        at += 1
    return said


@given(halves)
def test_a_text_is_what_node_makes_of_it(text: str) -> None:
    assert well_formed(text) == node(text)
    well_formed(text).encode()


@given(halves)
def test_json_is_read_as_node_reads_and_writes_it(text: str) -> None:
    spelled = json.dumps({"x": [text], text: 1})
    mended = well_formed_json(spelled.encode())
    assert len(mended) == len(spelled)
    assert msgspec.json.decode(mended) == {"x": [node(text)], node(text): 1} == well_formed_value(json.loads(spelled))


def test_a_value_has_so_many_levels_and_no_more() -> None:
    deepest: Any = "x"
    for _ in range(MAX_LEVELS):
        deepest = [deepest]
    assert well_formed_value(deepest) == deepest
    with pytest.raises(RecursionError):
        well_formed_value({"a": deepest})


@given(st.binary() | halves.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_what_is_no_json_is_left_to_its_reader(data: bytes) -> None:
    assert len(well_formed_json(data)) == len(data)


@pytest.mark.parametrize("spelled", [r'"\\ud83d"', r'"\\\\ud83d \n"', r'"\ud83d\ude00 \u00e9"', '"ud83d"'])
def test_what_is_well_formed_stays_to_the_byte(spelled: str) -> None:
    assert well_formed_json(spelled.encode()) == spelled.encode()


@settings(max_examples=examples(200))
@given(st.lists(halves))
def test_pieces_are_what_the_whole_is(pieces: list[str]) -> None:
    stream = SurrogateJoiner()
    said = [stream.feed(piece) for piece in pieces]
    assert "".join(said) + stream.flush() == node("".join(pieces))
    assert stream.flush() == ""
    for piece in said:
        piece.encode()


@pytest.mark.serial
@pytest.mark.parametrize("unit", [r"\ud83d", r"\n", r"\ud83d\ude00", "a\\\\", r"\u00e9", "\\"])
def test_megabytes_of_escapes_take_linear_time(unit: str) -> None:
    def took(size: int) -> float:
        data: Any = ('"' + unit * (size // len(unit)) + r'\ud83d"').encode()
        began = time.process_time()
        well_formed_json(data)
        return time.process_time() - began

    assert took(4_000_000) < slack(2.0)
