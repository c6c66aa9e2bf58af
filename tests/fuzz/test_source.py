import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from tests.fuzz.source import Source, compact


class Leaf(Struct, tag_field="kind", tag="leaf"):
    size: Annotated[int, Meta(ge=1, le=3)]
    word: Literal["a", "b"] = "a"


class Tree(Struct, rename="camel"):
    first_leaf: Leaf
    more: list[Leaf] = []
    by_name: dict[str, float] = {}
    name: Annotated[str, Meta(min_length=1)] | None = None
    anything: Any = None


@given(st.binary(max_size=300))
def test_the_same_bytes_give_the_same_value_which_json_can_say(data: bytes) -> None:
    value = Source(data).of(Tree)
    assert compact(value) == compact(Source(data).of(Tree))
    json.loads(json.dumps(value))


def test_values_within_values_go_as_deep_as_is_said() -> None:
    assert compact({"a": ["<3 deep>"]}) == b'{"a":[[[[]]]]}'


@pytest.mark.parametrize("make", [Source.json, Source.text, Source.number, lambda source: source.of(Tree)])
def test_it_ends_when_the_bytes_are_used_up(make: Any) -> None:
    source = Source(b"")
    make(source)
    assert not source.more


def test_most_values_are_of_their_type_and_some_are_not() -> None:
    def fits(number: int) -> bool:
        data = number.to_bytes(4, "big") * 40
        try:
            msgspec.convert(Source(data).of(Tree), Tree)
        except msgspec.ValidationError:
            return False
        return True

    fitting = sum(fits(number * 2_654_435_761 % 2**32) for number in range(400))
    assert 40 < fitting < 360


def test_a_piece_is_as_long_as_its_bytes_say_and_no_longer_than_there_is() -> None:
    source = Source(b"\x03abcdef")
    assert (source.bytes(40), source.bytes(1)) == (b"abc", b"e")
    assert Source(b"\x09ab").bytes(40) == b"ab"
    assert Source(b"\x09abcdef").bytes(2) == b"ab"
    assert Source(b"\x01\x00" + b"x" * 300).bytes(4096) == b"x" * 256
