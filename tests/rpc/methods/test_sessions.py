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


NEWER = ["sessions.subscribe", "sessions.messages.subscribe", "sessions.describe"]


@pytest.mark.parametrize("name", [*NEWER, "sessions.patch", "cron.add"])
def test_what_protocol_3_does_not_have(name: str) -> None:
    assert call(configured(), make_peer(3), name)["error"]["message"] == f"unknown method: {name}"


def test_a_session_has_no_branch_and_no_progress() -> None:
    ask = {"sessionKey": "agent:main:main", "agentId": "main"}
    assert call(configured(), NEW, "sessions.branches.list", ask)["payload"] == {"branches": []}
    assert call(configured(), NEW, "progressCard.get", ask)["payload"] == {"card": None}
