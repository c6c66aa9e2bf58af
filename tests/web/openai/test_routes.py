"""The paths of OpenAI's API: who may ask, with which verb, and the models."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI, AuthenticationError, NotFoundError

from gateway.access.devices import Devices, Granted, PairingRequest
from gateway.config.schema import Config
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.scopes import READ, WRITE
from tests.web.puppet import Scene, talking

KEY = "jwG5cru2rySS0G3Uf88PwSo-ypZLDrfDAmP5GGl0VDg"
QUESTION = {"messages": [{"role": "user", "content": "hi"}]}
Play = Callable[[Callable[[Scene], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(scene: Callable[[Scene], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with talking(tmp_path) as it:
                await scene(it)

        asyncio.run(whole())

    return run


def test_openais_client_lists_the_models(play: Play) -> None:
    async def scene(it: Scene) -> None:
        async with AsyncOpenAI(base_url=it.url, api_key="t0k") as client:
            listed = [model.id async for model in client.models.list()]
            assert listed == ["openclaw", "openclaw/default", "openclaw/main", "builtin/echo"]
            assert (await client.models.retrieve("openclaw/default")).id == "openclaw/default"
            with pytest.raises(NotFoundError, match="Model 'gpt-5' not found."):
                await client.models.retrieve("gpt-5")

    play(scene)


def test_a_model_by_its_encoded_name_and_the_list_with_a_slash(play: Play) -> None:
    async def scene(it: Scene) -> None:
        one = await it.ask(b"", path="/v1/models/openclaw%2Fdefault", method="GET")
        assert (await one.json())["id"] == "openclaw/default"
        assert (await (await it.ask(b"", path="/v1/models/", method="GET")).json())["object"] == "list"

    play(scene)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", b"POST"),
        ("POST", "/v1/models", b"GET, HEAD"),
        ("OPTIONS", "/v1/chat/completions", b"POST"),
    ],
)
def test_another_verb_is_told_which_is_right_even_without_a_secret(
    play: Play, method: str, path: str, allow: bytes
) -> None:
    async def scene(it: Scene) -> None:
        reply = await it.ask(b"", "authorization: Bearer no", path=path, method=method)
        assert await reply.status() == 405 and b"allow: %b\r\n" % allow in reply.head
        assert (await reply.json())["error"]["message"].endswith(
            f"this path takes {allow.decode().replace(', ', ' and ')}."
        )

    play(scene)


def test_a_wrong_secret_gets_nothing_and_the_body_is_not_read(play: Play) -> None:
    async def scene(it: Scene) -> None:
        async with AsyncOpenAI(base_url=it.url, api_key="wrong") as client:
            with pytest.raises(AuthenticationError, match="Unauthorized"):
                await client.chat.completions.create(model="openclaw", messages=[{"role": "user", "content": "hi"}])
        for path, method in (("/v1/models", "GET"), ("/v1/chat/completions", "POST")):
            reply = await it.ask(b"{", "authorization: Bearer no", path=path, method=method)
            assert await reply.status() == 401
            assert await reply.json() == {"error": {"message": "Unauthorized", "type": "unauthorized"}}

    play(scene)


def test_what_is_switched_off_is_not_there_and_comes_without_a_restart(play: Play) -> None:
    async def scene(it: Scene) -> None:
        on, it.core.config = it.core.config, Config()
        for path, method in (("/v1/models", "GET"), ("/v1/chat/completions", "POST")):
            reply = await it.ask(b"", path=path, method=method)
            assert await reply.status() == 404
            assert "gateway.http.endpoints.chatCompletions.enabled" in (await reply.json())["error"]["message"]
        it.core.config = on
        assert await (await it.ask(b"", path="/v1/models", method="GET")).status() == 200
        assert await (await it.ask(b"", path="/v1/responses")).status() == 404

    play(scene)


def token(it: Scene, folder: Path, scope: str) -> str:
    it.core.devices = Devices(folder)
    asking = PairingRequest(device_id="d1", public_key=KEY, role="operator", scopes=(scope,), local=True, protocol=4)
    granted = it.core.devices.pair(asking)
    assert isinstance(granted, Granted)
    return granted.token


def test_a_device_may_begin_runs_if_it_may_write(play: Play, tmp_path: Path) -> None:
    async def scene(it: Scene) -> None:
        reader = f"authorization: Bearer {token(it, tmp_path / 'a', READ)}"
        assert await (await it.ask(b"", reader, path="/v1/models", method="GET")).status() == 200
        refused = await it.ask(QUESTION, reader)
        assert await refused.status() == 403
        assert (await refused.json())["error"]["message"] == "missing scope: operator.write"
        writer = f"authorization: Bearer {token(it, tmp_path / 'b', WRITE)}"
        await it.ask(QUESTION, writer)
        assert len(await it.puppet.begun()) == 1

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    play(scene)


def test_without_a_secret_no_page_of_another_place_begins_runs(play: Play) -> None:
    async def scene(it: Scene) -> None:
        it.core.auth = AuthPolicy("none")
        page = await it.ask(QUESTION, "origin: https://evil.example", "content-type: text/plain")
        assert await page.status() == 401 and not it.puppet.specs
        ui = replace(it.core.config.gateway.control_ui, allowed_origins=("https://ui.example",))
        it.core.config = replace(it.core.config, gateway=replace(it.core.config.gateway, control_ui=ui))
        await it.ask(QUESTION, "origin: https://ui.example")
        await it.ask(QUESTION)
        assert len(await it.puppet.begun(2)) == 2

    play(scene)


def test_guesses_are_counted(play: Play) -> None:
    async def scene(it: Scene) -> None:
        from gateway.protocol.limits import MAX_FAILURES

        async def guess() -> Any:
            headers = ("authorization: Bearer no", "x-forwarded-for: 203.0.113.9")
            return await (await it.ask(b"", *headers, path="/v1/models", method="GET")).status()

        config = it.core.config
        it.core.config = replace(config, gateway=replace(config.gateway, trusted_proxies=("127.0.0.1",)))
        assert [await guess() for _ in range(MAX_FAILURES + 1)] == [401] * MAX_FAILURES + [429]

    play(scene)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/v1", "This gateway has no /v1: it has POST /v1/chat/completions and GET /v1/models."),
        ("POST", "/v1/responses", "use your client's chat completions"),
        ("POST", "/v1/embeddings", "ask a provider of models"),
        ("POST", "/v1/audio/speech", "This gateway has no /v1/audio/speech: it has POST"),
        ("POST", "/chat/completions", "use /v1/chat/completions (the base URL of this API ends in /v1"),
        ("POST", "/v1//chat/completions", "use /v1/chat/completions"),
        ("POST", "/v1/chat/completions/", "use /v1/chat/completions"),
        ("GET", "//v1/models", "use /v1/models"),
        ("GET", "/models", "use /v1/models"),
    ],
)
def test_what_is_not_there_says_what_is(play: Play, method: str, path: str, words: str) -> None:
    async def scene(it: Scene) -> None:
        reply = await it.ask(b"", path=path, method=method)
        assert await reply.status() == 404
        error = (await reply.json())["error"]
        assert words in error["message"] and (error["type"], error["code"]) == (
            "invalid_request_error",
            "unknown_endpoint",
        )

    play(scene)


def test_openais_client_prints_what_is_missing(play: Play) -> None:
    async def scene(it: Scene) -> None:
        async with AsyncOpenAI(base_url=it.url, api_key="t0k") as client:
            with pytest.raises(NotFoundError, match="This gateway has no /v1/responses"):
                await client.responses.create(model="openclaw", input="hi")

    play(scene)


def test_the_head_of_the_models_is_had_and_a_bearer_may_be_written_in_any_way(play: Play) -> None:
    async def scene(it: Scene) -> None:
        for header in ("authorization: bearer t0k", "authorization: Bearer  t0k", "authorization: BEARER t0k"):
            assert await (await it.ask(b"", header, path="/v1/models", method="GET")).status() == 200
        assert await (await it.ask(b"", path="/v1/models", method="HEAD")).status() == 200

    play(scene)
