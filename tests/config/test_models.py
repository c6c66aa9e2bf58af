"""Which models answer for an agent, whatever the file says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import models, providers
from gateway.config.models import ModelRef
from gateway.config.tree import Unusable
from gateway.link.spec import Bounds, Model

MOCK = {
    "baseUrl": "http://127.0.0.1:9/v1",
    "models": [{"id": "m1", "name": "One", "contextWindow": 5000}, {"id": "m2"}],
}


def nothing(name: str) -> str | None:
    return None


def tree(model: Any = None, agents: Any = None, **providers: Any) -> dict[str, Any]:
    section: dict[str, Any] = {"defaults": {"model": model}, "entries": agents or {}}
    return {"agents": section, "models": {"providers": {"mock": MOCK, **providers}}}


def names(found: list[Model]) -> list[str]:
    return [f"{each.provider}/{each.id}" for each in found]


def test_with_nothing_configured_the_echo_answers() -> None:
    assert models.chain({}, nothing, "main") == [Model("builtin", "echo", "builtin")]
    assert models.default_model({}) == ModelRef("builtin", "echo")


def test_the_only_models_of_a_file_need_no_other_mention() -> None:
    assert names(models.chain({"models": {"providers": {"mock": MOCK}}}, nothing, "main")) == ["mock/m1"]


def test_primary_and_fallbacks_in_their_order_and_once() -> None:
    found = models.chain(tree({"primary": "mock/m2", "fallbacks": ["mock/m1", "mock/m2"]}), nothing, "main")
    assert names(found) == ["mock/m2", "mock/m1"]


def test_an_agents_own_model_comes_first() -> None:
    config = tree({"primary": "mock/m1", "fallbacks": ["mock/m3"]}, {"helper": {"model": "mock/m2"}})
    assert names(models.chain(config, nothing, "helper")) == ["mock/m2"]
    assert names(models.chain(config, nothing, "nobody")) == ["mock/m1", "mock/m3"]


def test_what_is_wanted_answers_or_nothing_does() -> None:
    config = tree({"primary": "mock/m1", "fallbacks": ["mock/m3"]})
    assert names(models.chain(config, nothing, "main", "mock/m3")) == ["mock/m3"]
    assert names(models.chain(config, nothing, "main", "builtin/echo")) == ["builtin/echo"]


def test_what_is_wanted_must_be_usable() -> None:
    with pytest.raises(Unusable, match='there is no provider "nobody"; add it there, or use one of openai, anthropic,'):
        models.chain(tree("mock/m1"), nothing, "main", "nobody/x")


def test_what_cannot_be_used_is_passed_over_and_told_of() -> None:
    config = tree({"primary": "openai/gpt-5.2", "fallbacks": ["mock/m1"]})
    assert names(models.chain(config, nothing, "main")) == ["mock/m1"]
    assert models.problems(config, nothing) == [
        'agents.defaults.model: models.providers.openai.apiKey: there is no key for the provider "openai"; '
        "set OPENAI_API_KEY in .env beside the state or for openclaw-gateway.service "
        "(not for openclaw-agent.service), "
        "or models.providers.openai.apiKey"
    ]
    with pytest.raises(Unusable, match="OPENAI_API_KEY"):
        models.chain(tree("openai/gpt-5.2"), nothing, "main")
    assert models.problems(tree("mock/m1"), nothing) == []


def test_a_problem_names_the_agent_that_has_it() -> None:
    config = {"agents": {"list": [{"id": "a", "model": "x"}, {"id": "b"}]}}
    assert models.problems(config, nothing) == [
        'agents.list[0].model: "x" names no provider; write it as "provider/model", such as "openai/gpt-5.2"'
    ]


def test_aliases() -> None:
    config = tree("fast", {"helper": {"models": {"mock/m1": {"alias": "FAST"}}}})
    config["agents"]["defaults"]["models"] = {"mock/m2": {"alias": "Fast"}, "odd": {"alias": "odd"}, "mock/m3": 5}
    assert names(models.chain(config, nothing, "main")) == ["mock/m2"]
    assert names(models.chain(config, nothing, "helper")) == ["mock/m1"]
    assert names(models.chain(config, nothing, "main", " fAST "))[0] == "mock/m2"


def test_an_id_alone_is_enough_where_one_provider_lists_it() -> None:
    assert models.parse(tree(), "model", "m1") == ModelRef("mock", "m1")
    with pytest.raises(Unusable, match='^model: "m1" names no provider'):
        models.parse(tree(other=MOCK), "model", "m1")


@pytest.mark.parametrize("name", ["/", "a/", "/b", "", " "])
def test_half_a_name_is_none(name: str) -> None:
    with pytest.raises(Unusable, match="names no provider"):
        models.parse({}, "model", name)


def test_an_id_may_have_slashes() -> None:
    assert models.parse({}, "model", "OpenRouter/qwen/qwen3:free") == ModelRef("openrouter", "qwen/qwen3:free")


def test_the_configs_own_environment_counts() -> None:
    config = {"env": {"vars": {"OPENAI_API_KEY": "k1"}}, "agents": {"defaults": {"model": "openai/gpt-5.2"}}}
    assert models.chain(config, nothing, "main")[0].api_key == "k1"
    assert models.chain(config, {"OPENAI_API_KEY": "k2"}.get, "main")[0].api_key == "k2"


def test_the_window_of_a_model() -> None:
    assert models.window(tree(), ModelRef("mock", "m1")) == 5000
    assert models.window(tree(), ModelRef("mock", "m2")) is None
    config = tree()
    config["agents"]["defaults"]["contextTokens"] = 7
    assert models.window(config, ModelRef("mock", "m1")) == 7


def test_models_to_choose_from() -> None:
    config = tree({"primary": "openai/gpt-5.2", "fallbacks": ["mock/m2"]})
    found = models.list_models(config, nothing)
    assert [(str(each.ref), each.name, each.tags, each.available) for each in found] == [
        ("mock/m1", "One", (), True),
        ("mock/m2", "m2", ("fallback",), True),
        ("openai/gpt-5.2", "gpt-5.2", ("default",), False),
    ]


def test_bounds() -> None:
    assert models.bounds({}) == Bounds()
    for seconds, expected in (
        (1, 1000),
        (0, models.MAX_TIMEOUT_S * 1000),
        (models.MAX_TIMEOUT_S + 1, models.MAX_TIMEOUT_S * 1000),
        (-1, Bounds().timeout_ms),
        ("5", Bounds().timeout_ms),
        (False, Bounds().timeout_ms),
    ):
        config = {"agents": {"defaults": {"timeoutSeconds": seconds}}}
        assert models.bounds(config).timeout_ms == expected, seconds


def test_patience_with_a_provider_is_its_own() -> None:
    """One on the user's own machine may be loading its model; a fallback is not waited for as the first one is."""
    names = {"primary": "ollama/x", "fallbacks": ["mock/m1", "slow/m"]}
    found = models.chain(tree(names, slow={"timeoutSeconds": 7, "baseUrl": "http://h"}), nothing, "main")
    assert [each.silence_ms for each in found] == [providers.LOCAL_SILENCE_S * 1000, None, 7000]


def test_what_is_asked_for_and_not_done_is_said() -> None:
    config = tree("mock/m1")
    config["models"]["providers"]["mock"]["models"][0]["compat"] = {"cacheControlFormat": "anthropic", "zzz": 1}
    told = models.problems(config, nothing)
    assert "models.providers.mock.models[].compat.cacheControlFormat: has no effect here" in told
    assert "models.providers.mock.models[].compat.zzz: unknown, and has no effect" in told


KEYS = [
    *(
        "agents",
        "defaults",
        "entries",
        "list",
        "id",
        "model",
        "models",
        "primary",
        "fallbacks",
        "alias",
        "main",
        "mock",
    ),
    *("providers", "openai", "builtin", "apiKey", "baseUrl", "api", "headers", "cost", "paceMs", "contextTokens"),
    *("timeoutSeconds", "env", "vars", "auth", "source", "mock/m1", "maxTokens", "input"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
WORDS = st.sampled_from(
    ["mock/m1", "openai/x", "builtin/echo", "m1", "${A}", "$A", "env", "http://h", "http://[", "ollama"]
)
ANYTHING = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=40,
)
TREES = st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=6)
PROVIDERS = st.fixed_dictionaries(
    {
        "agents": ANYTHING,
        "models": st.fixed_dictionaries({"providers": st.dictionaries(st.sampled_from(["mock", "openai"]), ANYTHING)}),
    }
)


@given(TREES | PROVIDERS, st.none() | WORDS | st.text(max_size=8), st.sampled_from([None, "k"]))
def test_whatever_stands_in_a_file_nothing_but_unusable_is_raised(
    config: dict[str, Any], wanted: str | None, value: str | None
) -> None:
    def env(name: str) -> str | None:
        return value

    try:
        assert models.chain(config, env, "main", wanted)
    except Unusable as error:
        assert error.key and error.problem and error.way_out
    models.problems(config, env)
    models.bounds(config)
    models.window(config, models.default_model(config))
    models.list_models(config, env)
