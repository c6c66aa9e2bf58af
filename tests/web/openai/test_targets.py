from pathlib import Path
from typing import Any

import pytest

from gateway.config.files import Snapshot
from gateway.conversations.service import Conversations
from gateway.link.dialer import by_path
from gateway.web.openai.requests import BadRequest
from gateway.web.openai.targets import INVALID_MODEL, RunTarget, names, target
from tests.fakes.core import PATHS, FakeCore

MODELS = {"baseUrl": "http://127.0.0.1:9/v1", "apiKey": "x", "models": [{"id": "m1"}, {"id": "m2"}]}
TREE: dict[str, Any] = {
    "models": {"providers": {"mock": MODELS, "openai": {"models": [{"id": "without-a-key"}]}}},
    "agents": {"list": [{"id": "main"}, {"id": "research"}], "defaults": {"model": {"primary": "mock/m1"}}},
}


@pytest.fixture
def core(tmp_path: Path) -> Any:
    made: Any = FakeCore(snapshot=Snapshot(PATHS.config, True, (), merged=TREE))
    made.paths = PATHS
    made.conversations = Conversations(PATHS, made.hub, lambda: TREE, made.env, lambda: by_path("/nowhere"))
    return made


def find(core: Any, model: str = "openclaw", user: str | None = None, **headers: str) -> RunTarget:
    given = {f"x-openclaw-{name.replace('_', '-')}": value for name, value in headers.items()}
    return target(core, given, model, user)


@pytest.mark.parametrize("model", ["openclaw", "OpenClaw/Default", "", " openclaw "])
def test_the_default_agent(core: Any, model: str) -> None:
    found = find(core, model)
    assert (found.agent, found.model, found.keeps) == ("main", None, False)
    assert found.session.startswith("agent:main:openai:")


@pytest.mark.parametrize("model", ["openclaw/research", "openclaw:research", "agent:research", "openclaw/RESEARCH"])
def test_an_agent_by_the_name_of_the_model(core: Any, model: str) -> None:
    assert find(core, model).agent == "research"


def test_an_agent_by_header_wins(core: Any) -> None:
    assert find(core, agent_id="research").agent == "research"
    assert find(core, agent="research").agent == "research"
    assert find(core, "openclaw/main", agent_id="Research", agent="main").agent == "research"


def test_a_model_of_the_config_by_name_and_by_header(core: Any) -> None:
    assert find(core, "mock/m2").model == "mock/m2"
    found = target(core, {"x-openclaw-model": "mock/m2"}, "openclaw/research", None)
    assert (found.agent, found.model) == ("research", "mock/m2")


@pytest.mark.parametrize("model", ["gpt-5", "mock/m3", "mock/", "openclaw/a b", "openclaw/", "openai/without-a-key"])
def test_other_names_are_refused_in_openclaws_words(core: Any, model: str) -> None:
    with pytest.raises(BadRequest) as refused:
        find(core, model)
    assert str(refused.value) == INVALID_MODEL


def test_what_is_not_there_is_named(core: Any) -> None:
    for model, headers in (("openclaw/nobody", {}), ("openclaw", {"agent_id": "nobody"})):
        with pytest.raises(BadRequest, match=r"^Unknown agent 'nobody'\. This gateway has: main, research\.$"):
            find(core, model, **headers)
    with pytest.raises(BadRequest, match="nowhere"):
        target(core, {"x-openclaw-model": "nowhere/m"}, "openclaw", None)


def test_main_is_the_default_agent_where_no_other_has_the_name(core: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TREE["agents"], "list", [{"id": "research"}, {"id": "voice"}])
    assert find(core, "openclaw:main").agent == find(core, "openclaw/MAIN").agent == "research"


def test_a_user_has_a_session_that_stays(core: Any) -> None:
    found = find(core, "openclaw/research", " Ann ")
    assert (found.session, found.keeps) == ("agent:research:openai-user:ann", True)
    assert find(core, user=" ").keeps is False


@pytest.mark.parametrize(
    ("model", "key", "session", "agent"),
    [
        ("openclaw", "Notes", "agent:main:notes", "main"),
        ("openclaw", "main", "agent:main:main", "main"),
        ("openclaw/research", "notes", "agent:research:notes", "research"),
        ("openclaw", "agent:research:notes", "agent:research:notes", "research"),
        ("openclaw/research", "agent:research:notes", "agent:research:notes", "research"),
    ],
)
def test_a_session_by_header(core: Any, model: str, key: str, session: str, agent: str) -> None:
    found = find(core, model, "ann", session_key=key)
    assert (found.session, found.agent, found.keeps) == (session, agent, True)


@pytest.mark.parametrize(
    ("model", "key", "why"),
    [
        ("openclaw", "subagent:x", "reserved"),
        ("openclaw", "CRON:x", "reserved"),
        ("openclaw", "agent:main:acp:x", "reserved"),
        ("openclaw", "agent:main", "Invalid session"),
        ("openclaw", "x" * 600, "at most 512"),
        ("openclaw/research", "agent:main:x", "a session of agent 'main'"),
    ],
)
def test_sessions_that_cannot_be(core: Any, model: str, key: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        find(core, model, session_key=key)
    with pytest.raises(BadRequest, match="at most 512"):
        find(core, user="x" * 512)


def test_names(core: Any) -> None:
    assert names(core) == [
        ("openclaw", "openclaw"),
        ("openclaw/default", "openclaw"),
        ("openclaw/main", "openclaw"),
        ("openclaw/research", "openclaw"),
        ("mock/m1", "mock"),
        ("mock/m2", "mock"),
    ]
