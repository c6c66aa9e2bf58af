import pytest

from gateway.agent.providers.clients import MAX_CLIENTS, NO_KEY, forget_clients, is_made, model_of, settings_of
from gateway.agent.turn.failed import Failed
from gateway.link.spec import Api, Model

OWN: dict[Api, str] = {
    "openai-completions": "https://api.openai.com/v1/",
    "openai-responses": "https://api.openai.com/v1/",
    "anthropic-messages": "https://api.anthropic.com",
}


@pytest.mark.parametrize("api", OWN)
def test_without_an_address_it_is_the_provider_itself(api: Api) -> None:
    assert model_of(Model("p", "m", api, api_key="key")).base_url == OWN[api]


@pytest.mark.parametrize(
    ("api", "base_url", "found"),
    [
        ("openai-completions", "http://h:1/v1", "http://h:1/v1/"),
        ("anthropic-messages", "http://h:1/v1/", "http://h:1"),
        ("anthropic-messages", "http://h:1", "http://h:1"),
        ("google-generative-ai", "http://h:1/v1beta", "http://h:1/"),
    ],
)
def test_the_version_in_an_address_is_not_said_twice(api: Api, base_url: str, found: str) -> None:
    assert model_of(Model("p", "m", api, base_url, "key")).base_url in (found, found.rstrip("/"))


def test_another_provider_of_openais_protocol_keeps_its_name() -> None:
    assert model_of(Model("ollama", "m", "openai-completions", "http://h/v1")).system == "ollama"
    assert model_of(Model("mine", "m", "openai-completions", "https://api.openai.com/v1", "k")).system == "openai"


def test_a_key_in_the_environment_is_not_ours_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    made = model_of(Model("ollama", "m", "openai-completions", "http://h/v1"))
    assert made.client.api_key == NO_KEY  # type: ignore[attr-defined]


@pytest.mark.parametrize("api", ["openai-completions", "anthropic-messages", "google-generative-ai"])
def test_no_key_for_a_provider_that_wants_one_is_said_before_anything_is_sent(api: Api) -> None:
    with pytest.raises(Failed) as failed:
        model_of(Model("openai", "m", api))
    assert failed.value.failure.kind == "auth"
    assert str(failed.value) == "there is no API key for openai: set models.providers.openai.apiKey in openclaw.json."


@pytest.mark.parametrize("base_url", ["", "h/v1", "ftp://h/v1", "http://", "http://h:port/v1", "http://[::1"])
def test_an_address_that_is_none_is_a_fault_of_the_config(base_url: str) -> None:
    with pytest.raises(Failed, match=r"^models\.providers\.p\.baseUrl must be a URL that begins with http"):
        model_of(Model("p", "m", "openai-completions", base_url, "key"))


def test_a_model_is_made_once_until_its_client_is_forgotten() -> None:
    models = [Model("p", f"m{number}", "openai-completions", "http://h/v1") for number in range(MAX_CLIENTS + 1)]
    forget_clients()
    assert not is_made(models[0])
    assert model_of(models[0]) is model_of(models[0]) and is_made(models[0])
    for each in models[1:]:
        model_of(each)
    assert not is_made(models[0]) and is_made(models[-1])
    forget_clients()
    assert not is_made(models[-1])


@pytest.mark.parametrize("api", ["openai-completions", "openai-responses", "anthropic-messages"])
def test_a_library_retries_nothing_by_itself(api: Api) -> None:
    assert model_of(Model("p", "m", api, api_key="key")).client.max_retries == 0  # type: ignore[attr-defined]
    assert settings_of(Model("p", "m", "google-generative-ai"), "off", 1.0)["max_retries"] == 0


def test_what_is_asked_for_is_only_what_is_set() -> None:
    plain = Model("p", "m", "openai-completions")
    assert settings_of(plain, "off", 120.0) == {"timeout": 120.0}
    full = Model("p", "m", "anthropic-messages", max_tokens=5, headers={"A": "b"}, reasoning=True)
    assert settings_of(full, "low", 1.0) == {
        **{"timeout": 1.0, "max_tokens": 5},
        **{"extra_headers": {"A": "b"}, "thinking": "low", "cache": True},
    }
    assert settings_of(full, "off", 1.0)["thinking"] is False
