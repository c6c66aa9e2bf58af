from typing import Annotated, Literal

import pytest
from msgspec import Meta, Raw

from gateway.protocol.params import MAX_NAME, InvalidParams, NoParams, Params, cut, decode_params


class Inner(Params, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    count: Annotated[int, Meta(ge=1)] = 1
    rows: list[list[int]] = []
    table: dict[str, int] = {}
    mode: Literal["now", "later"] = "now"


class Outer(Params, frozen=True):
    inner_part: Inner
    text: str | None = None


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"{}", "at root: must have required property 'innerPart'"),
        (b"[]", "at root: must be object"),
        (b'{"innerPart":{},"bogus":1}', "at root: unexpected property 'bogus'"),
        (b'{"innerPart":{"bogus":1}}', "at /innerPart: unexpected property 'bogus'"),
        (b'{"innerPart":{},"text":4}', "at /text: must be string or null"),
        (b'{"innerPart":{"name":""}}', "at /innerPart/name: must NOT have fewer than 1 characters"),
        (b'{"innerPart":{"name":"abcd"}}', "at /innerPart/name: must NOT have more than 3 characters"),
        (b'{"innerPart":{"count":0}}', "at /innerPart/count: must be >= 1"),
        (b'{"innerPart":{"count":true}}', "at /innerPart/count: must be integer"),
        (b'{"innerPart":{"rows":[[1],[1,"x"]]}}', "at /innerPart/rows/1/1: must be integer"),
        (b'{"innerPart":{"table":{"x":"y"}}}', "at /innerPart/table/*: must be integer"),
        (b'{"innerPart":{"mode":"soon"}}', "at /innerPart/mode: must be equal to one of the allowed values"),
        (b'{"innerPart":', "at root: must be JSON"),
    ],
)
def test_a_fault_names_its_place(raw: bytes, fault: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        decode_params(Raw(raw), Outer)
    assert str(caught.value) == fault


def test_null_params_are_none() -> None:
    assert decode_params(Raw(b"null"), NoParams) == NoParams()


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidParams) as caught:
        decode_params(Raw(b'{"' + b"x" * 5000 + b'":1}'), NoParams)
    assert len(str(caught.value)) < 2 * MAX_NAME


@pytest.mark.parametrize(("length", "kept"), [(MAX_NAME, MAX_NAME), (MAX_NAME + 1, MAX_NAME)])
def test_cut_at_the_bound(length: int, kept: int) -> None:
    text = cut("x" * length)
    assert len(text) == kept
    assert text.endswith("…") is (length > kept)
