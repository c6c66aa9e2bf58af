import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.config import files
from gateway.protocol.scopes import ADMIN, READ
from gateway.report import ReloadResult
from tests.fakes.core import PATHS, FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.talking import OLD, talking
from tests.sessions.talk import NOW

NEW = make_peer(4, ADMIN)
TEXT = """// mine
{
  agents: {
    defaults: { model: "builtin/echo" }, // for all
  },
}
"""


class AgentsFile:
    """A config file, and a gateway that reads it."""

    def __init__(self, folder: Path, text: str | None = TEXT) -> None:
        self.folder, self.path = folder, folder / "openclaw.json"
        if text is not None:
            self.path.write_text(text)
            self.path.chmod(0o600)

    @property
    def core(self) -> FakeCore:
        paths = structs.replace(PATHS, config=self.path, state=self.folder)
        done = ReloadResult("hot", "applied")
        return FakeCore(paths=paths, snapshot=files.read(self.path, {}, self.folder), reloaded=done)

    def ok(self, method: str, /, **params: Any) -> dict[str, Any]:
        frame = call(self.core, NEW, method, params)
        assert frame["ok"], frame
        payload: dict[str, Any] = frame["payload"]
        return payload

    def refused(self, method: str, /, **params: Any) -> str:
        before = self.path.read_text()
        frame = call(self.core, NEW, method, params)
        assert not frame["ok"] and self.path.read_text() == before
        message: str = frame["error"]["message"]
        return message

    @property
    def agents(self) -> dict[str, Any]:
        found: dict[str, Any] = files.read(self.path, {}, self.folder).parsed["agents"]
        return found


def test_another_agent_beside_the_one_that_needs_no_words(tmp_path: Path) -> None:
    place = AgentsFile(tmp_path)
    answer = place.ok("agents.create", name=" My Helper ", emoji="🦊")
    workspace = str(tmp_path / "workspace-my-helper")
    assert answer == {"ok": True, "agentId": "my-helper", "name": "My Helper", "workspace": workspace}
    assert place.agents["entries"] == {
        "main": {"default": True},
        "my-helper": {
            "name": "My Helper",
            "workspace": workspace,
            "identity": {"name": "My Helper", "emoji": "🦊"},
        },
    }
    assert place.path.read_text().startswith("// mine") and "// for all" in place.path.read_text()
    assert Path(workspace).is_dir()
    rows = call(place.core, NEW, "agents.list")["payload"]
    assert (rows["defaultId"], [row["id"] for row in rows["agents"]]) == ("main", ["main", "my-helper"])


def test_where_the_file_has_a_list_it_is_lengthened(tmp_path: Path) -> None:
    place = AgentsFile(tmp_path, f'{{agents: {{list: [{{id: "a"}}], defaults: {{workspace: "{tmp_path}/ws"}}}}}}')
    answer = place.ok("agents.create", name="b", workspace=str(tmp_path / "b"), model="builtin/echo")
    assert (answer["model"], answer["workspace"]) == ("builtin/echo", str(tmp_path / "b"))
    assert [each["id"] for each in place.agents["list"]] == ["a", "b"]
    assert place.ok("agents.create", name="c")["workspace"] == str(tmp_path / "ws" / "c")


def test_without_a_file_there_is_one_then(tmp_path: Path) -> None:
    place = AgentsFile(tmp_path, None)
    place.ok("agents.create", name="x")
    assert list(place.agents["entries"]) == ["main", "x"]


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"name": "Main"}, 'agent "main" already exists'),
        ({"name": "!!!"}, 'Agent name "!!!" has no valid id characters. Use at least one letter a-z or digit.'),
    ],
)
def test_a_name_that_gives_no_agent(tmp_path: Path, params: dict[str, Any], sentence: str) -> None:
    assert AgentsFile(tmp_path).refused("agents.create", **params) == sentence


def test_a_model_must_be_usable(tmp_path: Path) -> None:
    place = AgentsFile(tmp_path)
    for name, params in (("agents.create", {"name": "x"}), ("agents.update", {"agentId": "main"})):
        assert place.refused(name, **params, model="x").startswith('invalid model: model: "x" names no provider')


def test_agents_in_another_file_are_changed_there(tmp_path: Path) -> None:
    (tmp_path / "agents.json").write_text("{} // agents")
    place = AgentsFile(tmp_path, text := '{agents: {$include: "./agents.json"}}')
    place.ok("agents.create", name="x")
    assert place.path.read_text() == text
    assert '"x"' in (told := (tmp_path / "agents.json").read_text()) and "// agents" in told


def test_other_words_for_an_agent(tmp_path: Path) -> None:
    place = AgentsFile(tmp_path)
    assert place.ok("agents.update", agentId="MAIN", name="Sam", model="builtin/echo", emoji="🦥") == {
        "ok": True,
        "agentId": "main",
    }
    assert place.agents["entries"]["main"] == {
        "name": "Sam",
        "model": "builtin/echo",
        "identity": {"name": "Sam", "emoji": "🦥"},
    }
    place.ok("agents.update", agentId="main", model=None, emoji="", workspace=str(tmp_path / "w"))
    assert place.agents["entries"]["main"] == {
        "name": "Sam",
        "workspace": str(tmp_path / "w"),
        "identity": {"name": "Sam"},
    }
    assert (tmp_path / "w").is_dir()
    assert place.refused("agents.update", agentId="nobody", name="x") == 'agent "nobody" not found'


def test_one_agent_less(tmp_path: Path) -> None:
    text = '{agents: {list: [{id: "a"}, {id: "B"}]}, bindings: [{agentId: "b"}, {agentId: "a"}, 5]}'
    place = AgentsFile(tmp_path, text)
    answer = place.ok("agents.delete", agentId="b")
    assert answer == {"ok": True, "agentId": "b", "removedBindings": 1, "removed": [], "failed": []}
    parsed = files.read(place.path, {}, tmp_path).parsed
    assert parsed == {"agents": {"list": [{"id": "a"}]}, "bindings": [{"agentId": "a"}, 5]}
    assert place.refused("agents.delete", agentId="a") == 'agent "a" is the default agent and cannot be deleted'
    assert place.refused("agents.delete", agentId="b") == 'agent "b" not found'


def test_its_sessions_go_only_on_request(tmp_path: Path) -> None:
    async def scenario() -> None:
        text = "{agents: {entries: {a: {}, b: {}, c: {}}}}"
        place = AgentsFile(tmp_path, text)
        async with talking(tmp_path) as talk:
            for agent in ("b", "c"):
                await talk.store.patch(f"agent:{agent}:x", agent, lambda _: {}, NOW)
            talk.core.snapshot = place.core.snapshot
            await talk.get("agents.delete", {"agentId": "b"})
            assert await talk.store.session("agent:b:x") is not None
            gone = await talk.get("agents.delete", {"agentId": "c", "deleteFiles": True})
            assert gone["removed"] == [{"path": "agent:c:x", "method": "deleted"}]
            assert await talk.store.session("agent:c:x") is None

    asyncio.run(scenario())


def test_a_client_of_protocol_3_means_its_sessions_too(tmp_path: Path) -> None:
    """`deleteFiles` is true there by itself."""

    async def scenario() -> None:
        place = AgentsFile(tmp_path, "{agents: {entries: {a: {}, b: {}}}}")
        async with talking(tmp_path) as talk:
            await talk.store.patch("agent:b:x", "b", lambda _: {}, NOW)
            talk.core.snapshot = place.core.snapshot
            gone = await talk.get("agents.delete", {"agentId": "b"}, OLD)
            assert gone == {"ok": True, "agentId": "b", "removedBindings": 0}
            assert await talk.store.session("agent:b:x") is None

    asyncio.run(scenario())


def test_changing_agents_is_for_administrators(tmp_path: Path) -> None:
    place = AgentsFile(tmp_path)
    for name, params in (("agents.create", {"name": "x"}), ("agents.delete", {"agentId": "x"})):
        error = call(place.core, make_peer(4, READ), name, params)["error"]
        assert error["message"] == "missing scope: operator.admin"


def test_what_was_not_applied_is_said(tmp_path: Path) -> None:
    place = AgentsFile(tmp_path)
    core = replace(place.core, reloaded=ReloadResult("failed", "it cannot be"))
    error = call(core, NEW, "agents.create", {"name": "x"})["error"]
    assert error["message"] == f"{place.path} was written, but not applied: it cannot be"
