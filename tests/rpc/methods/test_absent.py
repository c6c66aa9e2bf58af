"""Features that this gateway does not have, in the answers that OpenClaw 2026.9.6 gives when it has none of them."""

from typing import Any

import pytest

from gateway.protocol.scopes import ADMIN, READ
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer

OLD, NEW = make_peer(3, READ), make_peer(4, READ)
EMPTY = {
    "channelOrder": [],
    "channelLabels": {},
    "channelDetailLabels": {},
    "channelSystemImages": {},
    "channelMeta": [],
    "channels": {},
    "channelAccounts": {},
    "channelDefaultAccountId": {},
}


def ask(name: str, **params: Any) -> dict[str, Any]:
    payload: dict[str, Any] = call(FakeCore(), NEW, name, params)["payload"]
    return payload


def test_no_channel() -> None:
    old = call(FakeCore(), OLD, "channels.status", {"probe": True, "timeoutMs": 8000})["payload"]
    new = call(FakeCore(), NEW, "channels.status", {"probe": False, "channel": "x"})["payload"]
    assert old.pop("ts") > 0 and new.pop("ts") > 0
    assert old == EMPTY and new == EMPTY | {"statusIssues": []}


def test_nobody_asks_to_write_over_a_channel() -> None:
    payload = call(FakeCore(), make_peer(4, "operator.pairing"), "channels.pairing.list")["payload"]
    limits = {"pendingPerAccount": 0, "ttlMs": 0}
    assert payload == {"accounts": [], "requests": [], "commandOwnerConfigured": False, "limits": limits}


def test_no_node() -> None:
    payload = call(FakeCore(), OLD, "node.list")["payload"]
    assert payload["ts"] > 0 and payload["nodes"] == []
    pairing = make_peer(4, "operator.pairing")
    assert call(FakeCore(), pairing, "node.pair.list")["payload"] == {"pending": [], "paired": []}
    error = call(FakeCore(), OLD, "node.pair.list")["error"]
    assert error["message"] == "missing scope: operator.pairing"


def test_nothing_waits_for_approval() -> None:
    peer = make_peer(4, "operator.approvals")
    for name in ("exec.approval.list", "plugin.approval.list", "openclaw.approval.list"):
        assert call(FakeCore(), peer, name)["payload"] == []
        assert call(FakeCore(), NEW, name)["error"]["message"] == "missing scope: operator.approvals"
    assert call(FakeCore(), peer, "approval.history", {"limit": 100, "kind": "exec"})["payload"] == {"items": []}
    assert call(FakeCore(), peer, "exec.approval.grants.list", {"limit": 500})["payload"] == {"grants": []}


def test_nobody_is_asked() -> None:
    assert call(FakeCore(), make_peer(4, "operator.questions"), "question.list")["payload"] == {"questions": []}
    assert call(FakeCore(), NEW, "question.list")["error"]["message"] == "missing scope: operator.questions"


@pytest.mark.parametrize(
    ("name", "params", "payload"),
    [
        ("tasks.list", {"status": ["queued", "running"], "limit": 500, "agentId": "main"}, {"tasks": []}),
        ("tasks.list", {"status": "failed", "sortBy": "endedAt"}, {"tasks": []}),
        ("environments.list", {"includeDesktopSetup": True}, {"environments": []}),
        ("environments.list", {"projection": "profiles", "runtimeId": "x"}, {"environments": []}),
        ("worktrees.list", {}, {"worktrees": []}),
        ("artifacts.list", {"sessionKey": "main", "type": "image", "limit": 4}, {"artifacts": []}),
    ],
)
def test_there_is_none(name: str, params: dict[str, object], payload: dict[str, object]) -> None:
    assert call(FakeCore(), NEW, name, params)["payload"] == payload
    assert call(FakeCore(), make_peer(3, READ), name, params)["error"]["message"] == f"unknown method: {name}"


def test_no_queue() -> None:
    payload = call(FakeCore(), NEW, "diagnostics.lanes")["payload"]
    assert payload.pop("ts") > 0 and payload == {"lanes": [], "dynamic": None}


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"status": ["x"]}, "at /status/0: must be equal to one of the allowed values"),
        ({"limit": 501}, "at /limit: must be <= 500"),
        ({"cursor": "x" * 513}, "at /cursor: must NOT have more than 512 characters"),
    ],
)
def test_what_is_not_a_filter_of_tasks(params: dict[str, object], fault: str) -> None:
    assert call(FakeCore(), NEW, "tasks.list", params)["error"]["message"].endswith(fault)


def test_no_plugin() -> None:
    assert ask("plugins.list") == {"plugins": [], "diagnostics": [], "mutationAllowed": False}


def test_no_plugin_to_be_had() -> None:
    ask_ = {"intent": "all", "category": "tool", "query": "x", "searchSource": "openclaw-control-ui", "pageSize": 100}
    assert ask("plugins.catalog.browse", **ask_) == {"items": []}


def test_no_voice() -> None:
    payload = ask("talk.catalog", provider="x", model="y")
    assert payload["realtime"] == payload["transcription"] == {"ready": False, "providers": []}
    assert payload["speech"] == {"providers": []}
    assert payload["modes"] == payload["transports"] == payload["brains"] == []


def test_the_themes_of_a_page_itself() -> None:
    payload = ask("themes.list")
    assert payload["current"] == {"id": "claw", "mode": "system", "scope": "gateway", "overrides": {}}
    assert payload["themes"][0] == payload["theme"] and len(payload["themes"]) == 11
    assert (payload["theme"]["id"], payload["theme"]["source"]) == ("claw", "builtin")


def test_no_meeting() -> None:
    payload = ask("transcripts.list", limit=200, startedAfter="2026-01-01T00:00:00Z")
    assert payload == {"sessions": [], "nextCursor": None}


def test_no_skill_is_shared_proposed_or_found() -> None:
    library = call(FakeCore(), NEW, "skills.library.list", {"scope": "all", "sessionKey": "main"})["payload"]
    assert library["entries"] == [] and library["canManageWorkspace"] is False
    assert (library["defaultTarget"], library["profileId"], library["defaultSelectionLimit"]) == ("workspace", None, 64)
    proposals = call(FakeCore(), NEW, "skills.proposals.list", {"agentId": "main"})["payload"]
    assert proposals["proposals"] == proposals["installedSkills"] == []
    assert proposals["schema"] == "openclaw.skill-workshop.proposals-manifest.v1"
    assert call(FakeCore(), NEW, "skills.search", {"query": "x", "limit": 100})["payload"] == {"results": []}
    error = call(FakeCore(), NEW, "skills.search", {"query": ""})["error"]
    assert error["message"] == "invalid skills.search params: at /query: must NOT have fewer than 1 characters"


def test_reading_needs_the_scope() -> None:
    for name in ("skills.status", "skills.library.list", "skills.proposals.list", "skills.search"):
        error = call(FakeCore(), make_peer(4, "operator.pairing"), name)["error"]
        assert error["message"] == "missing scope: operator.read"


def test_no_update() -> None:
    payload = call(FakeCore(), make_peer(4, ADMIN), "update.status", {"refreshCheckout": True})["payload"]
    assert payload == {
        "sentinel": None,
        "updateAvailable": None,
        "effectiveChannel": "stable",
        "schedule": {"channel": "stable", "autoEnabled": False, "install": {"kind": "package"}},
    }


def test_there_are_no_users() -> None:
    error = call(FakeCore(), NEW, "users.self")["error"]
    assert error == {"code": "FORBIDDEN", "message": "users.self requires an authenticated user"}
    assert call(FakeCore(), NEW, "users.list")["payload"] == {"profiles": []}
