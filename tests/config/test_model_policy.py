from typing import Any

import pytest

from gateway.config import models, old_keys
from gateway.config.tree import Unusable

LOCAL = {"models": {"providers": {"l": {"baseUrl": "http://127.0.0.1:1/v1", "models": [{"id": "a"}, {"id": "b"}]}}}}


def chain(tree: dict[str, Any], wanted: str | None = None) -> list[str]:
    return [f"{each.provider}/{each.id}" for each in models.chain(tree, lambda name: None, "main", wanted)]


@pytest.mark.parametrize(
    "tree",
    [
        {"agent": {"model": "a/b"}}, {"model": "a/b"}, {"defaultModel": "a/b"}, {"agents": {"defaults": {"model": 5}}},
        {"agents": {"defaults": {"model": {"id": "a/b"}}}}, {"agents": {"entries": {"main": {"model": ["a/b"]}}}},
        {"models": {"providers": {"x": {"baseUrl": "http://127.0.0.1:1"}}}},
    ],
)  # fmt: skip
def test_no_echo_answers_for_a_config_that_means_a_model(tree: dict[str, Any]) -> None:
    with pytest.raises(Unusable) as error:
        chain(tree)
    told = (
        [] if error.value.way_out == old_keys.MIGRATE_COMMAND else [str(error.value)]
    )  # else `remarks` tells it, with its line
    assert models.problems(tree, lambda name: None) == told


def test_the_echo_answers_where_nothing_is_said_of_models() -> None:
    assert chain({}) == chain({"models": {"providers": {"builtin": {"paceMs": 5}}}}) == ["builtin/echo"]
    assert chain({"agent": {"model": "a/b"}}, "builtin/echo") == ["builtin/echo"]


@pytest.mark.parametrize(
    ("allowed", "wanted", "fine"),
    [
        ([], "l/b", True), (["l/b"], "l/b", True), (["L/B"], "l/b", True), (["l/*"], "l/b", True),
        (["x/*"], "l/b", False), (["short"], "l/b", True), (["x/y"], "l/a", True), ([5], "l/b", False),
        (["l"], "l/b", False),
    ],
)  # fmt: skip
def test_only_what_the_policy_lets_through_is_chosen(allowed: list[Any], wanted: str, fine: bool) -> None:
    shared = {"model": "l/a", "models": {"l/b": {"alias": "short"}}, "modelPolicy": {"allow": allowed}}
    tree = {**LOCAL, "agents": {"defaults": shared}}
    if fine:
        assert chain(tree, wanted) == [wanted]
    else:
        with pytest.raises(Unusable, match="agents.defaults.modelPolicy.allow"):
            chain(tree, wanted)
        tree["agents"]["entries"] = {"main": {"modelPolicy": {"allow": []}}}
        assert chain(tree, wanted) == [wanted]
