import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.hub.connection import Connection
from gateway.protocol.frames import decode_request
from gateway.protocol.params import NoParams
from gateway.protocol.scopes import ADMIN
from gateway.rpc import budget as module
from gateway.rpc.budget import LIMIT, MAX_ENTRIES, WINDOW_S, Budget
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.methods import METHODS
from gateway.rpc.registry import Call, Registry, method
from tests.carrier import FakeCarrier
from tests.fakes.clock import Clock
from tests.fakes.core import FakeCore
from tests.rpc.calls import make_peer


def caller(remote: str = "192.0.2.7:5", device: str | None = None, id: str = "conn") -> Call:
    peer = replace(make_peer(4, ADMIN), device_id=device)
    return Call(FakeCore(), Connection(id, remote, FakeCarrier(), peer=peer), peer)


def spend(budget: Budget, who: Call, times: int, name: str = "m") -> int:
    """How many of them were let through."""
    return sum(budget.spend(name, who) is None for _ in range(times))


def test_at_the_limit() -> None:
    clock = Clock(1000.0)
    budget = Budget(clock)
    assert spend(budget, caller(), LIMIT + 5) == LIMIT
    clock.now += 30.5
    error = budget.spend("m", caller())
    assert error is not None
    assert (error.code, error.message) == ("UNAVAILABLE", "rate limit exceeded for m; retry after 30s")
    assert (error.retryable, error.retry_after_ms) == (True, 29_500)
    assert error.details == {"method": "m", "limit": "30 per 60s"}
    clock.now = 1000.0 + WINDOW_S
    assert spend(budget, caller(), LIMIT + 5) == LIMIT


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (caller("192.0.2.7:5"), caller("192.0.2.7:6", id="conn-2"), False),
        (caller("192.0.2.7:5"), caller("192.0.2.8:5"), True),
        (caller(device="a"), caller(device="b"), True),
        (caller("127.0.0.1:5", id="c1"), caller("127.0.0.1:6", id="c2"), True),
        (caller("127.0.0.1:5", "a", "c1"), caller("127.0.0.1:6", "a", "c2"), False),
        (caller("unknown", id="c1"), caller("unknown", id="c2"), False),
    ],
)
def test_who_shares_a_budget(one: Call, other: Call, apart: bool) -> None:
    budget = Budget(Clock(1000.0))
    spend(budget, one, LIMIT)
    assert (budget.spend("m", other) is None) is apart


def test_each_method_has_its_own() -> None:
    budget = Budget(Clock(1000.0))
    spend(budget, caller(), LIMIT)
    assert spend(budget, caller(), LIMIT, "other") == LIMIT


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_ENTRIES <= 10_000
    monkeypatch.setattr(module, "MAX_ENTRIES", 50)
    budget = Budget(Clock(1000.0))
    for number in range(53):
        budget.spend("m", caller(f"{number}:5"))
    assert len(budget) == 50


def test_it_is_logged_once_in_a_window(caplog: pytest.LogCaptureFixture) -> None:
    spend(Budget(Clock(1000.0)), caller(), LIMIT + 10)
    assert len(caplog.messages) == 1 and "too many calls of m" in caplog.text
    assert module.log.name == "gateway.rpc"


@method("write", NoParams, str, scope=ADMIN, budgeted=True)
def write(who: Call, params: NoParams) -> str:
    """Write."""
    return "done"


def test_the_dispatcher_holds_it_for_those_that_may_call() -> None:
    clock = Clock(1000.0)
    dispatcher = Dispatcher(Registry((write,)), clock)

    def ask(who: Call, params: str = "{}") -> dict[str, Any]:
        text = f'{{"type":"req","id":"1","method":"write","params":{params}}}'
        said = dispatcher.answer(who, decode_request(text))
        assert isinstance(said, bytes)
        frame: dict[str, Any] = json.loads(said)
        return frame

    stranger = make_peer(4)
    for _ in range(LIMIT):
        ask(Call(FakeCore(), caller().connection, stranger))
    answers = [ask(caller()) for _ in range(LIMIT + 1)]
    assert [each["ok"] for each in answers] == [True] * LIMIT + [False]
    assert answers[-1]["error"] == {
        "code": "UNAVAILABLE",
        "message": "rate limit exceeded for write; retry after 60s",
        "details": {"method": "write", "limit": "30 per 60s"},
        "retryable": True,
        "retryAfterMs": 60_000,
    }
    clock.now += WINDOW_S
    assert ask(caller())["ok"]


def test_which_methods_have_one() -> None:
    """OpenClaw 2026.9.6's, as far as we have them; its `config.set` has none, for the page that saves as one types."""
    assert {each.name for each in METHODS if each.budgeted} == {
        "config.apply", "config.patch", "gateway.restart.request",
    }  # fmt: skip
