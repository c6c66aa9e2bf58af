"""`models` as a user types it, against a real gateway."""

import json
from typing import Any

import pytest

from gateway.exits import ExitCode
from tests.cli.talking import Talking

pytestmark = pytest.mark.process


def test_without_a_config_there_is_the_echo(talking: Talking) -> None:
    assert talking.cli("models").stdout.splitlines()[-1].split() == ["*", "builtin/echo", "yes"]
    assert talking.cli("models", "list", "--provider", "openai").stdout == "the config names no model\n"


def test_what_the_config_names(mortal: Talking) -> None:
    models: list[dict[str, Any]] = [{"id": "m1", "name": "One", "contextWindow": 128000, "input": ["text", "image"]}]
    other: dict[str, Any] = {"baseUrl": "http://127.0.0.1:1/v1", "api": "openai-completions", "apiKey": "sk-secret"}
    other["models"] = [{**models[0], "id": "m2"}]
    config = {
        "agents": {"defaults": {"model": {"primary": "b/m2"}}},
        "models": {"providers": {"groq": {"models": models}, "b": other}},
    }
    mortal.write(config)
    assert mortal.cli("reload").returncode == 0
    done = mortal.cli("models")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["MODEL", "CONTEXT", "USABLE", "TAKES"]
    assert ["groq/m1", "128,000", "no", "key", "text,", "image"] in lines
    assert ["*", "b/m2", "128,000", "yes", "text,", "image"] in lines
    assert "sk-secret" not in done.stdout
    rows = json.loads(mortal.cli("models", "--json", "--provider", "groq").stdout)["payload"]["models"]
    assert [row["id"] for row in rows] == ["m1"]


def test_nobody_there(talking: Talking) -> None:
    assert talking.cli("models", "--url", "ws://127.0.0.1:1").returncode == ExitCode.NOT_RUNNING
