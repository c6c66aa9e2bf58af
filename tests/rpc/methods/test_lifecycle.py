import pytest

from gateway.protocol.scopes import ADMIN, READ
from gateway.report import Change, Issue, ReloadResult
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

CHIEF = make_peer(4, ADMIN)


def test_a_restart_is_asked_for_with_its_reason() -> None:
    core = FakeCore()
    payload = call(core, CHIEF, "gateway.restart.request", {"reason": "new\nlook"})["payload"]
    assert payload == {"ok": True, "state": "scheduled", "bootId": "boot-1", "message": "as soon as it is idle"}
    call(core, CHIEF, "gateway.restart.request")
    call(core, CHIEF, "gateway.restart.request", {"reason": "x" * 4000})
    assert core.asked[:2] == ["restart rpc: 'new\\nlook'", "restart rpc"]
    assert len(core.asked[2]) < 250


@pytest.mark.parametrize(
    ("busy", "safe", "summary"),
    [
        (0, True, "safe to restart now"),
        (1, False, "restart would wait for 1 request in flight"),
        (2, False, "restart would wait for 2 requests in flight"),
    ],
)
def test_preflight(busy: int, safe: bool, summary: str) -> None:
    core = FakeCore()
    for _ in range(busy):
        core.hub.begin_request()
    payload = call(core, make_peer(4, READ), "gateway.restart.preflight")["payload"]
    assert (payload["safe"], payload["summary"], len(payload["blockers"])) == (safe, summary, int(not safe))
    assert payload["counts"] == {
        "queueSize": 0,
        "pendingReplies": 0,
        "embeddedRuns": 0,
        "cronRuns": 0,
        "backgroundExecSessions": 0,
        "activeTasks": 0,
        "rootRequests": busy,
        "totalActive": busy,
    }


def test_a_reload_answers_with_its_result() -> None:
    core = FakeCore()
    core.reloaded = ReloadResult(
        "invalid",
        "kept the old config",
        changes=(Change("gateway.port", "unit"),),
        issues=(Issue("too big", path="gateway.port", line=3),),
        warnings=("w",),
        at=5,
        duration_ms=1.5,
    )
    payload = call(core, make_peer(3, ADMIN), "gateway.reload")["payload"]
    assert core.asked == ["reload rpc"]
    assert payload == {
        "ok": False,
        "outcome": "invalid",
        "message": "kept the old config",
        "changes": [{"path": "gateway.port", "effect": "unit", "action": None}],
        "issues": [{"message": "too big", "path": "gateway.port", "line": 3}],
        "warnings": ["w"],
        "at": 5,
        "durationMs": 1.5,
    }


@pytest.mark.parametrize("name", ["gateway.restart.request", "gateway.reload"])
def test_only_an_admin_may(name: str) -> None:
    core = FakeCore()
    assert call(core, make_peer(4, "operator.write"), name)["error"]["message"] == "missing scope: operator.admin"
    assert core.asked == []
