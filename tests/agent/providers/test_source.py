"""Real requests to a provider over HTTP, in all its protocols and with all its faults."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from types import AsyncGeneratorType
from typing import Any

import msgspec
import pytest

from gateway.agent.providers import clients, transport
from gateway.agent.providers.source import ModelSource
from gateway.agent.turn.answer import Answer, ToolCall
from gateway.agent.turn.failed import Failed, Secrets
from gateway.agent.turn.source import Tool
from gateway.link.messages import Failure, Text, Thinking, Usage
from gateway.link.spec import Api, Bounds, Message, Model, Spec
from tests.agent.provider import Provider
from tests.slack import LIMIT_S

KEY = "sk-very-secret-key"
APIS: list[Api] = ["openai-completions", "openai-responses", "anthropic-messages", "google-generative-ai"]
PATHS = {"anthropic-messages": "", "google-generative-ai": "/v1beta"}
TOOL = Tool("box__look", "Looks into it.", {"type": "object", "properties": {"at": {"type": "string"}}})

every_api = pytest.mark.parametrize("api", APIS)


def model(provider: Provider, api: Api = "openai-completions", name: str = "m1", **more: Any) -> Model:
    return Model("mock", name, api, base_url=provider.url + PATHS.get(api, "/v1"), api_key=KEY, **more)


def spec(asked: Model, prompt: str, *history: Message, **more: Any) -> Spec:
    more.setdefault("bounds", Bounds(silence_ms=5000))
    return Spec("s", "main", {"role": "user", "content": prompt}, [asked], list(history), **more)


def with_provider(test: Callable[[Provider], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Provider() as provider:
            await test(provider)
            await transport.shared_client().aclose()

    asyncio.run(asyncio.wait_for(run(), LIMIT_S))


class Asked:
    """One question, and what has become of it."""

    def __init__(self, spec: Spec, system: str = "", tools: list[Tool] | None = None) -> None:
        self.notes: list[str] = []
        self.models = ModelSource(spec, system, lambda model: tools or [], Secrets(spec), self._note)
        self.model = spec.models[0]
        self.pieces: list[Text | Thinking] = []
        self.two = asyncio.Event()
        """Pieces have come."""
        self.answer = Answer(self.model)

    async def _note(self, tool: str, text: str) -> None:
        self.notes.append(text)

    async def ask(self) -> "Asked":
        self.pieces, self.answer = [], Answer(self.model)
        await self.models.ask(self.answer, self._tell)
        return self

    async def _tell(self, piece: Any) -> None:
        self.pieces.append(piece)
        if len(self.pieces) == 2:
            self.two.set()

    async def fail(self) -> Failed:
        with pytest.raises(Failed) as failed:
            await self.ask()
        assert KEY not in str(failed.value)
        return failed.value

    @property
    def text(self) -> str:
        return "".join(piece.delta for piece in self.pieces if isinstance(piece, Text))


@every_api
def test_half_a_character_is_joined_across_pieces_or_replaced(api: Api) -> None:
    async def test(provider: Provider) -> None:
        asked = await Asked(spec(model(provider, api), "!emoji !tool=look"), tools=[TOOL]).ask()
        assert "".join(piece.delta for piece in asked.pieces if isinstance(piece, Thinking)) == "hm \U0001f600 \ufffd"
        assert asked.text == asked.answer.text == "Looking \ufffd"
        (call,) = asked.answer.calls
        assert call.args == {"at": "x\ufffd", "\ufffd": ["\U0001f600"]}
        msgspec.json.encode(asked.answer.message())
        asked.models.add_result(call, [{"type": "text", "text": "seen"}], ok=True)
        await asked.ask()
        assert asked.text == "The tool said: seen"

        asked = await Asked(spec(model(provider, api), "!emoji")).ask()
        assert asked.text == asked.answer.text == "ok \U0001f600 bye \ufffd. \ufffd"
        assert all(piece.delta.encode() for piece in asked.pieces)

    with_provider(test)


@every_api
def test_an_answer_comes_in_pieces_and_they_are_its_text(api: Api) -> None:
    async def test(provider: Provider) -> None:
        asked = await Asked(spec(model(provider, api), "!words=3 !think")).ask()
        assert asked.pieces == [Thinking("Let me "), Thinking("see."), Text("w1 "), Text("w2 "), Text("w3 ")]
        content = asked.answer.message()["content"]
        assert [block[block["type"]] for block in content] == ["Let me see.", "w1 w2 w3 "]
        assert asked.answer.stop_reason == "stop" and not asked.answer.calls

    with_provider(test)


@every_api
def test_usage_is_counted_as_openclaw_does(api: Api) -> None:
    async def test(provider: Provider) -> None:
        asked = await Asked(spec(model(provider, api), "one two")).ask()
        written = 10 if api == "anthropic-messages" else 0
        assert asked.answer.usage == Usage(2, 4, 100, written)

    with_provider(test)


@every_api
def test_the_key_the_headers_and_the_bounds_reach_the_provider(api: Api) -> None:
    async def test(provider: Provider) -> None:
        asked = model(provider, api, headers={"X-Extra": "yes"}, max_tokens=77)
        await Asked(spec(asked, "hello"), system="Be kind.").ask()
        (request,) = provider.requests
        assert any(KEY in value for value in request.headers.values()) and request.headers["x-extra"] == "yes"
        assert "77" in str(request.body) and "Be kind." in str(request.body)

    with_provider(test)


@every_api
def test_the_history_is_told_with_its_pictures(api: Api) -> None:
    picture = {"type": "image", "data": "iVBORw0KGgouLi4uSUVORA==", "mimeType": "image/png"}
    history: list[Message] = [
        {"role": "user", "content": "earlier question"},
        {"role": "assistant", "content": [{"type": "text", "text": "earlier answer"}], "api": api},
    ]

    async def test(provider: Provider) -> None:
        told = spec(model(provider, api), "x", *history)
        prompt = {"role": "user", "content": [{"type": "text", "text": "what is it?"}, picture]}
        asked = await Asked(Spec("s", "main", prompt, told.models, told.history)).ask()
        assert asked.text == "You said with 1 images: what is it?"
        body = str(provider.requests[0].body)
        assert body.index("earlier question") < body.index("earlier answer") < body.index("what is it?")

    with_provider(test)


@every_api
def test_tools_are_offered_called_and_their_results_told(api: Api) -> None:
    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider, api), '!tool=look !args={"at":"it"}'), tools=[TOOL])
        await asked.ask()
        (call,) = asked.answer.calls
        assert (call.name, call.args) == ("box__look", {"at": "it"}) and asked.answer.stop_reason == "toolUse"
        assert asked.text == "Looking. "
        asked.models.add_result(call, [{"type": "text", "text": "a cat"}], ok=True)
        await asked.ask()
        assert asked.text == "The tool said: a cat" and not asked.answer.calls

    with_provider(test)


def test_the_results_of_one_answer_are_told_together() -> None:
    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider, "anthropic-messages"), "!tool=look"), tools=[TOOL])
        await asked.ask()
        for number in ("call_1", "call_2"):
            asked.models.add_result(ToolCall(number, "box__look", {}), [{"type": "text", "text": number}], ok=False)
        await asked.ask()
        last = provider.requests[-1].body["messages"][-1]
        assert last["role"] == "user" and [block["tool_use_id"] for block in last["content"]] == ["call_1", "call_2"]
        assert all(block["is_error"] for block in last["content"])

    with_provider(test)


def test_thinking_goes_back_with_its_seal_within_a_run_and_in_the_next() -> None:
    async def test(provider: Provider) -> None:
        claude = model(provider, "anthropic-messages")
        first = await Asked(spec(claude, "!think")).ask()
        message = first.answer.message()
        assert message["content"][0]["thinkingSignature"] == "c2lnbmVk"
        await Asked(spec(claude, "and?", {"role": "user", "content": "q"}, message)).ask()
        told = provider.requests[-1].body["messages"][1]["content"][0]
        assert told == {"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk"}

    with_provider(test)


@pytest.mark.parametrize(("thinking", "reasoning", "sent"), [("high", True, "high"), ("high", False, None)])
def test_thinking_is_asked_of_models_that_reason(thinking: str, reasoning: bool, sent: str | None) -> None:
    async def test(provider: Provider) -> None:
        asked = Model("openai", "gpt-5", "openai-responses", provider.url + "/v1", KEY, reasoning=reasoning)
        await Asked(spec(asked, "x", thinking=thinking)).ask()
        assert provider.requests[0].body.get("reasoning", {}).get("effort") == sent

    with_provider(test)


def test_thinking_within_the_text_is_thinking() -> None:
    async def test(provider: Provider) -> None:
        asked = await Asked(spec(model(provider), "!tags")).ask()
        thoughts = "".join(piece.delta for piece in asked.pieces if isinstance(piece, Thinking))
        assert thoughts == "Let me see." and asked.text.strip() == "It is." and asked.text == asked.answer.text

    with_provider(test)


def test_an_answer_that_ended_for_its_length_says_so() -> None:
    async def test(provider: Provider) -> None:
        asked = await Asked(spec(model(provider), "x !length")).ask()
        assert asked.answer.stop_reason == "length"

    with_provider(test)


def test_arguments_that_are_no_json_are_none() -> None:
    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider), "!tool=look !args=[1]"), tools=[TOOL])
        await asked.ask()
        assert asked.answer.calls[0].args is None

    with_provider(test)


# -- faults ---------------------------------------------------------------------------------------------------------

BROKEN = {"break": "network", "half": "network", "cut": "network", "error": None, "garbage": "provider"}


@every_api
@pytest.mark.parametrize("fault", BROKEN)
def test_an_answer_that_breaks_off_can_be_asked_for_again(api: Api, fault: str) -> None:
    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider, api), f"!words=4 !{fault}=2"))
        failure = (await asked.fail()).failure
        assert failure.retryable and failure.kind == (BROKEN[fault] or failure.kind)
        assert asked.text == "w1 w2 " == asked.answer.text

    with_provider(test)


@every_api
def test_what_is_half_an_answer_is_no_part_of_the_conversation(api: Api) -> None:
    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider, api), "!words=3 !break=2 !times=1"))
        await asked.fail()
        assert (await asked.ask()).text == "w1 w2 w3 "
        assert "w1" not in str(provider.requests[-1].body)

    with_provider(test)


@every_api
@pytest.mark.parametrize(
    ("words", "kind", "retryable", "status"),
    [
        ("!401", "auth", False, 401),
        ("!403", "auth", False, 403),
        ("!404", "config", False, 404),
        ("!429", "rate_limit", True, 429),
        ("!500", "provider", True, 500),
        ("!502", "provider", True, 502),
        ("!503", "overloaded", True, 503),
        ("!context", "context", False, 400),
        ("!html", "provider", True, None),
        ("!filter", "refused", False, None),
        ("!empty", "provider", True, None),
    ],
)
def test_every_refusal_is_of_a_kind(api: Api, words: str, kind: str, retryable: bool, status: int | None) -> None:
    async def test(provider: Provider) -> None:
        failure = (await Asked(spec(model(provider, api), f"x {words}")).fail()).failure
        assert (failure.kind, failure.retryable, failure.status) == (kind, retryable, status), failure

    with_provider(test)


@every_api
@pytest.mark.parametrize("words", ["!silent", "!hang=1"])
def test_a_provider_that_is_silent_is_given_up(api: Api, words: str) -> None:
    async def test(provider: Provider) -> None:
        silent = spec(model(provider, api), f"x {words}", bounds=Bounds(silence_ms=150))
        failure = (await Asked(silent).fail()).failure
        assert failure == Failure("timeout", "mock has sent nothing for 0.15 s.", retryable=True)

    with_provider(test)


def test_a_wrong_content_type_does_not_matter() -> None:
    async def test(provider: Provider) -> None:
        assert (await Asked(spec(model(provider), "x !type")).ask()).text == "You said: x"

    with_provider(test)


@every_api
def test_retry_after_is_passed_on(api: Api) -> None:
    async def test(provider: Provider) -> None:
        failed = await Asked(spec(model(provider, api), "x !429 !wait=7")).fail()
        assert failed.retry_after == 7 and "(HTTP 429), for 7 s: no, because of 429" in str(failed)

    with_provider(test)


@every_api
def test_the_library_does_not_try_again_on_its_own(api: Api) -> None:
    async def test(provider: Provider) -> None:
        await Asked(spec(model(provider, api), "x !500")).fail()
        assert len(provider.requests) == 1

    with_provider(test)


@every_api
@pytest.mark.parametrize("turns", range(6))
def test_an_abort_closes_the_connection_to_the_provider(api: Api, turns: int) -> None:
    """Wherever it finds the task: in the libraries' generators there is more than one place."""

    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider, api), "!words=3 !hang=2"))
        task = asyncio.create_task(asked.ask())
        await asked.two.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() and asked.answer.text == "w1 w2 "
        while provider.open:
            await asyncio.sleep(0.005)

    with_provider(test)


def unfinished() -> set[int]:
    """Generators that nobody has brought to their end."""
    # By `type`: the libraries have objects that load half of themselves when asked what they are an instance of.
    return {id(each) for each in gc.get_objects() if type(each) is AsyncGeneratorType and each.ag_frame is not None}


@every_api
@pytest.mark.parametrize("words", ["!words=3 !hang=2", "!words=3", "!words=3 !break=2"])
def test_no_generator_is_left_to_the_garbage_collector(api: Api, words: str) -> None:
    async def test(provider: Provider) -> None:
        before = unfinished()
        asked = Asked(spec(model(provider, api), words))
        task = asyncio.create_task(asked.ask())
        await asked.two.wait()
        if "hang" in words:
            task.cancel()
        await asyncio.wait({task})
        assert unfinished() <= before

    gc.disable()
    try:
        with_provider(test)
    finally:
        gc.enable()


def test_a_provider_that_does_not_listen_cannot_be_reached() -> None:
    asked = Asked(spec(Model("mock", "m1", "openai-completions", "http://127.0.0.1:9/v1", KEY), "x"))
    failure = asyncio.run(asked.fail()).failure
    assert failure.kind == "network" and failure.retryable
    assert failure.message.startswith("mock cannot be reached at http://127.0.0.1:9/v1; see models.providers.mock.base")


@every_api
def test_an_endless_answer_breaks_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_RESPONSE", 5000)

    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider, api), "!words=1000"))
        failure = (await asked.fail()).failure
        assert failure.kind == "network" and "larger than 5000 bytes" in failure.message
        assert 0 < len(asked.pieces) < 100

    with_provider(test)


@every_api
def test_the_next_run_finds_the_connection_open(api: Api) -> None:
    async def test(provider: Provider) -> None:
        await Asked(spec(model(provider, api), "one")).ask()
        await Asked(spec(model(provider, api), "two")).ask()
        assert provider.accepted == 1 and len(provider.requests) == 2

    with_provider(test)


@every_api
def test_a_tool_that_a_provider_refuses_is_left_out_and_named(api: Api) -> None:
    async def test(provider: Provider) -> None:
        tools = [TOOL, TOOL._replace(name="box__odd")]
        asked = await Asked(spec(model(provider, api), "!words=2 !badtool=odd"), tools=tools).ask()
        assert asked.text == "w1 w2 " and len(provider.requests) == 2
        (note,) = asked.notes
        assert note.startswith("The tool box__odd is left out of this run: mock does not take the request (HTTP 400)")
        await asked.ask()
        assert len(provider.requests) == 3, "it is not offered again"

    with_provider(test)


def test_requests_go_through_the_proxy_unless_the_address_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(provider: Provider) -> None:
        monkeypatch.setenv("HTTP_PROXY", provider.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        clients.forget_clients()
        far = Model("mock", "m1", "openai-completions", base_url="http://models.invalid/v1", api_key=KEY)
        await Asked(spec(far, "!words=1")).ask()
        assert provider.requests[-1].path == "http://models.invalid/v1/chat/completions"
        await Asked(spec(model(provider), "!words=1")).ask()
        assert provider.requests[-1].path == "/v1/chat/completions"

    with_provider(test)


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(provider: Provider) -> None:
        monkeypatch.setenv("HTTP_PROXY", "ftp://x")
        clients.forget_clients()
        failed = await Asked(spec(model(provider), "x")).fail()
        assert failed.failure.kind == "config" and "a proxy in the environment" in str(failed)
        monkeypatch.delenv("HTTP_PROXY")
        clients.forget_clients()

    with_provider(test)
