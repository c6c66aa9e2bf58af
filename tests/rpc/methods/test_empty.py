"""Channels, nodes, cron, approvals and updates: what a gateway that has none of them says."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.protocol.scopes import ADMIN, READ
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

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


def test_no_job() -> None:
    status = {"enabled": True, "storePath": "/home/u/.openclaw/cron/jobs.json", "jobs": 0, "nextWakeAtMs": None}
    assert call(FakeCore(), OLD, "cron.status")["payload"] == status
    off = configured({"cron": {"enabled": False}})
    assert call(off, NEW, "cron.status")["payload"] == status | {"enabled": False, "triggersEnabled": False}
    assert call(FakeCore(), OLD, "cron.list", {"includeDisabled": True})["payload"] == {"jobs": []}
    ask = {"includeDisabled": True, "limit": 200, "offset": 0, "trigger": "all", "sessionKey": "main"}
    page = call(FakeCore(), NEW, "cron.list", ask)["payload"]
    assert page.pop("snapshotRevision")
    assert page == {"jobs": [], "total": 0, "offset": 0, "limit": 200, "hasMore": False, "nextOffset": None}


def test_no_run() -> None:
    ask = {"scope": "all", "limit": 20, "offset": 5, "statuses": ["ok"], "sortDir": "desc"}
    page = call(FakeCore(), NEW, "cron.runs", ask)["payload"]
    assert page == {"entries": [], "total": 0, "offset": 5, "limit": 20, "hasMore": False, "nextOffset": None}
    assert call(FakeCore(), OLD, "cron.runs", {"id": "x", "limit": 200})["payload"] == {"entries": []}
    assert call(FakeCore(), NEW, "cron.runs", {"scope": "job", "id": "x"})["payload"]["entries"] == []
    error = call(FakeCore(), NEW, "cron.runs", {"scope": "job"})["error"]
    assert error["message"] == "invalid cron.runs params: missing id"


def test_approvals_without_a_file(tmp_path: Path) -> None:
    core = FakeCore(paths=replace(PATHS, state=tmp_path))
    payload = call(core, make_peer(3, ADMIN), "exec.approvals.get")["payload"]
    assert payload == {
        "path": str(tmp_path / "exec-approvals.json"),
        "exists": False,
        "hash": hashlib.sha256(b"").hexdigest(),
        "file": {
            "version": 1,
            "socket": {"path": str(tmp_path / "exec-approvals.sock")},
            "defaults": {},
            "agents": {},
        },
    }
    error = call(core, NEW, "exec.approvals.get")["error"]
    assert error["message"] == "missing scope: operator.admin"


def test_approvals_in_a_file_without_its_secret(tmp_path: Path) -> None:
    stored = {"socket": {"path": "/s", "token": "t0k-t0k"}, "defaults": {"ask": "always"}, "agents": {"main": {}}}
    text = json.dumps(stored)
    (tmp_path / "exec-approvals.json").write_text(text)
    payload = call(FakeCore(paths=replace(PATHS, state=tmp_path)), make_peer(4, ADMIN), "exec.approvals.get")["payload"]
    assert payload["exists"] and payload["hash"] == hashlib.sha256(text.encode()).hexdigest()
    assert payload["file"]["socket"] == {"path": "/s"} and payload["file"]["agents"] == {"main": {}}
    assert payload["resolvedDefaults"]["ask"] == "always" and payload["resolvedDefaults"]["security"] == "full"
    assert "t0k-t0k" not in str(payload)


@pytest.mark.parametrize("text", ["", "[]", "{,", '{"socket": 1, "defaults": []}'])
def test_a_file_without_rules(tmp_path: Path, text: str) -> None:
    (tmp_path / "exec-approvals.json").write_text(text)
    payload = call(FakeCore(paths=replace(PATHS, state=tmp_path)), make_peer(4, ADMIN), "exec.approvals.get")["payload"]
    assert (payload["file"]["defaults"], payload["file"]["agents"]) == ({}, {})


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "exec-approvals.json").mkdir()
    error = call(FakeCore(paths=replace(PATHS, state=tmp_path)), make_peer(4, ADMIN), "exec.approvals.get")["error"]
    assert (error["code"], error["message"]) == ("UNAVAILABLE", "exec-approvals.json cannot be read: Is a directory")


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


def test_no_update() -> None:
    payload = call(FakeCore(), make_peer(4, ADMIN), "update.status", {"refreshCheckout": True})["payload"]
    assert payload == {
        "sentinel": None,
        "updateAvailable": None,
        "effectiveChannel": "stable",
        "schedule": {"channel": "stable", "autoEnabled": False, "install": {"kind": "package"}},
    }


def test_the_machine(tmp_path: Path) -> None:
    payload = call(FakeCore(paths=replace(PATHS, state=tmp_path)), NEW, "system.info")["payload"]
    assert payload["platform"] == "linux" and payload["nodeVersion"].startswith("Python 3.")
    assert (payload["port"], payload["processInstanceId"]) == (18789, "boot-1")
    assert len(payload["loadAverage"]) == 3 and payload["cpuCount"] >= 1
    assert payload["memoryTotalBytes"] >= payload["memoryFreeBytes"] > 0
    assert payload["diskTotalBytes"] >= payload["diskAvailableBytes"]
    gone = call(FakeCore(paths=replace(PATHS, state=tmp_path / "gone")), NEW, "system.info")["payload"]
    assert "diskTotalBytes" not in gone and gone["diskPath"] == str(tmp_path / "gone")


def test_there_are_no_users() -> None:
    error = call(FakeCore(), NEW, "users.self")["error"]
    assert error == {"code": "FORBIDDEN", "message": "users.self requires an authenticated user"}
    assert call(FakeCore(), NEW, "users.list")["payload"] == {"profiles": []}
