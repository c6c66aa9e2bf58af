import json
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Raw

from gateway.protocol.params import (
    MAX_ITEMS,
    MAX_NAME,
    MAX_NUMBER,
    MAX_TEXT,
    Body,
    InvalidParams,
    NoParams,
    Params,
    cut,
    decode_params,
)


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


class Loose(Params, frozen=True):
    text: str | None = None
    body: Body | None = None
    count: int | None = None
    share: float | bool | None = None
    texts: list[str] = []
    few: Annotated[list[str], Meta(max_length=2000)] = []
    short: list[Annotated[str, Meta(max_length=5000)]] = []
    inner: "Loose | None" = None
    rows: list["Loose"] = []


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"text": "é" * MAX_TEXT, "count": MAX_NUMBER, "share": -MAX_NUMBER, "texts": ["a"] * MAX_ITEMS}, None),
        ({"text": "x" * (MAX_TEXT + 1)}, f"at /text: must NOT have more than {MAX_TEXT} characters"),
        ({"body": "x" * (MAX_TEXT + 1)}, None),
        ({"count": MAX_NUMBER + 1}, f"at /count: must be <= {MAX_NUMBER}"),
        ({"count": 2**64}, f"at /count: must be <= {MAX_NUMBER}"),
        ({"count": -MAX_NUMBER - 1}, f"at /count: must be >= -{MAX_NUMBER}"),
        ({"share": 1e300}, f"at /share: must be <= {MAX_NUMBER}"),
        ({"share": True}, None),
        ({"texts": ["a"] * (MAX_ITEMS + 1)}, f"at /texts: must NOT have more than {MAX_ITEMS} items"),
        ({"texts": ["a", "x" * (MAX_TEXT + 1)]}, f"at /texts/1: must NOT have more than {MAX_TEXT} characters"),
        ({"few": ["a"] * (MAX_ITEMS + 1)}, None),
        ({"few": ["x" * (MAX_TEXT + 1)]}, f"at /few/0: must NOT have more than {MAX_TEXT} characters"),
        ({"short": ["x" * 5000]}, None),
        ({"short": ["x"] * (MAX_ITEMS + 1)}, f"at /short: must NOT have more than {MAX_ITEMS} items"),
        ({"inner": {"count": 2**63}}, f"at /inner/count: must be <= {MAX_NUMBER}"),
        ({"rows": [{}, {"count": 2**63}]}, f"at /rows/1/count: must be <= {MAX_NUMBER}"),
    ],
)
def test_no_value_is_without_a_bound(params: dict[str, object], fault: str | None) -> None:
    raw = Raw(json.dumps(params).encode())
    if fault is None:
        decode_params(raw, Loose)
    else:
        with pytest.raises(InvalidParams) as caught:
            decode_params(raw, Loose)
        assert str(caught.value) == fault
