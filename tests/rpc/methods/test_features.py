"""Features that are off: what a page is told, in the shapes that OpenClaw 2026.9.6 gave without any of them."""

from typing import Any

import pytest

from gateway.protocol.scopes import ADMIN, READ
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD, NEW = make_peer(3, READ), make_peer(4, READ)
TEAM = {"agents": {"list": [{"id": "a", "workspace": "/w"}, {"id": "b", "default": True}]}}
TWO = {"agents": {"list": [{"id": "a"}, {"id": "b", "default": True}]}}


def ask(name: str, core: FakeCore | None = None, **params: Any) -> dict[str, Any]:
    payload: dict[str, Any] = call(core or FakeCore(), NEW, name, params)["payload"]
    return payload


def test_no_memory() -> None:
    payload = ask("doctor.memory.status", configured(TEAM))
    assert (payload["agentId"], payload["provider"], payload["searchRuntimeRegistered"]) == ("b", "none", False)
    assert payload["embedding"] == {"ok": False, "checked": False, "error": "this gateway keeps no memory"}
    assert ask("doctor.memory.status", configured(TEAM), agentId="A", probe=True)["agentId"] == "a"


def test_no_memory_for_protocol_3() -> None:
    payload = call(configured(TEAM), make_peer(3, READ), "doctor.memory.status", {})["payload"]
    assert payload == {"agentId": "b", "embedding": {"ok": False, "error": "this gateway keeps no memory"}}


@pytest.mark.parametrize("protocol", [3, 4])
def test_no_tool_of_its_own(protocol: int) -> None:
    """As 2026.2.26 asks for its agents' page."""
    ask_ = {"agentId": "a", "includePlugins": True}
    payload = call(configured(TEAM), make_peer(protocol, READ), "tools.catalog", ask_)["payload"]
    assert (payload["agentId"], payload["groups"]) == ("a", [])
    assert [profile["id"] for profile in payload["profiles"]] == ["minimal", "coding", "messaging", "full"]


def test_nothing_to_import() -> None:
    admin = make_peer(4, ADMIN)
    payload = call(configured(TEAM), admin, "migrations.memory.plan", {"agentId": "a", "overwrite": False})["payload"]
    assert payload == {"agentId": "a", "workspace": "/w", "providers": []}
    error = call(configured(TEAM), NEW, "migrations.memory.plan", {"agentId": "a"})["error"]
    assert error["message"] == "missing scope: operator.admin"


def test_no_github_account() -> None:
    payload = ask("tools.github.status", agentId="main", selectedScope="agent")
    assert payload["selected"] == {"scope": "agent", "configured": False, "identity": None}
    assert payload["effective"]["credentialState"] == "unavailable" and payload["effective"]["account"] is None
    assert (payload["agentId"], payload["selectedScope"]) == ("main", "agent")


def test_no_web_search() -> None:
    payload = ask("webSearch.status", configured())
    assert payload.pop("route") == {"kind": "unavailable", "label": "Not available on this gateway", "testable": False}
    assert payload == {
        "enabled": False,
        "provider": None,
        "agentId": "main",
        "model": {"provider": "mock", "id": "m1", "runtime": "unknown"},
        "providers": [],
    }
    assert ask("webSearch.status")["model"]["id"] == "echo"
    assert ask("webSearch.status", modelProvider="p", modelId="m")["model"]["provider"] == "p"


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("doctor.memory.status", {}),
        ("webSearch.status", {}),
        ("tools.github.status", {"selectedScope": "system"}),
    ],
)
def test_an_agent_that_is_not_there(name: str, params: dict[str, str]) -> None:
    error = call(FakeCore(), NEW, name, {"agentId": "zzz"} | params)["error"]
    assert error == {"code": "INVALID_REQUEST", "message": 'unknown agent id "zzz"'}


def test_no_skill_is_loaded() -> None:
    shown = {"workspaceDir": "/home/u/ws", "managedSkillsDir": "/home/u/.openclaw/skills", "skills": []}
    assert call(configured(), OLD, "skills.status")["payload"] == shown
    assert call(configured(), NEW, "skills.status", {"agentId": "main"})["payload"] == shown | {"agentId": "main"}
    of_session = call(configured(TWO), NEW, "skills.status", {"sessionKey": "agent:a:main"})["payload"]
    assert (of_session["agentId"], of_session["workspaceDir"]) == ("a", "/home/u/.openclaw/workspace-a")
    error = call(configured(), NEW, "skills.status", {"agentId": "zzz"})["error"]
    assert error["message"] == 'unknown agent id "zzz"'
