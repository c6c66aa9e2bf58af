"""Odd streams over real HTTP, read by the libraries of the providers."""

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from gateway.agent.providers import transport
from gateway.agent.providers.pictures import TEXT_ONLY
from gateway.agent.turn.failed import Failed
from gateway.link.messages import Usage
from gateway.link.spec import Api, Bounds, Model, Route, Spec, Tls
from tests.agent.providers.test_dialects import DIALECTS
from tests.agent.providers.test_source import KEY, PATHS, TOOL, Asked, spec
from tests.agent.providers.test_whole import ANSWERS
from tests.agent.script import Script
from tests.fakes.canned import Canned, answer
from tests.slack import LIMIT_S

TEXT = "Grüße 😀 bye"


def written(api: Api) -> bytes:
    return b"".join(DIALECTS[api].pieces("m1", Script({}, text=["Grüße ", "😀 ", "bye"], prompt_tokens=3)))


def ask(api: Api, *answers: list[bytes]) -> list[Asked]:
    """Ask each of them the same question."""

    async def asking() -> list[Asked]:
        async with Canned(*answers) as provider:
            model = Model("mock", "m1", api, base_url=provider.url + PATHS.get(api, "/v1"), api_key=KEY)
            asked = [await Asked(spec(model, "x"), tools=[TOOL]).ask() for _ in answers]
            await transport.shared_client().aclose()
            return asked

    return asyncio.run(asyncio.wait_for(asking(), LIMIT_S))


every_api = pytest.mark.parametrize("api", DIALECTS)


def between(what: bytes) -> Callable[[bytes], bytes]:
    return lambda body: what + body.replace(b"\n\n", b"\n\n" + what)


ODD: dict[str, Callable[[bytes], bytes]] = {
    "CRLF": lambda body: body.replace(b"\n", b"\r\n"),
    "CR": lambda body: body.replace(b"\n", b"\r"),
    "a BOM": lambda body: b"\xef\xbb\xbf" + body,
    "no space": lambda body: body.replace(b": ", b":"),
    "comments": between(b": keepalive\n\n:\n\n"),
    "names without data": between(b"event: keepalive\n\nid: 3\n\n"),
    "empty data": between(b"data:\n\n"),
    "no [DONE]": lambda body: body.replace(b"data: [DONE]\n\n", b""),
    "two ends": lambda body: body + b"data: [DONE]\n\ndata: [DONE]\n\n",
    "no blank line at the end": lambda body: body.rstrip(b"\n"),
}


@every_api
def test_every_odd_stream_is_read(api: Api) -> None:
    read = ask(api, *(answer([odd(written(api))]) for odd in ODD.values()))
    assert dict(zip(ODD, (asked.text for asked in read), strict=True)) == dict.fromkeys(ODD, TEXT)
    assert {asked.answer.usage.output for asked in read} == {3}


@every_api
def test_neither_the_type_nor_the_coding_nor_the_pieces_matter(api: Api) -> None:
    body = written(api)
    halves = [bytes([byte]) for byte in body] if api == "openai-completions" else [body]
    answers = [answer(halves, "application/json"), answer([gzip.compress(body)], Content_Encoding="gzip")]
    answers += [answer([zlib.compress(body)], Content_Encoding="deflate")]
    assert [asked.text for asked in ask(api, *answers)] == [TEXT] * 3


COMPLETION = {"id": "c", "created": 1, "model": "m1", "object": "chat.completion"}
COMPLETION |= {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}
COMPLETION |= {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
GENERATED = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}
GENERATED |= {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}}
WHOLE: dict[Api, Any] = ANSWERS | {"openai-completions": COMPLETION, "google-generative-ai": [GENERATED]}


@every_api
def test_an_answer_in_one_piece_is_taken(api: Api) -> None:
    (asked,) = ask(api, answer([json.dumps(WHOLE[api], indent=1).encode()], "application/json"))
    assert asked.text == "hi"
    calls = [(call.name, call.args) for call in asked.answer.calls]
    assert calls == ([("look", {"at": 1})] if api in ANSWERS else [])
    if api != "openai-responses":
        assert asked.answer.usage == Usage(3, 2)


def test_a_coding_that_is_none_is_a_failure_with_a_reason() -> None:
    with pytest.raises(Failed) as failed:
        ask("openai-completions", answer([b"no gzip at all"], Content_Encoding="gzip"))
    assert failed.value.failure.kind == "provider" and failed.value.failure.retryable, failed.value


def test_what_is_garbled_can_be_asked_for_again() -> None:
    with pytest.raises(Failed) as failed:
        ask("anthropic-messages", answer([written("anthropic-messages")[:400], b"\n\ndata: {no json\n\n"]))
    assert failed.value.failure.kind == "provider" and failed.value.failure.retryable, failed.value


def test_bytes_of_any_kind_are_life() -> None:
    """Comments, each in time: longer than the silence that is allowed."""

    async def test() -> None:
        comments = [b": keepalive\n\n"] * 8
        async with Canned(answer([*comments, written("openai-completions")]), pause_s=0.15) as provider:
            model = Model("mock", "m1", "openai-completions", base_url=f"{provider.url}/v1", api_key=KEY)
            asked = await Asked(spec(model, "x", bounds=Bounds(silence_ms=1000))).ask()
            assert asked.text == TEXT
            await transport.shared_client().aclose()

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def line(**event: Any) -> bytes:
    return json.dumps({"model": "m1", "created_at": "2026-11-30T00:00:00Z", **event}).encode() + b"\n"


def test_ollama_is_asked_in_its_own_protocol_with_its_window() -> None:
    """A stand-in that has both doors, and notes which one was used."""
    call = {"function": {"name": "box__look", "arguments": {"at": "it"}}}
    first = line(message={"role": "assistant", "content": "", "thinking": "hm"}, done=False)
    first += line(message={"role": "assistant", "content": "Looking. ", "tool_calls": [call]}, done=False)
    last = line(message={"content": ""}, done=True, done_reason="stop", prompt_eval_count=3, eval_count=2)
    second = line(message={"role": "assistant", "content": "a 😀"}, done=False)

    async def test() -> None:
        ndjson = "application/x-ndjson"
        async with Canned(
            answer([first, last], ndjson), answer([second[:-20], second[-20:], last], ndjson)
        ) as provider:
            model = Model("ollama", "m1", "ollama", base_url=provider.url, params={"num_ctx": 32768}, reasoning=True)
            asked = Asked(spec(model, "x", thinking="low"), system="Be kind.", tools=[TOOL])
            await asked.ask()
            (called,) = asked.answer.calls
            assert (called.name, called.args, asked.text) == ("box__look", {"at": "it"}, "Looking. ")
            assert asked.answer.usage == Usage(3, 2)
            asked.models.add_result(called, [{"type": "text", "text": "a cat"}], ok=True)
            assert (await asked.ask()).text == "a 😀"
            await transport.shared_client().aclose()
            assert [got.path for got in provider.got] == ["/api/chat"] * 2
            body = provider.got[1].body
            assert body["options"]["num_ctx"] == 32768 and body["think"] == "low"
            assert [each["role"] for each in body["messages"]] == ["system", "user", "assistant", "tool"]
            assert body["messages"][3]["tool_name"] == "box__look"

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, "model 'm1' not found", "config"),
        (400, "the input length exceeds the context length", "context"),
        (500, "model requires more system memory (9 GiB) than is available", "provider"),
    ],
)
def test_an_error_of_ollama_is_of_a_kind(status: int, error: str, kind: str) -> None:
    with pytest.raises(Failed) as failed:
        ask("ollama", answer([json.dumps({"error": error}).encode()], "application/json", status))
    assert failed.value.failure.kind == kind and error in str(failed.value)


def test_a_model_that_takes_text_only_gets_no_pictures() -> None:
    picture = {"type": "image", "data": "aGFsbG8=", "mimeType": "image/png"}

    async def test() -> None:
        async with Canned(answer([written("openai-completions")])) as provider:
            model = Model("mock", "m1", "openai-completions", f"{provider.url}/v1", KEY, pictures=False)
            prompt = {"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]}
            await Asked(Spec("s", "main", prompt, [model], bounds=Bounds(silence_ms=5000))).ask()
            await transport.shared_client().aclose()
            said = str(provider.got[0].body["messages"])
            assert TEXT_ONLY in said and "aGFsbG8=" not in said

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_compat_reaches_the_server() -> None:
    async def test() -> None:
        async with Canned(answer([written("openai-completions")])) as provider:
            compat = {"maxTokensField": "max_tokens", "supportsUsageInStreaming": False, "supportsTools": False}
            model = Model("mock", "m1", "openai-completions", f"{provider.url}/v1", KEY, max_tokens=200, compat=compat)
            await Asked(spec(model, "x"), tools=[TOOL]).ask()
            await transport.shared_client().aclose()
            body = provider.got[0].body
            assert body["max_tokens"] == 200 and not {"max_completion_tokens", "stream_options", "tools"} & set(body)

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


def test_a_provider_is_reached_through_its_own_proxy() -> None:
    async def test() -> None:
        async with Canned(answer([written("openai-completions")])) as proxy:
            way = Route(proxy=proxy.url.replace("//", "//user:secret@"))
            model = Model("mock", "m1", "openai-completions", "http://provider.invalid/v1", KEY, way=way)
            assert (await Asked(spec(model, "x")).ask()).text == TEXT
            assert proxy.got[0].path == "http://provider.invalid/v1/chat/completions"
            assert "proxy-authorization" in proxy.got[0].headers
            await transport.shared_client(way).aclose()

    asyncio.run(asyncio.wait_for(test(), LIMIT_S))


@pytest.mark.parametrize("tls", [Tls(cert="no", key="no"), Tls(ca="no"), Tls(ca="é")])
def test_a_certificate_that_is_none_is_a_fault_of_the_config(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    real = super(ssl.SSLContext, ssl.SSLContext).load_verify_locations
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", real)
    model = Model("mock", "m1", "openai-completions", "https://h/v1", KEY, way=Route(tls=tls))
    failed = asyncio.run(Asked(spec(model, "x")).fail())
    assert failed.failure.kind == "config" and not failed.failure.retryable, failed
