import asyncio
import re
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from gateway.hub.connection import Connection
from gateway.protocol.frames import Request, RpcError, WireError
from gateway.protocol.params import MAX_NUMBER, NoParams, Params
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc.dispatch import AsyncAnswer, Dispatcher
from gateway.rpc.methods import METHODS as OURS
from gateway.rpc.registry import Call, Method, Registry, method
from tests.carrier import FakeCarrier
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured


class Named(Params, frozen=True):
    some_name: str


@method("greet", Named, str, scope=READ)
def greet(who: Call, params: Named) -> str:
    """Greet."""
    return f"hello {params.some_name}"


@method("greet.later", Named, str, scope=READ)
async def greet_later(who: Call, params: Named) -> str:
    """Greet in time."""
    return f"hello {params.some_name}"


@method("greet.twice", Named, str, scope=READ, at_once=lambda who, params: who.core.env(params.some_name))
async def greet_twice(who: Call, params: Named) -> str:
    """Greet in time, and at once who is known."""
    return f"hello {params.some_name}"


@method("refuse", NoParams, None, scope=ADMIN)
def refuse(who: Call, params: NoParams) -> None:
    """Refuse."""
    raise RpcError(WireError("UNAVAILABLE", "not now", retryable=True, retry_after_ms=5))


@method("refuse.later", NoParams, None, scope=ADMIN)
async def refuse_later(who: Call, params: NoParams) -> None:
    """Refuse in time."""
    raise RpcError("wrong")


@method("break", NoParams, None, scope=ADMIN)
def break_(who: Call, params: NoParams) -> None:
    """Break."""
    raise KeyError("hunter2")


@method("break.later", NoParams, None, scope=ADMIN)
async def break_later(who: Call, params: NoParams) -> None:
    """Break in time."""
    raise KeyError("hunter2")


@method("unspeakable", NoParams, object, scope=ADMIN)
def unspeakable(who: Call, params: NoParams) -> object:
    """Return what JSON cannot carry."""
    return object()


METHODS = (greet, greet_later, greet_twice, refuse, refuse_later, break_, break_later, unspeakable)
ALL = make_peer(4, ADMIN)


@pytest.mark.parametrize("name", ["greet", "greet.later"])
def test_an_answer(name: str) -> None:
    assert call(FakeCore(), ALL, name, {"someName": "you"}, METHODS)["payload"] == "hello you"


def test_an_asynchronous_method_may_answer_at_once() -> None:
    core, who = FakeCore(variables={"you": "again"}), Connection("conn", "127.0.0.1:1", FakeCarrier(), peer=ALL)
    dispatcher = Dispatcher(Registry(METHODS))

    def ask(name: str) -> bytes | AsyncAnswer:
        return dispatcher.answer(
            Call(core, who, ALL), Request("1", "greet.twice", Raw(b'{"someName":"%b"}' % name.encode()))
        )

    assert ask("you") == b'{"type":"res","id":"1","ok":true,"payload":"again"}'
    later = ask("me")
    assert isinstance(later, AsyncAnswer)
    assert asyncio.run(later()) == b'{"type":"res","id":"1","ok":true,"payload":"hello me"}'


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("nope", {}, "unknown method: nope"),
        ("x" * 500, {}, "unknown method: " + "x" * 119 + "…"),
        ("greet", {}, "invalid greet params: at root: must have required property 'someName'"),
        ("greet", {"someName": 1}, "invalid greet params: at /someName: must be string"),
        (
            "greet.later",
            {"someName": "a", "bogus": 1},
            "invalid greet.later params: at root: unexpected property 'bogus'",
        ),
        ("refuse.later", {}, "wrong"),
    ],
)
def test_a_wrong_request(name: str, params: object, message: str) -> None:
    error = call(FakeCore(), ALL, name, params, METHODS)["error"]
    assert error == {"code": "INVALID_REQUEST", "message": message}


def test_a_refusal_arrives_as_it_is() -> None:
    error = call(FakeCore(), ALL, "refuse", {}, METHODS)["error"]
    assert error == {"code": "UNAVAILABLE", "message": "not now", "retryable": True, "retryAfterMs": 5}


@pytest.mark.parametrize("name", ["break", "break.later", "unspeakable"])
def test_a_bug_is_logged_and_not_shown(name: str, caplog: pytest.LogCaptureFixture) -> None:
    error = call(FakeCore(), ALL, name, {}, METHODS)["error"]
    assert error["code"] == "UNAVAILABLE"
    assert "hunter2" not in error["message"] and "internal error" in error["message"]
    assert f"{name} failed for conn" in caplog.text and "Traceback" in caplog.text


def test_scope_comes_before_params() -> None:
    error = call(FakeCore(), make_peer(3, "operator.pairing"), "greet", {"bogus": 1}, METHODS)["error"]
    assert error == {"code": "INVALID_REQUEST", "message": "missing scope: operator.read"}
    error = call(FakeCore(), make_peer(4), "refuse", {}, METHODS)["error"]
    assert (error["code"], error["details"]["missingScope"]) == ("FORBIDDEN", "operator.admin")


def test_a_node_calls_nothing() -> None:
    error = call(FakeCore(), make_peer(3, role="node"), "greet", {}, METHODS)["error"]
    assert error["message"] == "unauthorized role: node"


NUMBERS = [
    (each, field.encode_name)
    for each in OURS
    for field in msgspec.structs.fields(each.params)
    if re.search(r"\b(int|float)\b", str(field.type))
]
FILLED = {
    "sessionKey": "main",
    "key": "main",
    "message": "hello",
    "idempotencyKey": "k",
    "runId": "r",
    "raw": "{}",
    "text": "x",
    "keys": ["main"],
}


def test_there_are_numbers_to_try() -> None:
    assert len(NUMBERS) > 20


@pytest.mark.parametrize(("each", "name"), NUMBERS, ids=lambda value: value if isinstance(value, str) else value.name)
def test_no_number_is_too_much_for_a_method(tmp_path: Path, each: Method, name: str) -> None:
    core = configured(folder=tmp_path)
    peer = make_peer(4, ADMIN)
    required = {field.encode_name for field in msgspec.structs.fields(each.params) if field.required}
    known = {field.encode_name for field in msgspec.structs.fields(each.params)}
    params = {key: value for key, value in FILLED.items() if key in required or (key == "sessionKey" and key in known)}
    if each.name.startswith("chat."):
        call(core, peer, "chat.send", {"sessionKey": "main", "message": "hello", "idempotencyKey": "first"}, OURS)
    for number in (-(2**64), -1, 0, 1, MAX_NUMBER, MAX_NUMBER + 1, 2**63 - 1, 2**63, 2**64, 10**30):
        answer = call(core, peer, each.name, {**params, name: number}, OURS)
        assert answer["ok"] or "internal error" not in answer["error"]["message"], number
        assert abs(number) <= MAX_NUMBER or "must be" in answer["error"]["message"], answer
