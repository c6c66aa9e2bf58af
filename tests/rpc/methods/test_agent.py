from pathlib import Path

from gateway.protocol.scopes import WRITE
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD = make_peer(3, WRITE)


def test_a_message_for_an_agent_is_accepted(tmp_path: Path) -> None:
    core = configured(folder=tmp_path)
    ask = {"message": "hello", "idempotencyKey": "k1"}
    first = call(core, OLD, "agent", ask)["payload"]
    assert first.pop("acceptedAt") > 0 and first == {"runId": "k1", "status": "accepted"}
    assert call(core, OLD, "agent", ask)["payload"]["status"] == "in_flight"
    waited = call(core, OLD, "agent.wait", {"runId": "k1", "timeoutMs": 0})["payload"]
    assert waited == {"runId": "k1", "status": "timeout"}


def test_nobody_waits_for_a_run_that_never_was(tmp_path: Path) -> None:
    waited = call(configured(folder=tmp_path), OLD, "agent.wait", {"runId": "nope", "timeoutMs": 60_000})["payload"]
    assert waited == {"runId": "nope", "status": "timeout"}


def test_an_agent_that_is_not_configured(tmp_path: Path) -> None:
    error = call(configured(folder=tmp_path), OLD, "agent", {"message": "x", "idempotencyKey": "k", "agentId": "no"})
    assert error["error"]["code"] == "INVALID_REQUEST"
