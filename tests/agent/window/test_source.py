"""Conversations that are too long for their model, with a provider over HTTP that really has a window."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.agent.providers import transport
from gateway.agent.turn.answer import Answer, ToolCall
from gateway.agent.turn.failed import Failed, Secrets
from gateway.agent.turn.source import Piece, Tool
from gateway.agent.window import measure, source
from gateway.agent.window.measure import LearnedLimits
from gateway.link.messages import Said, Text, Waiting
from gateway.link.spec import COMPACTION, Bounds, Compaction, Message, Model, Spec
from tests.agent.provider import Provider, Window, count
from tests.slack import LIMIT_S

LARGE = Tool("box__big", "Gives much.", {"type": "object"})


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known = LearnedLimits()
    monkeypatch.setattr(measure, "learned", known)
    monkeypatch.setattr(source, "learned", known)
    yield


def with_window(window: Window, test: Callable[[Provider], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Provider(window=window) as provider:
            await test(provider)
            await transport.shared_client().aclose()

    asyncio.run(asyncio.wait_for(run(), LIMIT_S))


def user(text: str) -> Message:
    return {"role": "user", "content": text, "timestamp": 1}


def assistant(text: str, *calls: dict[str, Any]) -> Message:
    return {"role": "assistant", "content": [{"type": "text", "text": text}, *calls], "timestamp": 1}


def result(number: str, text: str) -> Message:
    blocks = [{"type": "text", "text": text}]
    return {"role": "toolResult", "toolCallId": number, "toolName": "big", "content": blocks, "timestamp": 1}


def talk(days: int, size: int = 1000) -> list[Message]:
    return [
        message
        for day in range(days)
        for message in (user(f"day {day}: " + "q" * size), assistant(f"answer {day}: " + "a" * size))
    ]


def spec(provider: Provider, prompt: str, history: list[Message], **more: Any) -> Spec:
    model = Model("mock", "m1", "openai-completions", f"{provider.url}/v1", "key", **more.pop("model", {}))
    ids = [f"{number:08x}" for number in range(len(history) + 1)]
    more = {"ids": ids, "compaction": Compaction(), "conversation": "c", "bounds": Bounds(silence_ms=5000)} | more
    return Spec("s", "main", user(prompt), [model], history, **more)


class AskedInRoom:
    """A run's questions, and what has become of them."""

    def __init__(self, spec: Spec, tools: list[Tool] | None = None) -> None:
        async def note(tool: str, text: str) -> None:
            raise AssertionError(text)

        self.room = source.make_source(spec, spec.system, lambda model: tools or [], Secrets(spec), note)
        self.model = spec.models[0]
        self.text = ""
        self.said: list[Message] = []
        self.waits: list[Waiting] = []
        self.answer = Answer(self.model)

    async def ask(self) -> "AskedInRoom":
        self.answer, self.text = Answer(self.model), ""
        await self.room.ask(self.answer, self._tell)
        return self

    async def _tell(self, what: Piece) -> None:
        match what:
            case Text(delta=delta):
                self.text += delta
            case Said(message=message):
                self.said.append(message)
            case Waiting():
                self.waits.append(what)

    @property
    def entries(self) -> list[Message]:
        return [each for each in self.said if each["role"] == COMPACTION]


@pytest.mark.parametrize("window", [None, 4000, 200_000], ids=["unknown", "right", "wrong"])
def test_a_user_who_only_says_hello_gets_an_answer(window: int | None) -> None:
    """Forty messages of a kilobyte to a model that takes four thousand tokens."""
    takes = Window(4000)

    async def test(provider: Provider) -> None:
        told = await AskedInRoom(spec(provider, "hello", talk(20), model={"context_window": window})).ask()
        assert told.text == "You said: hello"
        (entry,) = told.entries
        assert entry["summary"].startswith("You said:") and entry["tokensAfter"] < entry["tokensBefore"]
        assert int(entry["firstKeptEntryId"], 16) % 2 == 0, "it begins with what the user says"
        assert takes.refused <= (0 if window == 4000 else 1)

    with_window(takes, test)


def test_a_provider_without_numbers_is_asked_with_less_and_less() -> None:
    takes = Window(2000, words="prompt is too long")

    async def test(provider: Provider) -> None:
        told = await AskedInRoom(spec(provider, "hello", talk(40))).ask()
        assert told.text == "You said: hello"
        assert count(provider.requests[-1].body) <= 2000

    with_window(takes, test)


def test_an_old_result_is_cut_before_anything_is_summed_up() -> None:
    call = {"type": "toolCall", "id": "1", "name": "big", "arguments": {}}
    history = [user("look"), assistant("", call), result("1", "r" * 30_000), assistant("ok"), *talk(3, 10)]

    async def test(provider: Provider) -> None:
        told = await AskedInRoom(spec(provider, "hello", history, model={"context_window": 6000})).ask()
        assert told.text == "You said: hello" and not told.said
        body = str(provider.requests[0].body)
        assert "characters are left out here" in body and "day 0" in body and "day 2" in body

    with_window(Window(6000), test)


@pytest.mark.parametrize("results", [[200_000], [60_000] * 4], ids=["one of 200 KB", "four of 60 KB"])
@pytest.mark.parametrize("window", [None, 4000], ids=["unknown", "known"])
def test_large_results_of_this_run_are_cut_to_what_there_is_room_for(results: list[int], window: int | None) -> None:
    async def test(provider: Provider) -> None:
        asked = spec(provider, "!tool=big now", [], model={"context_window": window})
        told = await AskedInRoom(asked, [LARGE]).ask()
        (call,) = told.answer.calls
        for number, size in enumerate(results):
            one = call if not number else ToolCall(f"more{number}", call.name, {})
            told.room.add_result(one, [{"type": "text", "text": "r" * size}], ok=True)
        assert (await told.ask()).text.startswith("The tool said: rrr")
        assert 1000 < count(provider.requests[-1].body) <= 4000

    with_window(Window(4000), test)


def test_a_bound_of_answers_that_is_the_whole_window_leaves_room_for_the_question() -> None:
    async def test(provider: Provider) -> None:
        model = {"context_window": 8000, "max_tokens": 8000}
        told = await AskedInRoom(spec(provider, "hello", talk(3), model=model)).ask()
        assert told.text == "You said: hello"
        assert takes.refused == 0 and provider.requests[0].body["max_completion_tokens"] > 2000

    takes = Window(8000)
    with_window(takes, test)


@pytest.mark.parametrize("fault", ["500", "empty", "hang=1", "context"])
def test_a_summary_that_fails_is_told_and_the_past_is_cut(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(provider: Provider) -> None:
        writer = Model("mock", f"w+{fault}", "openai-completions", f"{provider.url}/v1", "key")
        how = Compaction(model=writer, timeout_ms=300)
        asked = spec(provider, "hello", talk(20), model={"context_window": 4000}, compaction=how)
        told = await AskedInRoom(asked).ask()
        assert told.text == "You said: hello" and not told.said
        assert [wait.failure.retryable for wait in told.waits] == [True, False]
        body = str(provider.requests[-1].body)
        assert "day 19" in body and "day 0" not in body
        tries = len(provider.requests)
        told = await AskedInRoom(asked).ask()
        assert told.text == "You said: hello" and len(provider.requests) == tries + 1, "for a while none is tried again"

    with_window(Window(4000), test)


def test_a_message_that_no_window_has_room_for_is_a_clear_error() -> None:
    async def test(provider: Provider) -> None:
        with pytest.raises(Failed, match=r"^Your message and the system prompt alone, about \d+ tokens, are more"):
            await AskedInRoom(spec(provider, "x" * 40_000, talk(3))).ask()
        assert len(provider.requests) <= source.MAX_REFUSALS + 2

    with_window(Window(2000), test)


def test_recent_turns_stay_word_by_word_and_results_with_their_calls() -> None:
    call = {"type": "toolCall", "id": "1", "name": "big", "arguments": {"of": "it"}}
    last = [user("and look"), assistant("looking", call), result("1", "seen"), assistant("it is blue")]

    async def test(provider: Provider) -> None:
        told = await AskedInRoom(spec(provider, "hello", [*talk(20), *last], model={"context_window": 4000})).ask()
        (entry,) = told.entries
        messages = provider.requests[-1].body["messages"]
        assert messages[0]["content"].startswith("Summary of the conversation before this:")
        told_last = messages[-5:]
        assert [each["role"] for each in told_last] == ["user", "assistant", "tool", "assistant", "user"]
        assert told_last[0]["content"] == "and look" and told_last[2]["content"] == "seen"
        # The next run begins with the entry in place of what it stands for, and sums nothing up.
        kept = [entry, *told.room._history[1:]]
        again = await AskedInRoom(spec(provider, "hello", kept, model={"context_window": 4000})).ask()
        assert again.text == "You said: hello" and not again.said

    with_window(Window(4000), test)


def test_a_gateway_that_keeps_no_summaries_is_sent_none() -> None:
    async def test(provider: Provider) -> None:
        asked = spec(provider, "hello", talk(20), compaction=None, ids=[], model={"context_window": 4000})
        told = await AskedInRoom(asked).ask()
        assert told.text == "You said: hello" and not told.said and not told.waits

    with_window(Window(4000), test)


def test_what_is_switched_off_is_done_only_after_a_refusal() -> None:
    async def test(provider: Provider) -> None:
        how = Compaction(enabled=False)
        told = await AskedInRoom(
            spec(provider, "hello", talk(20), model={"context_window": 4000}, compaction=how)
        ).ask()
        assert told.text == "You said: hello" and len(told.entries) == 1 and takes.refused >= 1

    takes = Window(4000)
    with_window(takes, test)


def test_estimates_are_corrected_by_what_the_provider_counts() -> None:
    """Text of which a token is one character: estimated at a third of what it takes."""
    dense = base64.b64encode(bytes(range(256)) * 12).decode()
    history = [user(dense), assistant(dense)]
    usage = {"input": 12_000, "output": 10, "cacheRead": 0, "cacheWrite": 0}
    history.append(user("?"))
    history.append({**assistant("!"), "usage": usage, "model": "m1", "provider": "mock"})

    async def test(provider: Provider) -> None:
        told = await AskedInRoom(spec(provider, "hello", history, model={"context_window": 12_000})).ask()
        assert told.entries and takes.refused == 0
        told = await AskedInRoom(spec(provider, "hello", history[:3], model={"context_window": 12_000})).ask()
        assert not told.entries

    takes = Window(100_000)
    with_window(takes, test)


PICTURE = {"type": "image", "data": base64.b64encode(b"\x89PNG\r\n\x1a\n....IEND").decode(), "mimeType": "image/png"}


Judge = Callable[[Any], str | None]


def has_a_picture(body: Any) -> str | None:
    return "Could not process image" if "image_url" in str(body) else None


def has_a_call(body: Any) -> str | None:
    return "messages.3: unexpected tool_use" if "tool_calls" in str(body["messages"]) else None


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("what", [has_a_picture, has_a_call])
def test_a_part_of_the_past_that_is_refused_is_left_out_and_said(what: Judge, status: int) -> None:
    call = {"type": "toolCall", "id": "1", "name": "big", "arguments": {}}
    shown = {"role": "user", "content": [{"type": "text", "text": "see"}, PICTURE], "timestamp": 1}
    history = [shown, assistant("ok", call), result("1", "seen"), assistant("nice")]

    async def test(provider: Provider) -> None:
        told = await AskedInRoom(spec(provider, "hello", history)).ask()
        assert told.text == "You said: hello"
        (wait, *more) = told.waits
        assert "it is asked again without old pictures" in wait.failure.message and len(more) == (what is has_a_call)
        assert "see" in str(provider.requests[-1].body) and "seen" in str(provider.requests[-1].body)
        tries = len(provider.requests)
        told = await AskedInRoom(spec(provider, "hello", history)).ask()
        assert len(provider.requests) == tries + 1 and not told.waits, "what is known is not tried again"

    with_window(Window(10**6, status=status, kind="invalid_request_error", judge=what), test)


def test_a_form_in_which_a_past_is_refused_as_well_is_not_the_next_runs() -> None:
    """A request may be refused for something else: then nothing of the past is left out for it."""
    shown = {"role": "user", "content": [{"type": "text", "text": "see"}, PICTURE], "timestamp": 1}
    refusals = iter(["no", "no", "no", None])

    async def test(provider: Provider) -> None:
        asked = spec(provider, "hello", [shown, assistant("ok")])
        with pytest.raises(Failed, match="no"):
            await AskedInRoom(asked).ask()
        tries = len(provider.requests)
        assert "image_url" not in str(provider.requests[-1].body)
        for _ in range(3 - tries):
            next(refusals)
        told = await AskedInRoom(asked).ask()
        assert not told.waits and "image_url" in str(provider.requests[-1].body)

    with_window(Window(10**6, kind="invalid_request_error", judge=lambda _: next(refusals)), test)


def test_a_form_that_one_model_wants_is_neither_anothers_nor_another_conversations() -> None:
    shown = {"role": "user", "content": [{"type": "text", "text": "see"}, PICTURE], "timestamp": 1}

    def refuse(body: Any) -> str | None:
        return "no pictures" if body["model"] == "m1" and "image_url" in str(body) else None

    async def test(provider: Provider) -> None:
        for session in ("openai:1", "openai:2"):
            asked = replace(spec(provider, "hello", [shown, assistant("ok")], conversation=""), session=session)
            assert len((await AskedInRoom(asked).ask()).waits) == 1
            other = replace(asked, models=[replace(asked.models[0], id="m2")])
            assert not (await AskedInRoom(other).ask()).waits
            assert "image_url" in str(provider.requests[-1].body)

    with_window(Window(10**6, kind="invalid_request_error", judge=refuse), test)


def test_a_summary_that_takes_half_of_the_runs_time_is_given_up() -> None:
    """Each of its requests may be in time, and all of them together longer than the run."""

    async def test(provider: Provider) -> None:
        writer = Model("mock", "w+hang=9", "openai-completions", f"{provider.url}/v1", "key")
        asked = spec(provider, "hello", talk(20), model={"context_window": 4000})
        asked = replace(asked, compaction=Compaction(model=writer), bounds=Bounds(1000))
        told = await AskedInRoom(asked).ask()
        assert told.text == "You said: hello" and not told.said
        assert told.waits[-1].failure.message.endswith("it took longer than 0.5 s.")

    with_window(Window(4000), test)


def test_what_is_refused_without_a_past_is_a_failure() -> None:
    async def test(provider: Provider) -> None:
        with pytest.raises(Failed, match="Could not process image"):
            await AskedInRoom(spec(provider, "hello", [])).ask()
        assert len(provider.requests) == 1

    with_window(Window(10**6, kind="invalid_request_error", judge=lambda _: "Could not process image"), test)


def test_a_run_that_grows_is_summed_up_between_two_turns_and_goes_on_with_its_call() -> None:
    """And the user is told, if the config wants it."""

    async def test(provider: Provider) -> None:
        how = Compaction(notify=True)
        asked = spec(provider, "!tool=big", talk(9), model={"context_window": 8000}, compaction=how)
        told = await AskedInRoom(asked, [LARGE]).ask()
        (call,) = told.answer.calls
        assert not told.said
        told.room.add_result(call, [{"type": "text", "text": "r" * 9000}], ok=True)
        assert (await told.ask()).text.startswith("The tool said: rrr")
        assert [message["role"] for message in told.said] == [COMPACTION, "assistant"]
        assert told.said[1]["content"][0]["text"].startswith("🧹 Auto-compaction complete") and told.said[1]["command"]
        last = provider.requests[-1].body["messages"]
        assert [each["role"] for each in last[-3:]] == ["user", "assistant", "tool"]
        assert len(last[-1]["content"]) == 9000, "what this run has found is told whole"

    with_window(Window(8000), test)
