"""Variables that the gateway hands on to the agent."""

import os
from collections.abc import Iterator

import pytest

from gateway.agent import environment


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HTTP_PROXY", "http://own:1")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    yield
    environment.adopt({})


def test_what_the_agents_unit_sets_wins_and_the_rest_is_adopted() -> None:
    given = {"HTTP_PROXY": "http://other:2", "HTTPS_PROXY": "http://other:3", "OPENAI_API_KEY": "sk-secret"}
    assert environment.adopt(given) and not environment.adopt(given)
    assert (os.environ["HTTP_PROXY"], os.environ["HTTPS_PROXY"]) == ("http://own:1", "http://other:3")
    assert os.environ.get("OPENAI_API_KEY") != "sk-secret"


def test_what_has_changed_or_gone_follows() -> None:
    environment.adopt({"HTTPS_PROXY": "http://a"})
    assert environment.adopt({"HTTPS_PROXY": "http://b"}) and os.environ["HTTPS_PROXY"] == "http://b"
    assert environment.adopt({}) and "HTTPS_PROXY" not in os.environ
