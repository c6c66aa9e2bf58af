"""What `chat.*` reads and writes, each call by another process on the same database."""

from pathlib import Path

import pytest

from gateway.protocol.scopes import ADMIN
from tests.core_fake import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD, NEW = make_peer(3, ADMIN), make_peer(4, ADMIN)
KEY = "agent:main:main"


@pytest.fixture
def core(tmp_path: Path) -> FakeCore:
    return configured(folder=tmp_path)


def test_metadata_of_a_chat() -> None:
    payload = call(configured(), NEW, "chat.metadata", {"agentId": "main"})["payload"]
    assert "new" in [each["name"] for each in payload["commands"]]
    assert [each["id"] for each in payload["models"]] == ["m1"]


@pytest.mark.parametrize("name", ["chat.startup", "chat.metadata"])
def test_what_protocol_3_does_not_have(name: str) -> None:
    assert call(configured(), make_peer(3), name)["error"]["message"] == f"unknown method: {name}"


def test_a_message_is_accepted_once(core: FakeCore) -> None:
    send = {"sessionKey": "main", "message": "hello", "idempotencyKey": "k1"}
    assert call(core, OLD, "chat.send", send)["payload"] == {"runId": "k1", "status": "started"}
    assert call(core, OLD, "chat.send", send)["payload"] == {"runId": "k1", "status": "in_flight"}
    assert call(core, OLD, "chat.abort", {"sessionKey": "main"})["payload"]["runIds"] == ["k1"]


def test_a_run_is_aborted_only_in_its_session(core: FakeCore) -> None:
    call(core, NEW, "chat.send", {"sessionKey": KEY, "message": "hello", "idempotencyKey": "k1"})
    error = call(core, NEW, "chat.abort", {"sessionKey": "agent:main:x", "runId": "k1"})["error"]
    assert error["message"] == "runId does not match sessionKey"
    payload = call(core, NEW, "chat.abort", {"sessionKey": KEY, "runId": "other"})["payload"]
    assert payload == {"ok": True, "aborted": False, "runIds": []}


def test_a_message_is_injected(core: FakeCore) -> None:
    inject = {"sessionKey": KEY, "message": "by hand", "label": "L"}
    assert call(core, NEW, "chat.inject", inject)["error"]["message"] == "session not found"
    call(core, NEW, "chat.send", {"sessionKey": KEY, "message": "/help", "idempotencyKey": "k1"})
    payload = call(core, NEW, "chat.inject", inject)["payload"]
    assert payload["ok"] and len(payload["messageId"]) == 8
    last = call(core, NEW, "chat.history", {"sessionKey": KEY})["payload"]["messages"][-1]
    assert last.pop("timestamp") > 0
    assert last.pop("__openclaw") == {"id": payload["messageId"], "seq": 3}
    assert last == {
        "role": "assistant",
        "content": [{"type": "text", "text": "[L]\n\nby hand"}],
        "stopReason": "injected",
        "usage": {"input": 0, "output": 0, "totalTokens": 0},
    }


def test_without_a_database_a_message_is_refused() -> None:
    error = call(configured(), NEW, "chat.send", {"sessionKey": KEY, "message": "x", "idempotencyKey": "k"})["error"]
    assert error["code"] == "UNAVAILABLE" and error["retryable"]
    assert "cannot open /dev/null/gateway/conversations.sqlite" in error["message"]
