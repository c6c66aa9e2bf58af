import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.frames import (
    EventFrame,
    Malformed,
    NotJson,
    Request,
    StateVersion,
    WireError,
    decode_request,
    encode_error,
    encode_response,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def test_a_request_keeps_its_params_raw() -> None:
    request = decode_request('{"type":"req","id":"1","method":"health","params":{"probe":true},"traceparent":"x"}')
    assert (request.id, request.method, bytes(request.params)) == ("1", "health", b'{"probe":true}')


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"\ud83d\u0041"])
def test_half_a_character_is_taken_as_node_takes_it(half: str) -> None:
    request = decode_request(f'{{"type":"req","id":"1{half}","method":"m","params":{{"text":"ok {half}"}}}}'.encode())
    said = json.loads(half.join('""'))
    assert request.id == "1" + said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert msgspec.json.decode(request.params)["text"].startswith("ok \ufffd")


def test_params_may_be_absent() -> None:
    assert bytes(decode_request('{"type":"req","id":"1","method":"m"}').params) == b"{}"


@pytest.mark.parametrize(
    ("text", "id", "why"),
    [
        ("[]", "invalid", "at root: must be object"),
        ("5", "invalid", "at root: must be object"),
        ('{"id":"7"}', "7", "at /type: must be equal to constant"),
        ('{"type":"event","id":"7"}', "7", "at /type: must be equal to constant"),
        ('{"type":"req"}', "invalid", "at root: must have required property 'id'"),
        ('{"type":"req","id":""}', "invalid", "at /id: must NOT have fewer than 1 characters"),
        ('{"type":"req","id":5,"method":"m"}', "invalid", "at /id: must be string"),
        ('{"type":"req","id":"7"}', "7", "at root: must have required property 'method'"),
        ('{"type":"req","id":"7","method":[]}', "7", "at /method: must be string"),
    ],
)
def test_json_that_is_no_request_says_why(text: str, id: str, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_request(text)
    assert (caught.value.id, str(caught.value)) == (id, why)


@pytest.mark.parametrize("text", ["", "{,", "[" * 100_000, '[1,{"a":nul}]', "\ufeff{}", "[1] x"])
def test_what_is_not_json_is_not_answered(text: str) -> None:
    with pytest.raises(NotJson):
        decode_request(text)


@given(st.text() | JSON.map(json.dumps) | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_whatever_comes_in_only_documented_outcomes_come_out(text: str) -> None:
    try:
        request = decode_request(text)
    except (Malformed, NotJson):
        return
    assert isinstance(request, Request)


def test_a_response_echoes_its_id() -> None:
    assert json.loads(encode_response("x", None)) == {"type": "res", "id": "x", "ok": True, "payload": None}


def test_an_error_leaves_out_what_it_does_not_say() -> None:
    frame = json.loads(encode_error("x", WireError("INVALID_REQUEST", "no")))
    assert frame == {"type": "res", "id": "x", "ok": False, "error": {"code": "INVALID_REQUEST", "message": "no"}}
    error = WireError("UNAVAILABLE", "later", {"reason": "r"}, retryable=True, retry_after_ms=500)
    assert json.loads(encode_error("x", error))["error"] == {
        "code": "UNAVAILABLE",
        "message": "later",
        "details": {"reason": "r"},
        "retryable": True,
        "retryAfterMs": 500,
    }


@given(st.text(max_size=10), JSON, st.none() | st.integers(min_value=1))
def test_an_event_frame_is_the_json_of_its_parts(name: str, payload: object, seq: int | None) -> None:
    frame = json.loads(EventFrame(name, payload, StateVersion(1, 2)).text(seq))
    expected = {"type": "event", "event": name, "payload": json.loads(msgspec.json.encode(payload))}
    expected |= {} if seq is None else {"seq": seq}
    assert frame == expected | {"stateVersion": {"presence": 1, "health": 2}}
    assert "stateVersion" not in json.loads(EventFrame(name, payload).text(seq))


ODD = ["[[],[],[]]", '{"a":{}}', "5", "1.5", "null", "true", '"x"', '""']


@given(st.fixed_dictionaries({}, optional={key: st.sampled_from(ODD) for key in ("id", "method", "type")}))
def test_of_a_frame_that_is_no_request_nothing_is_built_but_its_id(fields: dict[str, str]) -> None:
    """The same words as if all of it were looked at: the first fault in the order type, id, method."""
    text = "{" + ",".join(f'"{key}":{value}' for key, value in fields.items()) + "}"
    with pytest.raises(Malformed) as caught:
        decode_request(text.encode())
    assert str(caught.value) == "at /type: must be equal to constant"
    assert caught.value.id == ("x" if fields.get("id") == '"x"' else "invalid")


@pytest.mark.parametrize("key", ["id", "method", "type"])
def test_the_last_of_two_keys_does_not_make_a_request(key: str) -> None:
    text = f'{{"{key}":5,"type":"req","id":"1","method":"m"}}'
    with pytest.raises(Malformed, match="must be string"):
        decode_request(text)


@pytest.mark.parametrize("key", ["id", "method", "type", "more"])
@pytest.mark.parametrize("value", ["[{}]", '{"0":0}', "[[]]"])
def test_a_value_that_nobody_asked_for_costs_no_memory(key: str, value: str) -> None:
    text = f'{{"{key}":[{",".join([value] * 100_000)}]}}'.encode()
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            decode_request(text)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(text)
    finally:
        tracemalloc.stop()
