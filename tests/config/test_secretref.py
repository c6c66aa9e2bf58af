"""References to secrets in the config, without anything outside of it."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.secretproviders import Asked, Definition, SecretRefused
from gateway.config.secretref import PLACES, Unresolved, places, resolve_references

ENV = {"OPENCLAW_GATEWAY_TOKEN": "t-of-env", "KEY": "k"}.get
FILE = {"f": {"source": "file", "path": "/secrets.json"}}


def answering(**values: Any) -> Any:
    """Every provider has these ids; ids that are no identifiers come as `_1`."""

    def ask(asked: Asked) -> Mapping[tuple[str, Definition], Mapping[str, Any] | SecretRefused]:
        return dict.fromkeys(asked, values)

    return ask


def nobody(asked: Asked) -> Any:
    raise AssertionError(asked)


def reference(source: str, id: str, provider: str | None = "default") -> dict[str, str]:
    return {"source": source, "id": id} | ({"provider": provider} if provider else {})


def auth(token: Any, **more: Any) -> dict[str, Any]:
    return {"gateway": {"auth": {"token": token}}, **more}


@pytest.mark.parametrize(
    "token",
    [
        reference("env", "OPENCLAW_GATEWAY_TOKEN"),
        reference("env", "OPENCLAW_GATEWAY_TOKEN", None),
        "$OPENCLAW_GATEWAY_TOKEN",
    ],
)
def test_a_reference_to_the_environment(token: Any) -> None:
    tree = auth(token)
    found = resolve_references(tree, ENV, nobody)
    assert found.tree == auth("t-of-env") and not found.failures
    assert tree == auth(token), "the tree that came in is nobody's to change"


@pytest.mark.parametrize("pattern", PLACES)
def test_each_place_takes_one(pattern: tuple[str, ...]) -> None:
    tree: Any = reference("env", "KEY")
    for step in reversed(pattern):
        tree = (
            [tree] if step == "*" and pattern[pattern.index(step) - 1] == "models" else {step.replace("*", "x"): tree}
        )
    found = resolve_references(tree, ENV, nobody)
    assert [value for _, value in places(found.tree)] == ["k"]


def test_a_file_is_asked_once_for_all_its_ids() -> None:
    asked_for: list[Any] = []

    def ask(asked: Asked) -> Any:
        asked_for.append({key[0]: ids for key, ids in asked.items()})
        return {key: {"/a": "A", "/b": "B"} for key in asked}

    tree = auth(reference("file", "/a", "f"), secrets={"providers": FILE})
    tree["models"] = {"providers": {"p": {"apiKey": reference("file", "/b", "f")}}}
    found = resolve_references(tree, ENV, ask)
    assert asked_for == [{"f": ["/a", "/b"]}]
    assert found.tree["gateway"]["auth"]["token"] == "A" and found.tree["models"]["providers"]["p"]["apiKey"] == "B"


@pytest.mark.parametrize(
    ("token", "providers", "problem"),
    [
        (reference("env", "ABSENT"), {}, "the environment variable ABSENT is not set"),
        ("$ABSENT", {}, "the environment variable ABSENT is not set"),
        (reference("env", "lower"), {}, "no valid id"),
        (reference("env", "KEY", "other"), {}, 'there is no provider "other"'),
        (
            reference("env", "KEY", "only"),
            {"only": {"source": "env", "allowlist": ["A"]}},
            "provider's allowlist",
        ),
        (reference("env", "KEY", "f"), FILE, "has another source"),
        (reference("file", "/a"), {}, 'there is no provider "default"'),
        (reference("file", "a", "f"), FILE, "no valid id"),
        (reference("file", "/a~2", "f"), FILE, "no valid id"),
        (reference("file", "/absent", "f"), FILE, 'gave no text for the id "/absent"'),
        (reference("exec", "a/../b", "f"), FILE, "no valid id"),
        (reference("store", "KEY"), {}, 'the "store" of OpenClaw'),
        (reference("vault", "KEY"), {}, "no valid source"),
        (reference("env", "KEY", "Upper"), {}, "no valid provider"),
        ({"source": "env", "provider": "default", "id": "KEY", "x": 1}, {}, 'unknown key "x"'),
        ({"source": "env"}, {}, "no valid id"),
        ({"source": ["env"]}, {}, "no valid source"),
    ],
)
def test_what_gives_no_secret_says_why_and_nothing_else_is_tried(token: Any, providers: Any, problem: str) -> None:
    found = resolve_references(auth(token, secrets={"providers": providers}), ENV, answering())
    left = found.tree["gateway"]["auth"]["token"]
    assert isinstance(left, Unresolved) and problem in left.problem and left.way_out
    [failure] = found.failures
    assert failure.path == ("gateway", "auth", "token") and problem in str(failure)


@pytest.mark.parametrize(
    ("mode", "asked"), [("token", ["token"]), ("password", ["password"]), ("none", []), (None, ["password", "token"])]
)
def test_a_secret_of_a_mode_that_is_not_chosen_is_not_looked_for(mode: str | None, asked: list[str]) -> None:
    section = {"token": reference("env", "NO_TOKEN"), "password": reference("env", "NO_PASSWORD"), "mode": mode}
    found = resolve_references({"gateway": {"auth": section}}, ENV, nobody)
    assert sorted(str(each.path[-1]) for each in found.failures) == asked


def test_a_server_that_is_disabled_needs_no_secret() -> None:
    server = {"command": "x", "env": {"T": reference("env", "ABSENT")}}
    tree = {"mcp": {"servers": {"a": server | {"enabled": False}, "b": server | {"disabled": True}, "c": server}}}
    assert [each.path[2] for each in resolve_references(tree, ENV, nobody).failures] == ["c"]


def test_what_a_model_had_goes_on_being_used_but_not_at_the_door() -> None:
    tree = auth(reference("file", "/a", "f"), secrets={"providers": FILE})
    tree["models"] = {"providers": {"p": {"apiKey": reference("file", "/b", "f")}}}
    before = resolve_references(tree, ENV, answering(**{"/a": "A", "/b": "B"}))
    after = resolve_references(tree, ENV, answering(), known=before.values)
    assert after.tree["models"]["providers"]["p"]["apiKey"] == "B"
    assert isinstance(after.tree["gateway"]["auth"]["token"], Unresolved)
    assert {each.path[0]: each.stale for each in after.failures} == {"gateway": False, "models": True}
    other = {**tree, "secrets": {"providers": {"f": {"source": "file", "path": "/other.json"}}}}
    moved = resolve_references(other, ENV, answering(), known=before.values)
    assert isinstance(moved.tree["models"]["providers"]["p"]["apiKey"], Unresolved)


def test_only_what_is_wanted_is_asked_for() -> None:
    tree = auth(reference("env", "KEY"), models={"providers": {"p": {"apiKey": reference("file", "/a", "f")}}})
    found = resolve_references(tree, ENV, nobody, lambda path: path[0] == "gateway")
    assert not found.failures and found.tree["models"] == tree["models"]


KEYS = (
    *("gateway", "auth", "token", "password", "mode", "models", "providers", "apiKey", "headers", "mcp", "servers"),
    *("env", "enabled", "secrets", "defaults", "source", "provider", "id", "path", "command"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["env", "file", "exec", "$KEY"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_it_never_raises_whatever_the_tree_is(tree: Any) -> None:
    resolve_references(tree, ENV, answering())


def test_the_tree_that_is_given_stays_as_it_is() -> None:
    tree = auth("$KEY", models={"providers": {"p": {"apiKey": reference("env", "KEY"), "models": []}}})
    before = copy.deepcopy(tree)
    assert resolve_references(tree, ENV, nobody).tree != before == tree
    assert resolve_references(plain := auth("t"), ENV, nobody).tree is plain
