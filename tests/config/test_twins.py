from pathlib import Path
from typing import Any

import pytest

from gateway.config import twins
from gateway.config.files import read


@pytest.mark.parametrize(
    ("agents", "where"),
    [
        ({"entries": {"Main": {}, "main": {}}}, [("agents", "entries", "main")]),
        ({"entries": {"My Agent": {}, "my-agent": {}, "x": {}}}, [("agents", "entries", "my-agent")]),
        ({"list": [{"id": "A"}, {"id": "b"}, {"id": " a "}]}, [("agents", "list", 2)]),
        ({"list": [{"id": "a"}], "entries": {"A": {}}}, [("agents", "list", 0)]),
        ({"list": [5, {}, {"id": ""}], "entries": {"": {}}}, []),
    ],
)
def test_agents_of_one_name(agents: Any, where: list[Any]) -> None:
    assert [path for path, _ in twins.agents({"agents": agents})] == where


def test_an_agent_under_anothers_name_is_an_error_and_a_provider_a_warning(tmp_path: Path) -> None:
    (file := tmp_path / "openclaw.json").write_text(
        "{agents:{entries:{Main:{},main:{}}},\nmodels:{providers:{OpenAI:{},openai:{}}}}"
    )
    found = read(file, {})
    assert list(map(str, found.issues)) == [
        f'{file}:1:27: agents.entries.main: "Main" and "main" are one name for agents, "main" (rename one of them)'
    ]
    assert (
        f'{file}:2:30: models.providers.openai: "OpenAI" and "openai" are one name for providers, "openai" '
        "(the first one counts)"
    ) in found.warnings
