from typing import Any

import pytest

from gateway.config.serving import compat, not_honoured, params, route, takes_pictures
from gateway.config.tree import Unusable
from gateway.link.spec import Route, Tls


def plain(place: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Unusable(place, "not a text", "")
    return value


def reached(**request: Any) -> tuple[Route, dict[str, str]]:
    return route("models.providers.p", {"request": request}, plain)


def test_what_is_honoured_is_passed_on_and_what_is_not_is_said() -> None:
    row = {
        "id": "m",
        "compat": {"supportsTools": False, "codeMode": "capable", "cacheControlFormat": "anthropic", "z": 1},
    }
    assert compat("p", row) == {"supportsTools": False}
    told = not_honoured("p", {"models": [row, 3], "region": "eu"})
    assert told == [
        "p.region: has no effect here",
        "p.models[].compat.cacheControlFormat: has no effect here",
        "p.models[].compat.z: unknown, and has no effect",
    ]


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ({"maxTokensField": "maxTokens"}, 'use "max_tokens" or "max_completion_tokens"'),
        ({"supportsTools": "no"}, "use true or false"),
        ({"unsupportedToolSchemaKeywords": "format"}, "use a list of texts"),
        ({"openRouterRouting": []}, "use an object"),
    ],
)
def test_a_value_that_says_nothing_is_an_error(written: dict[str, Any], allowed: str) -> None:
    with pytest.raises(Unusable, match=rf"^p\.models\[\]\.compat\.\w+: not an allowed value; {allowed}$"):
        compat("p", {"compat": written})


@pytest.mark.parametrize(
    ("row", "takes"),
    [({}, True), ({"input": ["text"]}, False), ({"input": ["text", "image"]}, True), ({"input": 1}, True)],
)
def test_a_model_takes_pictures_unless_its_input_says_otherwise(row: dict[str, Any], takes: bool) -> None:
    assert takes_pictures(row) is takes


@pytest.mark.parametrize(
    ("entry", "row", "api", "found"),
    [
        ({}, {"contextWindow": 32768}, "ollama", {"num_ctx": 32768}),
        ({}, {"contextWindow": 32768, "contextTokens": 9000}, "ollama", {"num_ctx": 9000}),
        (
            {"params": {"num_ctx": 7, "keep_alive": "1h"}},
            {"contextWindow": 9},
            "ollama",
            {"num_ctx": 7, "keep_alive": "1h"},
        ),
        ({"params": {"num_gpu": 1}}, {"params": {"num_gpu": 2, "num_ctx": -1}}, "ollama", {"num_gpu": 2}),
        ({}, {"contextWindow": 32768}, "openai-completions", {"num_ctx": 32768}),
        ({"injectNumCtxForOpenAICompat": False}, {"contextWindow": 32768}, "openai-completions", {}),
    ],
)
def test_the_window_is_ollamas_too(entry: Any, row: Any, api: str, found: dict[str, Any]) -> None:
    assert params(entry, row, api, "http://h:11434/v1") == found


def test_another_server_is_told_no_window() -> None:
    assert params({}, {"contextWindow": 32768}, "openai-completions", "http://h:8000/v1") == {}


def test_how_a_provider_is_reached() -> None:
    tls = {"ca": "CA", "cert": "C", "key": "K", "passphrase": "P", "serverName": "n", "insecureSkipVerify": True}
    found, headers = reached(
        headers={"X-A": "1"},
        auth={"mode": "header", "headerName": "X-Key", "value": "s", "prefix": "Key "},
        proxy={"mode": "explicit-proxy", "url": "http://proxy:3128", "tls": {"ca": "PCA"}},
        tls=tls,
        allowPrivateNetwork=True,
    )
    assert found == Route("http://proxy:3128", Tls("PCA"), Tls("CA", "C", "K", "P", "n", True))
    assert headers == {"X-A": "1", "X-Key": "Key s"}
    assert reached(auth={"mode": "authorization-bearer", "token": "t"})[1] == {"Authorization": "Bearer t"}
    assert route("p", {}, plain) == reached() == reached(auth={"mode": "provider-default"}) == (Route(), {})
    assert reached(proxy={"mode": "env-proxy"})[0] == Route()


@pytest.mark.parametrize(
    "request_",
    [
        {"allowPrivateNetwork": False},
        {"tls": {"insecureSkipVerfy": True}},
        {"tls": {"cert": "C"}},
        {"tls": []},
        {"tls": {"insecureSkipVerify": 1}},
        {"proxy": {"mode": "explicit-proxy"}},
        {"proxy": {"mode": "explicit-proxy", "url": "proxy:3128"}},
        {"auth": {"mode": "basic"}},
        {"retries": 3},
        [],
    ],
)
def test_what_restricts_and_is_not_understood_makes_a_model_unusable(request_: Any) -> None:
    with pytest.raises(Unusable, match=r"^models\.providers\.p\.request"):
        route("models.providers.p", {"request": request_}, plain)
