"""What has been said and what waits, by another process on the same database or by one that converses."""

from pathlib import Path

import pytest

from gateway.protocol.scopes import ADMIN
from gateway.sessions.records import RunRequest
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import run, talking
from tests.sessions.talk import MAIN, NOW, assistant, converse, user

OLD, NEW = make_peer(3, ADMIN), make_peer(4, ADMIN)
KEY = "agent:main:main"
DEFAULTS = {"modelProvider": "mock", "model": "m1", "contextTokens": 200000}


@pytest.fixture
def core(tmp_path: Path) -> FakeCore:
    return configured(folder=tmp_path)


def test_history_for_protocol_3(core: FakeCore) -> None:
    payload = call(core, OLD, "chat.history", {"sessionKey": KEY, "limit": 10})["payload"]
    assert payload == {"sessionKey": KEY, "messages": [], "thinkingLevel": "off"}


@pytest.mark.parametrize("name", ["chat.history", "chat.startup"])
def test_history_for_protocol_4(core: FakeCore, name: str) -> None:
    payload = call(core, NEW, name, {"sessionKey": KEY, "limit": 80, "maxBytes": 4096})["payload"]
    assert payload["messages"] == [] and payload["pendingInputs"] == {"items": [], "total": 0}
    assert (payload["hasMore"], payload["totalMessages"]) == (False, 0)
    assert payload["defaults"].items() > DEFAULTS.items()
    info = payload["sessionInfo"]
    assert (info["key"], info["agentId"], info["isMain"], info["classification"]) == (KEY, "main", True, "main")
    assert info["updatedAt"] is None and info.items() > DEFAULTS.items()
    other = call(core, NEW, name, {"sessionKey": "agent:main:x"})["payload"]["sessionInfo"]
    assert (other["isMain"], other["classification"]) == (False, "direct")


def test_a_chat_is_opened_by_its_key() -> None:
    assert call(configured(), NEW, "chat.startup")["error"]["message"] == "sessionKey required"


def test_what_became_of_messages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await converse(talk.store, "said", MAIN, "Hello", assistant("there"))
            await converse(talk.store, "elsewhere", "agent:main:x", "Hello", assistant("there"))
            await talk.store.accept("waits", MAIN, "main", RunRequest(user("And?")), NOW)
            ask = {"sessionKey": MAIN, "inputRunIds": ["waits", "said", "elsewhere", "none"]}
            answer = await talk.get("chat.history", ask)
            first = answer["messages"][0]["__openclaw"]["id"]
            assert answer["inputReceipts"] == [
                {"runId": "waits", "state": "pending"},
                {"runId": "said", "state": "consumed", "consumedByEventId": first},
            ]
            assert "inputReceipts" not in await talk.get("chat.history", {"sessionKey": MAIN})

    run(scenario())
