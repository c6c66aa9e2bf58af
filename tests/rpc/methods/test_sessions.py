import pytest

from gateway.protocol.scopes import READ
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD, NEW = make_peer(3, READ), make_peer(4, READ)
KEY = "agent:main:main"
DEFAULTS = {"modelProvider": "mock", "model": "m1", "contextTokens": 200000}


def test_no_session_for_protocol_3() -> None:
    payload = call(configured(), OLD, "sessions.list", {"limit": 5, "includeGlobal": True})["payload"]
    assert payload.pop("ts") > 0
    assert payload == {"path": "(multiple)", "count": 0, "defaults": DEFAULTS, "sessions": []}


def test_no_session_for_protocol_4() -> None:
    payload = call(configured(), NEW, "sessions.list", {"limit": 5, "ownerFirst": True, "sortBy": "activity"})[
        "payload"
    ]
    assert payload["sessions"] == payload["owners"] == []
    assert (payload["count"], payload["totalCount"], payload["limitApplied"]) == (0, 0, 5)
    assert (payload["nextOffset"], payload["hasMore"]) == (None, False) and "offset" not in payload
    assert payload["defaults"].items() > DEFAULTS.items()
    assert payload["defaults"]["modelSelectionTarget"] == "session"


def test_a_wrong_param_is_named() -> None:
    error = call(configured(), OLD, "sessions.list", {"bogus": 1})["error"]
    assert error["message"] == "invalid sessions.list params: at root: unexpected property 'bogus'"


def test_every_preview_is_missing() -> None:
    payload = call(configured(), OLD, "sessions.preview", {"keys": [KEY, "x"], "limit": 3})["payload"]
    assert payload["previews"] == [{"key": key, "status": "missing", "items": []} for key in (KEY, "x")]
    error = call(configured(), OLD, "sessions.preview", {"keys": []})["error"]
    assert error["message"] == "invalid sessions.preview params: at /keys: must NOT have fewer than 1 items"


def test_a_page_beyond_the_end() -> None:
    payload = call(configured(), NEW, "sessions.list", {"offset": 7})["payload"]
    assert (payload["offset"], payload["limitApplied"], payload["sessions"]) == (7, 100, [])


def test_subscribing() -> None:
    assert call(configured(), NEW, "sessions.subscribe")["payload"] == {"subscribed": True}
    payload = call(configured(), NEW, "sessions.subscribe", {"limit": 5})["payload"]
    assert payload["list"]["limitApplied"] == 5
    payload = call(configured(), NEW, "sessions.messages.subscribe", {"key": KEY, "includeApprovals": True})["payload"]
    assert payload == {"subscribed": True, "key": KEY, "agentId": "main"}
    payload = call(configured(), NEW, "sessions.messages.unsubscribe", {"key": KEY})["payload"]
    assert payload == {"subscribed": False, "key": KEY, "agentId": "main"}


def test_a_session_is_described_as_none() -> None:
    assert call(configured(), NEW, "sessions.describe", {"key": KEY})["payload"] == {"session": None}


def test_history_for_protocol_3() -> None:
    payload = call(configured(), OLD, "chat.history", {"sessionKey": KEY, "limit": 10})["payload"]
    assert payload == {"sessionKey": KEY, "messages": [], "thinkingLevel": "off"}


@pytest.mark.parametrize("name", ["chat.history", "chat.startup"])
def test_history_for_protocol_4(name: str) -> None:
    payload = call(configured(), NEW, name, {"sessionKey": KEY, "limit": 80, "maxBytes": 4096})["payload"]
    assert payload["messages"] == [] and payload["pendingInputs"] == {"items": [], "total": 0}
    assert (payload["hasMore"], payload["totalMessages"]) == (False, 0)
    assert payload["defaults"].items() > DEFAULTS.items()
    info = payload["sessionInfo"]
    assert (info["key"], info["agentId"], info["isMain"], info["classification"]) == (KEY, "main", True, "main")
    assert info["updatedAt"] is None and info.items() > DEFAULTS.items()
    other = call(configured(), NEW, name, {"sessionKey": "agent:main:x"})["payload"]["sessionInfo"]
    assert other["isMain"] is False and "classification" not in other


def test_a_chat_is_opened_by_its_key() -> None:
    assert call(configured(), NEW, "chat.startup")["error"]["message"] == "sessionKey required"
    error = call(configured(), NEW, "chat.startup", {"shortId": "abc", "agentId": "main"})["error"]
    assert error["message"] == "session not found"


def test_metadata_of_a_chat() -> None:
    payload = call(configured(), NEW, "chat.metadata", {"agentId": "main"})["payload"]
    assert payload["commands"] == [] and [each["id"] for each in payload["models"]] == ["m1"]


NEWER = ["sessions.subscribe", "sessions.messages.subscribe", "sessions.describe", "chat.startup", "chat.metadata"]


@pytest.mark.parametrize("name", [*NEWER, "sessions.patch", "chat.send", "agent", "cron.add"])
def test_what_protocol_3_does_not_have(name: str) -> None:
    assert call(configured(), make_peer(3), name)["error"]["message"] == f"unknown method: {name}"


def test_a_session_has_no_branch_and_no_progress() -> None:
    ask = {"sessionKey": "agent:main:main", "agentId": "main"}
    assert call(configured(), NEW, "sessions.branches.list", ask)["payload"] == {"branches": []}
    assert call(configured(), NEW, "progressCard.get", ask)["payload"] == {"card": None}
