"""Methods that are declared by their answer."""

import json
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocol.frames import WireError
from gateway.protocol.scopes import READ
from gateway.rpc.literal import NOW, Rows, Typed, fields, literal, short, up_to
from tests.effort import examples
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

OLD, NEW = make_peer(3, READ), make_peer(4, READ)
PLAIN = st.one_of(
    *(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=5)),
    *(st.just([]), st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2)),
)
NAME = st.from_regex(r"[a-z][a-zA-Z]{0,8}", fullmatch=True).filter(lambda name: name not in ("def", "from", "None"))


@settings(max_examples=examples(100))
@given(st.dictionaries(NAME.filter(str.isidentifier), PLAIN, max_size=5))
def test_the_answer_is_of_the_type_that_is_shown(answer: dict[str, Any]) -> None:
    always = literal("always", "Always.", answer, scope=READ)
    payload = call(FakeCore(), NEW, "always", methods=(always,))["payload"]
    assert payload == json.loads(json.dumps(answer))
    shown = msgspec.convert(payload, always.result)
    assert msgspec.to_builtins(shown) == payload and list(payload) == [*answer]


def test_the_time_and_a_field_that_is_new() -> None:
    now = literal("now", "Now.", {"ts": NOW, "more": Typed(list[str], [], since=4)}, scope=READ, since=3)
    old, new = (call(FakeCore(), peer, "now", methods=(now,))["payload"] for peer in (OLD, NEW))
    assert old.keys() == {"ts"} and new.keys() == {"ts", "more"} and new["ts"] > 1_700_000_000_000
    assert get_type_hints(now.result)["ts"] is int
    assert (now.doc, now.scope, now.since, now.asynchronous) == ("Now.", READ, 3, False)


def test_a_list_and_a_refusal() -> None:
    rows = literal("rows", "Rows.", [], scope=READ)
    never = literal("never", "Never.", WireError("FORBIDDEN", "never"), scope=READ)
    assert rows.result == Rows and call(FakeCore(), NEW, "rows", methods=(rows,))["payload"] == []
    assert call(FakeCore(), NEW, "never", methods=(never,))["error"] == {"code": "FORBIDDEN", "message": "never"}


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({}, None),
        ({"someName": None, "limit": None}, None),
        ({"limit": 10, "most": 3}, None),
        ({"limit": 11}, "at /limit: must be <= 10"),
        ({"most": None}, "at /most: must be integer"),
        ({"someName": ""}, "at /someName: must NOT have fewer than 1 characters"),
        ({"other": 1}, "at root: unexpected property 'other'"),
    ],
)
def test_its_params(params: dict[str, Any], fault: str | None) -> None:
    shape = fields(some_name=short(5), limit=up_to(10), most=(up_to(5), 5))
    frame = call(FakeCore(), NEW, "x", params, methods=(literal("x", "X.", [], shape, scope=READ),))
    assert frame["ok"] is (fault is None)
    assert fault is None or frame["error"]["message"] == f"invalid x params: {fault}"
