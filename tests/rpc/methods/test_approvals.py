"""Approvals: the file of rules as it lies there, and nothing that waits."""

import hashlib
import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.protocol.scopes import ADMIN, READ
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer

OLD, NEW = make_peer(3, READ), make_peer(4, READ)


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
