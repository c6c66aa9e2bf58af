"""What reaching a model of a provider needs, and what is said where it is missing."""

from typing import Any

import pytest

from gateway.config import providers
from gateway.config.providers import KNOWN, MAX_PACE_MS, SUPPORTED, Provider
from gateway.config.secretref import Unresolved
from gateway.config.tree import Unusable
from gateway.link.spec import Model

ENV = {"OPENAI_API_KEY": "sk-openai", "GOOGLE_API_KEY": "sk-google", "MY_KEY": "sk-mine", "BLANK": "  "}


def of(name: str, **entry: Any) -> Provider:
    found = providers.find_provider({"models": {"providers": {name: entry}}}, name)
    assert found is not None
    return found


def resolve(provider: Provider | None, id: str = "m") -> Model:
    assert provider is not None
    return providers.resolve(provider, id, ENV.get)


def test_a_provider_that_everybody_knows_needs_its_key_alone() -> None:
    model = resolve(providers.find_provider({}, "OpenAI"), "gpt-5.2")
    assert model == Model("openai", "gpt-5.2", "openai-responses", api_key="sk-openai")
    assert resolve(providers.find_provider({}, "gemini")).api_key == "sk-google"
    with pytest.raises(Unusable) as caught:
        resolve(providers.find_provider({}, "anthropic"))
    assert str(caught.value) == (
        'models.providers.anthropic.apiKey: there is no key for the provider "anthropic"; '
        "set ANTHROPIC_API_KEY in .env beside the state or for openclaw-gateway.service "
        "(not for openclaw-agent.service), "
        "or models.providers.anthropic.apiKey"
    )
    assert providers.find_provider({}, "nobody") is None


def test_a_provider_on_the_users_machine_needs_no_key() -> None:
    assert resolve(providers.find_provider({}, "ollama")) == Model(
        "ollama", "m", "ollama", base_url="http://127.0.0.1:11434", silence_ms=providers.LOCAL_SILENCE_S * 1000
    )


def test_a_provider_of_the_config() -> None:
    row = {"id": "m", "reasoning": True, "contextWindow": 9000, "maxTokens": 100.0, "cost": {"input": 1, "output": 2.5}}
    entry = {"baseUrl": "https://h.example/v1/", "apiKey": "k", "headers": {"x-a": "1"}, "models": [row, {"id": "n"}]}
    model = resolve(of("Mine", **entry))
    assert model == Model(
        "Mine",
        "m",
        "openai-completions",
        base_url="https://h.example/v1",
        api_key="k",
        headers={"x-a": "1"},
        max_tokens=100,
        context_window=9000,
        reasoning=True,
        cost={"input": 1.0, "output": 2.5},
    )
    assert resolve(of("mine", **entry, maxTokens=7), "n").max_tokens == 7
    assert resolve(of("mine", **entry), "not listed").context_window is None


def test_a_row_wins_over_its_provider() -> None:
    row = {"id": "m", "api": "anthropic-messages", "headers": {"x": "row"}, "baseUrl": "http://row"}
    model = resolve(of("mine", baseUrl="http://h", headers={"x": "all", "y": "z"}, models=[row]))
    assert (model.api, model.base_url, model.headers) == ("anthropic-messages", "http://row", {"x": "row", "y": "z"})


def test_a_config_for_a_known_provider_keeps_what_it_does_not_say() -> None:
    model = resolve(of("anthropic", apiKey="k"))
    assert (model.api, model.base_url, model.api_key) == ("anthropic-messages", None, "k")
    proxy = resolve(of("anthropic", baseUrl="http://proxy"))
    assert (proxy.base_url, proxy.api_key) == ("http://proxy", None)  # whether the proxy wants a key is its affair


@pytest.mark.parametrize(
    ("entry", "api", "address"),
    [
        ({"api": "ollama", "baseUrl": "http://box:11434"}, "ollama", "http://box:11434"),
        ({"api": "ollama", "baseUrl": "http://box:11434/v1/"}, "ollama", "http://box:11434"),
        ({"baseUrl": "http://box:11434"}, "ollama", "http://box:11434"),
        ({"baseUrl": "http://box:11434/v1"}, "openai-completions", "http://box:11434/v1"),
        ({"api": "openai-completions", "baseUrl": "http://box"}, "openai-completions", "http://box"),
    ],
)
def test_ollama_in_openclaws_words(entry: dict[str, str], api: str, address: str) -> None:
    """It is asked in its own protocol, unless its other one is named."""
    model = resolve(of("ollama", **entry))
    assert (model.api, model.base_url, model.api_key) == (api, address, None)


def test_two_hosts_of_ollama() -> None:
    entries = {
        "ollama": {"baseUrl": "http://one:11434"},
        "ollama-big": {"api": "ollama", "baseUrl": "http://two:11434"},
    }
    found = [resolve(providers.find_provider({"models": {"providers": entries}}, name)) for name in entries]
    assert [(model.api, model.base_url) for model in found] == [
        ("ollama", "http://one:11434"),
        ("ollama", "http://two:11434"),
    ]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("sk-1", "sk-1"),
        (" sk-1 ", "sk-1"),
        ("MY_KEY", "sk-mine"),
        ("NOT_SET", "NOT_SET"),
        ("${MY_KEY}", "sk-mine"),
    ],
)
def test_a_key_as_it_may_be_written(written: Any, found: str) -> None:
    assert resolve(of("mine", baseUrl="http://h", apiKey=written)).api_key == found


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("${NOT_SET}", "the environment variable NOT_SET is not set"),
        ("${BLANK}", "the environment variable BLANK is not set"),
        (Unresolved({"source": "exec"}, "no program", "name one"), "no program; name one"),
        ({}, "not a text"),
        (5, "not a text"),
        ("  ", "not a text"),
    ],
)
def test_a_key_that_is_none(written: Any, problem: str) -> None:
    with pytest.raises(Unusable, match=problem) as caught:
        resolve(of("mine", baseUrl="http://h", apiKey=written))
    assert caught.value.key == "models.providers.mine.apiKey"


@pytest.mark.parametrize(
    ("entry", "key", "problem"),
    [
        ({}, "baseUrl", "it is not set"),
        ({"baseUrl": "h"}, "baseUrl", "not an address"),
        ({"baseUrl": "http://["}, "baseUrl", "not an address"),
        ({"baseUrl": "ftp://h"}, "baseUrl", "not an address"),
        ({"baseUrl": 5}, "baseUrl", "not an address"),
        ({"baseUrl": "http://h", "api": "bedrock-converse-stream"}, "api", "is not supported"),
        ({"baseUrl": "http://h", "auth": "aws-sdk"}, "auth", '"aws-sdk" is not supported'),
        ({"baseUrl": "http://h", "headers": 5}, "headers", "not an object"),
        ({"baseUrl": "http://h", "headers": {"x": 5}}, "headers.x", "not a text"),
    ],
)
def test_what_is_missing_is_named(entry: dict[str, Any], key: str, problem: str) -> None:
    with pytest.raises(Unusable, match=problem) as caught:
        resolve(of("mine", **entry))
    assert caught.value.key == f"models.providers.mine.{key}"


def test_no_secret_gets_into_a_message_or_a_name() -> None:
    with pytest.raises(Unusable) as caught:
        resolve(of("mine", baseUrl="h", apiKey="s3cret", headers={"x": "s3cret"}))
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(resolve(of("mine", baseUrl="http://h", apiKey="s3cret")))


def test_a_key_in_a_header() -> None:
    model = resolve(of("mine", baseUrl="http://h", apiKey="k", authHeader=True))
    assert model.headers == {"Authorization": "Bearer k"}


@pytest.mark.parametrize("name", ["amazon-bedrock", "github-copilot", "google-vertex", "openai-codex"])
def test_known_and_unsupported(name: str) -> None:
    with pytest.raises(Unusable, match="is not supported; use one of openai-completions, openai-responses,"):
        resolve(providers.find_provider({}, name))


def test_every_known_provider_can_be_used_with_its_key() -> None:
    for name, known in KNOWN.items():
        if known.api in SUPPORTED:
            model = providers.resolve(Provider(name, {}, known), "m", {known.variables[0]: "k"}.get)
            assert model.api_key == "k", name


def test_the_pace_of_the_echo() -> None:
    def paced(pace: Any) -> Model:
        return providers.echo({"models": {"providers": {"builtin": {"paceMs": pace}}}})

    assert (paced(0).pace_ms, paced(MAX_PACE_MS).pace_ms, providers.echo({}).pace_ms) == (0, MAX_PACE_MS, 0)
    for wrong in (-1, MAX_PACE_MS + 1, "5", True, None, 1.5):
        with pytest.raises(Unusable, match=r"models\.providers\.builtin\.paceMs"):
            paced(wrong)
    with pytest.raises(Unusable, match="use builtin/echo"):
        providers.echo({}, "other")


def test_providers_with_a_key() -> None:
    tree = {"models": {"providers": {"a": {"baseUrl": "http://h", "apiKey": "k"}, "b": {}, "OpenAI": {}, "c": 5}}}
    found = [(each.name, source) for each, source in providers.with_key(tree, ENV.get)]
    assert found == [("a", "config"), ("OpenAI", "env"), ("google", "env")]
