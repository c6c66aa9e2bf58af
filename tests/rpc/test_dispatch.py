import pytest

from gateway.protocol.frames import WireError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc.registry import Call, RpcError, method
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer


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


METHODS = (greet, greet_later, refuse, refuse_later, break_, break_later, unspeakable)
ALL = make_peer(4, ADMIN)


@pytest.mark.parametrize("name", ["greet", "greet.later"])
def test_an_answer(name: str) -> None:
    assert call(FakeCore(), ALL, name, {"someName": "you"}, METHODS)["payload"] == "hello you"


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
