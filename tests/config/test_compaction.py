"""agents.defaults.compaction, as OpenClaw writes it and as people mistype it."""

from typing import Any

import pytest

from gateway.config.compaction import compaction
from gateway.config.models import MAX_TIMEOUT_S
from gateway.link.spec import Compaction

PROVIDERS = {"providers": {"mock": {"baseUrl": "http://127.0.0.1:9/v1", "apiKey": "x", "models": [{"id": "m1"}]}}}


def read(written: Any, **defaults: Any) -> Compaction:
    tree = {"models": PROVIDERS, "agents": {"defaults": {"model": "mock/m1", "compaction": written, **defaults}}}
    return compaction(tree, lambda name: None, "main", "high")


def test_it_is_on_by_default() -> None:
    assert read({}) == Compaction(keep_tokens=20_000, keep_turns=3, timeout_ms=180_000, thinking="low")


def test_what_is_written_counts() -> None:
    written = {
        "enabled": False,
        "mode": "safeguard",
        "keepRecentTokens": 50_000,
        "recentTurnsPreserve": 0,
        "timeoutSeconds": 60,
        "thinkingLevel": "off",
        "identifierPolicy": "off",
        "notifyUser": True,
        "model": "mock/m2",
    }
    found = read(written, contextTokens=9000)
    assert found.model is not None and found.model.id == "m2"
    assert (found.enabled, found.keep_tokens, found.keep_turns, found.timeout_ms) == (False, 50_000, 0, 60_000)
    assert (found.thinking, found.strict, found.notify, found.window) == ("off", False, True, 9000)
    assert read({"thinkingLevel": "inherit"}).thinking == "high"


@pytest.mark.parametrize(
    "written",
    [
        None,
        "yes",
        {"enabled": "no", "keepRecentTokens": -1, "recentTurnsPreserve": "3", "timeoutSeconds": 0},
        {"thinkingLevel": "much", "identifierPolicy": 7, "notifyUser": "true", "model": "nobody/m9"},
        {"recentTurnsPreserve": False, "model": 5},
    ],
)
def test_what_is_mistyped_does_not(written: Any) -> None:
    assert read(written) == read({})


def test_the_longest_time() -> None:
    assert read({"timeoutSeconds": MAX_TIMEOUT_S}).timeout_ms == MAX_TIMEOUT_S * 1000
    assert read({"timeoutSeconds": MAX_TIMEOUT_S + 1}).timeout_ms == MAX_TIMEOUT_S * 1000
