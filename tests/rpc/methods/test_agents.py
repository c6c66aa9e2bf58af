import pytest

from gateway.protocol.scopes import READ
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured

OLD, NEW = make_peer(3, READ), make_peer(4, READ)
TEAM = {
    "session": {"mainKey": "Home", "scope": "global"},
    "agents": {"list": [{"id": "a"}, {"id": "b", "default": True, "identity": {"name": "Bea", "emoji": "🐝"}}]},
}
RUNTIME = {"id": "auto", "cloudPlacementSupported": False, "devicePlacementSupported": False, "source": "implicit"}


def test_the_only_agent_as_protocol_3_shows_it() -> None:
    assert call(configured(), OLD, "agents.list")["payload"] == {
        "defaultId": "main",
        "mainKey": "main",
        "scope": "per-sender",
        "agents": [{"id": "main"}],
    }


def test_the_only_agent_as_protocol_4_shows_it() -> None:
    assert call(configured(), NEW, "agents.list")["payload"] == {
        "defaultId": "main",
        "mainKey": "main",
        "scope": "per-sender",
        "ownership": "sole",
        "selectionRequired": False,
        "agents": [
            {
                "id": "main",
                "workspace": "/home/u/ws",
                "agentRuntime": RUNTIME,
                "thinkingLevels": [{"id": "off", "label": "off"}],
                "thinkingOptions": ["off"],
                "thinkingDefault": "off",
                "model": {"primary": "mock/m1"},
            }
        ],
    }


def test_several_agents() -> None:
    payload = call(configured(TEAM), NEW, "agents.list")["payload"]
    assert (payload["defaultId"], payload["mainKey"], payload["scope"]) == ("b", "home", "global")
    assert payload["ownership"] == "legacy"
    assert [each["workspace"] for each in payload["agents"]] == [
        "/home/u/.openclaw/workspace-a",
        "/home/u/.openclaw/workspace",
    ]
    assert payload["agents"][1]["identity"] == {"name": "Bea", "emoji": "🐝"}
    assert payload["agents"][0]["model"] == {"primary": "builtin/echo"}


def test_nobody_has_named_the_agent() -> None:
    ask = {"sessionKey": "agent:main:main"}
    assert call(configured(), OLD, "agent.identity.get", ask)["payload"] == {
        "agentId": "main",
        "name": "Assistant",
        "avatar": "A",
    }
    assert call(configured(), NEW, "agent.identity.get", ask)["payload"]["nameSource"] == "default"


def test_a_named_agent() -> None:
    for ask in ({}, {"agentId": "B"}, {"sessionKey": "main"}, {"sessionKey": "agent:b:x:y"}):
        payload = call(configured(TEAM), NEW, "agent.identity.get", ask)["payload"]
        assert payload == {"agentId": "b", "name": "Bea", "avatar": "🐝", "emoji": "🐝"}
    own = TEAM | {"ui": {"assistant": {"name": "Us", "avatar": "U"}}}
    payload = call(configured(own), OLD, "agent.identity.get", {"agentId": "a"})["payload"]
    assert payload == {"agentId": "a", "name": "Us", "avatar": "U"}


def test_an_agent_that_does_not_own_the_session() -> None:
    error = call(configured(TEAM), NEW, "agent.identity.get", {"agentId": "a", "sessionKey": "agent:b:main"})["error"]
    assert error["message"] == 'invalid agent.identity.get params: agent "a" does not match session key agent "b"'


@pytest.mark.parametrize("name", ["agents.list", "agent.identity.get"])
def test_reading_needs_the_scope(name: str) -> None:
    error = call(configured(), make_peer(4, "operator.pairing"), name)["error"]
    assert error["message"] == "missing scope: operator.read"
