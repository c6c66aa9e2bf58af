from typing import Any

import pytest

from gateway.config import switches

SERVER = {"mcp": {"servers": {"a": {"command": "x"}}}}


@pytest.mark.parametrize(
    ("value", "on"),
    [
        ({"enabled": False}, False), ({"mode": "off"}, False), ({}, False), ([], False), (None, False), ("off", False),
        (False, False), (0, False), ({"enabled": True}, True), ({"a": 1}, True), ({"mode": "serve"}, True),
        (["x"], True), (True, True), ("x", True), ({"enabled": False, "mode": "serve"}, False), ({"mode": 0}, False),
    ],
)  # fmt: skip
def test_on(value: Any, on: bool) -> None:
    assert switches.on(value, {}) is on


@pytest.mark.parametrize(
    ("value", "stricter"),
    [
        ({}, False), (5, False), ({"maxAttempts": 10, "windowMs": 60_000, "lockoutMs": 300_000}, False),
        ({"maxAttempts": 9}, True), ({"windowMs": 60_001}, True), ({"lockoutMs": 300_001}, True),
        ({"exemptLoopback": False}, True), ({"exemptLoopback": True, "maxAttempts": 100}, False),
    ],
)  # fmt: skip
def test_a_stricter_bound_on_guesses(value: Any, stricter: bool) -> None:
    assert switches.stricter_rate(value, {}) is stricter


@pytest.mark.parametrize(
    ("mode", "more", "kept"),
    [
        ("all", SERVER, True), ("non-main", SERVER, True), ("off", SERVER, False), ("all", {}, False),
        ("all", {"mcp": {"servers": {"a": {"enabled": False}}}}, False),
        ("all", {**SERVER, "tools": {"sandbox": {"tools": {"alsoAllow": ["bundle-mcp"]}}}}, False),
        ("all", {**SERVER, "tools": {"sandbox": {"tools": {"alsoAllow": ["bundle-mcp"], "deny": ["x"]}}}}, True),
    ],
)  # fmt: skip
def test_a_sandbox_keeps_tools_only_where_there_are_some(mode: str, more: dict[str, Any], kept: bool) -> None:
    assert switches.sandboxed({"mode": mode}, more) is kept


@pytest.mark.parametrize(
    ("policy", "denies"),
    [
        ({"default": "deny"}, True), ({"default": "allow"}, False), (5, False), ({"rules": 5}, False),
        ({"rules": [{"action": "deny", "match": {"channel": "discord"}}]}, False),
        ({"rules": [{"action": "deny", "match": {"keyPrefix": "agent:x"}}]}, True),
        ({"rules": [{"action": "deny", "match": {"channel": "webchat"}}]}, True),
        ({"rules": [{"action": "allow"}]}, False),
    ],
)  # fmt: skip
def test_a_policy_that_closes_sessions_to_this_port(policy: Any, denies: bool) -> None:
    assert switches.denies_sending(policy, {}) is denies


def test_the_other_switches() -> None:
    assert switches.enabled({"enabled": True}, {}) and not switches.enabled({"x": 1}, {})
    assert switches.remote("remote", {}) and not switches.remote("local", {})
    assert switches.spoken({"auto": "always"}, {}) and not switches.spoken({"auto": "off"}, {})
    assert switches.beats({"every": "30m"}, {}) and not switches.beats({"every": "0m"}, {})
    assert switches.resets({"mode": "daily"}, {}) and not switches.resets({"mode": "none"}, {})
    assert switches.cleans({"mode": "enforce"}, {}) and not switches.cleans({"mode": "warn"}, {})
