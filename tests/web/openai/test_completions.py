"""Chat completions over real connections, with OpenAI's own client and with clients of worse manners; over restarts."""

import asyncio
import json
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, BadRequestError, InternalServerError, OpenAI, RateLimitError

from gateway.config.schema import Config
from gateway.link.messages import (
    Discarded,
    Ended,
    Failure,
    Happening,
    Said,
    Started,
    Text,
    ToolEnded,
    ToolStarted,
    Usage,
)
from gateway.protocol.admission.auth import AuthPolicy
from gateway.sessions import transactions
from gateway.sessions.database import StorageFailed
from gateway.web.openai import completions, retries
from gateway.web.openai.paths import MAX_BODY
from tests.program import Program
from tests.serving.leaving import leave
from tests.slack import LIMIT_S
from tests.web.puppet import Reply, Scene, piece, talking

QUESTION: list[Any] = [{"role": "user", "content": "hi"}]
TREE: dict[str, Any] = {"agents": {"list": [{"id": "main"}, {"id": "research"}]}}
Play = Callable[[Callable[[Scene], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(scene: Callable[[Scene], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with talking(tmp_path, TREE) as it:
                await scene(it)

        asyncio.run(whole())

    return run


def said(text: str, *more: dict[str, Any]) -> Said:
    return Said({"role": "assistant", "content": [{"type": "text", "text": text}, *more], "timestamp": 1})


def answered(text: str, reason: str = "stop") -> list[Happening]:
    return [Started("p", "m", 1), Text(text), said(text), Ended("done", reason, usage=Usage(10, 5))]


def failed(kind: Any, message: str = "because") -> Ended:
    return Ended("failed", "error", Failure(kind, message))


def official(it: Scene, **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=it.url, api_key="t0k", max_retries=0, **options)


async def stream(it: Scene, *headers: str, **more: Any) -> Reply:
    reply = await it.ask({"model": "openclaw", "stream": True, "messages": QUESTION, **more}, *headers)
    assert await reply.status() == 200
    assert (await reply.event())["choices"][0]["delta"] == {"role": "assistant"}
    return reply


async def until(true: Callable[[], Any]) -> None:
    while not true():
        await asyncio.sleep(0.001)


# -- OpenAI's own client -----------------------------------------------------------------------------------------------


def test_openais_client_gets_a_completion(play: Play) -> None:
    async def scene(it: Scene) -> None:
        async with official(it) as client:
            asking = asyncio.create_task(client.chat.completions.create(model="openclaw/default", messages=QUESTION))
            (run,) = await it.puppet.begun()
            it.puppet.say(run, *answered("Hello!", "length"))
            answer = await asking
        choice = answer.choices[0]
        assert (answer.id, answer.model, choice.finish_reason) == (run, "openclaw/default", "length")
        assert choice.message.content == "Hello!"
        assert answer.usage is not None and answer.usage.total_tokens == 15

    play(scene)


def test_openais_client_streams(play: Play) -> None:
    async def scene(it: Scene) -> None:
        async with official(it) as client:
            options: Any = {"include_usage": True}
            answer = await client.chat.completions.create(
                model="openclaw", messages=QUESTION, stream=True, stream_options=options
            )
            (run,) = await it.puppet.begun()
            chunks = [await anext(answer)]
            for word in ("Hello", " you"):
                it.puppet.say(run, Text(word))
                chunks.append(await anext(answer))
                assert chunks[-1].choices[0].delta.content == word, "each piece as it comes"
            it.puppet.say(run, said("Hello you"), Ended("done", usage=Usage(10, 5)))
            chunks += [chunk async for chunk in answer]
        assert {chunk.id for chunk in chunks} == {run} and {chunk.model for chunk in chunks} == {"openclaw"}
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None, None, None, "stop"]
        assert chunks[-1].choices == [] and chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 5

    play(scene)


@pytest.mark.parametrize(
    ("kind", "error"),
    [("rate_limit", RateLimitError), ("provider", InternalServerError), ("context", BadRequestError)],
)
def test_openais_client_is_told_what_went_wrong(play: Play, kind: Any, error: type[APIError]) -> None:
    async def scene(it: Scene) -> None:
        async with official(it).with_options(max_retries=2) as client:
            asking = asyncio.create_task(client.chat.completions.create(model="openclaw", messages=QUESTION))
            (run,) = await it.puppet.begun()
            it.puppet.say(run, failed(kind))
            with pytest.raises(error, match="because") as told:
                await asking
        assert told.value.code == kind
        assert len(it.puppet.specs) == 1, "the agent has tried again already, so the client does not"

    play(scene)


def test_openais_client_is_told_in_the_middle_of_a_stream(play: Play) -> None:
    async def scene(it: Scene) -> None:
        async with official(it) as client:
            answer = await client.chat.completions.create(model="openclaw", messages=QUESTION, stream=True)
            (run,) = await it.puppet.begun()
            it.puppet.say(run, Text("Hel"), failed("network", "the provider is gone"))
            with pytest.raises(APIError, match="the provider is gone"):
                assert "".join([piece.choices[0].delta.content or "" async for piece in answer]) == "Hel"

    play(scene)


# -- what a run is begun with ------------------------------------------------------------------------------------------


def test_a_run_gets_system_context_agent_and_prompt(play: Play) -> None:
    async def scene(it: Scene) -> None:
        before = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"}]
        messages = [*before, {"role": "assistant", "content": "two"}, *QUESTION]
        await it.ask({"model": "openclaw/research", "messages": messages})
        (run,) = await it.puppet.begun()
        spec = it.puppet.specs[run]
        assert spec.agent == "research" and spec.system.endswith("Be brief.")
        assert [each["content"][0]["text"] for each in (*spec.history, spec.prompt)] == ["one", "two", "hi"]
        assert spec.session.startswith("agent:research:openai:")
        stored = await it.core.conversations.store.run(run)
        assert (stored.request.lane, stored.request.keeps) == ("http", False)
        assert spec.conversation == "", "its servers are for nobody after it"

    play(scene)


def test_a_user_has_a_conversation_that_goes_on(play: Play) -> None:
    async def scene(it: Scene) -> None:
        for number in (1, 2):
            history = [{"role": "user", "content": "from elsewhere"}]
            asked = await it.ask({"user": "Ann", "messages": [*history, *QUESTION]})
            run = (await it.puppet.begun(number))[-1]
            it.puppet.say(run, *answered(f"Hello {number}"))
            assert (await asked.json())["choices"][0]["message"]["content"] == f"Hello {number}"
        first, second = it.puppet.specs.values()
        assert first.session == second.session == "agent:main:openai-user:ann"
        assert first.conversation == second.conversation != ""
        assert [each["content"][0]["text"] for each in first.history] == ["from elsewhere"]
        assert [each["content"][0]["text"] for each in second.history] == ["hi", "Hello 1"]

    play(scene)


def test_another_model_and_another_session_by_header(play: Play) -> None:
    async def scene(it: Scene) -> None:
        await it.ask({"messages": QUESTION}, "x-openclaw-model: builtin/echo", "x-openclaw-session-key: Notes")
        (run,) = await it.puppet.begun()
        stored = await it.core.conversations.store.run(run)
        assert (stored.session, stored.request.model, stored.request.keeps) == (
            "agent:main:notes",
            "builtin/echo",
            True,
        )

    play(scene)


@pytest.mark.parametrize(
    ("body", "headers", "status", "why"),
    [
        (b"{", [], 400, "must be JSON"),
        ({"messages": QUESTION, "temperature": 3}, [], 400, "/temperature"),
        ({"messages": []}, [], 400, "Missing user message"),
        ({"messages": QUESTION, "model": "gpt-5"}, [], 400, "Invalid `model`"),
        ({"messages": QUESTION}, ["x-openclaw-session-key: cron:x"], 400, "reserved"),
        ({"messages": QUESTION}, ["idempotency-key: "], 400, "Idempotency-Key"),
        ({"messages": QUESTION}, ["idempotency-key: " + "k" * 257], 400, "1 to 256"),
        ({"messages": QUESTION}, ["idempotency-key: h\xe9"], 400, "ASCII"),
    ],
)
def test_what_cannot_be_asked(play: Play, body: Any, headers: list[str], status: int, why: str) -> None:
    async def scene(it: Scene) -> None:
        reply = await it.ask(body, *headers)
        error = (await reply.json())["error"]
        assert await reply.status() == status and error["type"] == "invalid_request_error"
        assert why in error["message"]
        assert not it.puppet.specs

    play(scene)


def test_pictures_make_a_large_request_and_too_large_ones_are_refused(play: Play) -> None:
    (most,) = MAX_BODY.values()

    def padded(size: int) -> bytes:
        body = json.dumps({"messages": QUESTION, "x": ""}).encode()
        return body[:-2] + b"x" * (size - len(body)) + body[-2:]

    async def scene(it: Scene) -> None:
        await it.ask(padded(most))
        await it.puppet.begun()
        reply = await it.ask(padded(most + 1))
        assert await reply.status() == 413
        assert (await reply.json())["error"]["type"] == "invalid_request_error"

    play(scene)


def test_a_session_that_takes_nothing_and_a_queue_that_is_full(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(it: Scene) -> None:
        store = it.core.conversations.store
        await it.core.conversations.ready()
        await store.patch("agent:main:openai-user:eve", "main", lambda entry: {"sendPolicy": "deny"}, 1)
        refused = await it.ask({"user": "eve", "messages": QUESTION})
        assert await refused.status() == 403 and (await refused.json())["error"]["type"] == "forbidden"
        monkeypatch.setattr(transactions, "MAX_QUEUED", 1)
        replies = [await it.ask({"user": "ann", "messages": QUESTION}) for _ in range(3)]
        done, _ = await asyncio.wait(
            [asyncio.ensure_future(each.json()) for each in replies], return_when=asyncio.FIRST_COMPLETED
        )
        (full,) = [task.result() for task in done]
        assert full["error"]["type"] == "rate_limit_error"
        (head,) = [each.head for each in replies if each.head]
        assert b" 429 " in head and b"retry-after: 2" in head

    play(scene)


def test_a_disk_that_takes_nothing_is_told(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any, **how: Any) -> Any:
        raise StorageFailed("the database is full")

    async def scene(it: Scene) -> None:
        monkeypatch.setattr(it.core.conversations.store, "accept", fails)
        reply = await it.ask({"messages": QUESTION})
        assert await reply.status() == 503 and b"retry-after: 2" in reply.head
        assert (await reply.json())["error"] == {"message": "the database is full", "type": "api_error"}

    play(scene)


# -- asking again ------------------------------------------------------------------------------------------------------


def test_a_repeat_gets_the_same_answer_from_the_beginning(play: Play) -> None:
    async def scene(it: Scene) -> None:
        key = "idempotency-key: order-66"
        first = await stream(it, key)
        assert await it.puppet.begun() == ["order-66"]
        it.puppet.say("order-66", Text("Hello "))
        assert (await first.event())["id"] == "chatcmpl_order-66"
        second = await stream(it, key)
        assert piece(await second.event()) == "Hello "
        second.writer.close()
        await until(lambda: it.server.clients == 1)
        assert it.puppet.aborted == [], "a repeat has not begun the run, so it does not end it"
        it.puppet.say("order-66", Text("you"), said("Hello you"), Ended("done"))
        assert [piece(each) for each in (await first.events())[:-2]] == ["you"]
        late = await it.ask({"model": "m", "messages": QUESTION}, key)
        assert await late.status() == 400, "m is no model, whatever the key"
        late = await it.ask({"model": "openclaw", "messages": QUESTION}, key)
        assert (await late.json())["choices"][0]["message"]["content"] == "Hello you"
        assert len(it.puppet.specs) == 1

    play(scene)


def test_another_question_under_a_known_key_is_a_mistake(play: Play) -> None:
    async def scene(it: Scene) -> None:
        key = "idempotency-key: k"
        asked = await it.ask({"messages": QUESTION}, key)
        (run,) = await it.puppet.begun()
        it.puppet.say(run, *answered("Hello"))
        await asked.json()
        others = ({"messages": [{"role": "user", "content": "ho"}]}, {"messages": QUESTION, "user": "ann"})
        for other in others:
            reply = await it.ask(other, key)
            assert await reply.status() == 422
            assert "another request" in (await reply.json())["error"]["message"]

    play(scene)


# -- streams -----------------------------------------------------------------------------------------------------------


def test_messages_between_tools_are_one_stream(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it)
        (run,) = await it.puppet.begun()
        call = {"type": "toolCall", "id": "c", "name": "t", "arguments": {}}
        it.puppet.say(run, Text("I look."), said("I look.", call), ToolStarted("c", "t", {}))
        it.puppet.say(run, ToolEnded("c", "t", True, "x"), *answered("It is x."))
        told = "".join(piece(each) or "" for each in (await reply.events())[:-1])
        assert told == "I look.\n\nIt is x."

    play(scene)


def test_an_empty_answer_says_so_and_an_aborted_one_ends(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it)
        (run,) = await it.puppet.begun()
        it.puppet.say(run, Ended("done"))
        assert piece((await reply.events())[0]) == "No response from OpenClaw."
        reply = await stream(it, user="ann")
        _, run = await it.puppet.begun(2)
        it.puppet.say(run, Text("Hel"))
        assert piece(await reply.event()) == "Hel"
        await it.core.conversations.abort("agent:main:openai-user:ann")
        end, done = await reply.events()
        assert (end["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")

    play(scene)


def test_an_answer_that_begins_anew_goes_on_or_is_an_error(play: Play) -> None:
    async def scene(it: Scene) -> None:
        same = await stream(it, user="a")
        await it.puppet.begun()  # or the other one's may be the first
        other = await stream(it, user="b")
        runs = await it.puppet.begun(2)
        for run, reply in zip(runs, (same, other), strict=True):
            it.puppet.say(run, Text("Hello"))
            assert piece(await reply.event()) == "Hello"
        it.puppet.say(runs[0], Discarded("why"), Text("Hel"), Text("lo you"), said("Hello you"), Ended("done"))
        assert [piece(each) for each in (await same.events())[:1]] == [" you"]
        it.puppet.say(runs[1], Discarded("why"), Text("Hey"), said("Hey"))
        error, done = await other.events()
        assert (error["error"]["code"], done) == ("began_anew", "[DONE]")
        assert it.puppet.aborted == []

    play(scene)


def test_a_stream_that_says_nothing_says_so(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "SILENCE_S", 0.01)

    async def scene(it: Scene) -> None:
        reply = await stream(it)
        (run,) = await it.puppet.begun()
        assert [await reply.event() for _ in range(3)] == [": the answer goes on"] * 3
        it.puppet.say(run, *answered("Hello"))
        told = [each for each in await reply.events() if each != ": the answer goes on"]
        assert piece(told[0]) == "Hello"

    play(scene)


def test_one_connection_serves_one_answer_after_the_other(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it)
        (run,) = await it.puppet.begun()
        it.puppet.say(run, *answered("Hello"))
        assert (await reply.events())[-1] == "[DONE]"
        reply.writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await reply.reader.readuntil(b"\r\n\r\n")

    play(scene)


# -- clients that go away, or do not read ------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [True, False])
def test_a_client_that_goes_away_ends_its_run(play: Play, streaming: bool) -> None:
    async def scene(it: Scene) -> None:
        reply = await it.ask({"stream": streaming, "messages": QUESTION})
        (run,) = await it.puppet.begun()
        it.puppet.say(run, Text("Hel"))
        if streaming:
            await reply.status()
        reply.writer.close()
        await until(lambda: it.puppet.aborted == [run])
        ended = await it.core.conversations.runs.wait(run, 5)
        assert ended.state == "aborted"

    play(scene)


def test_a_client_that_was_cut_off_and_asks_again_on_its_own_begins_no_second_run(play: Play) -> None:
    """As OpenAI's clients do behind a proxy that gives up after a minute."""

    async def scene(it: Scene) -> None:
        first = await it.ask({"messages": QUESTION}, "x-stainless-retry-count: 0")
        (run,) = await it.puppet.begun()
        first.writer.close()
        await until(lambda: it.server.clients == 0)
        again = await it.ask({"messages": QUESTION}, "x-stainless-retry-count: 1")
        await until(lambda: it.server.clients == 1)
        assert it.puppet.aborted == []
        it.puppet.say(run, *answered("Hello"))
        assert await again.status() == 200
        assert (await again.json())["choices"][0]["message"]["content"] == "Hello"
        assert len(it.puppet.specs) == 1

    play(scene)


def test_a_client_that_asks_again_and_goes_away_for_good_ends_its_run(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(it: Scene) -> None:
        first = await it.ask({"messages": QUESTION}, "x-stainless-retry-count: 0")
        (run,) = await it.puppet.begun()
        first.writer.close()
        await until(lambda: it.server.clients == 0)
        monkeypatch.setattr(retries, "GRACE_S", 0)
        again = await it.ask({"messages": QUESTION}, "x-stainless-retry-count: 1")
        await until(lambda: it.server.clients == 1)
        again.writer.close()
        await until(lambda: it.puppet.aborted == [run])

    play(scene)


def test_a_client_that_goes_away_while_its_run_waits_ends_it(play: Play) -> None:
    async def scene(it: Scene) -> None:
        await it.ask({"user": "ann", "messages": QUESTION})
        await it.puppet.begun()
        waits = await it.ask({"user": "ann", "messages": QUESTION}, "idempotency-key: second")
        key = "agent:main:openai-user:ann"
        await until(lambda: it.core.conversations.runs.waiting(key))
        waits.writer.close()
        await until(lambda: not it.core.conversations.runs.waiting(key))
        assert (await it.core.conversations.runs.wait("second", 5)).state == "aborted"
        assert it.puppet.aborted == []

    play(scene)


def test_a_client_that_does_not_read_costs_what_its_answer_costs(play: Play) -> None:
    word = "x" * 100_000

    async def scene(it: Scene) -> None:
        quick, slow = await stream(it, "idempotency-key: k"), await stream(it, "idempotency-key: k")
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (run,) = await it.puppet.begun()
        words = 0

        async def say_more() -> int:
            nonlocal words
            it.puppet.say(run, Text(word))
            words, read = words + 1, 0
            while read < len(word):
                read += len(piece(await quick.event()))
            return max(each.transport.get_write_buffer_size() for each in it.server.http)

        while not await say_more():
            assert words < 1000, "the kernel takes some megabytes"
        for _ in range(20):
            assert 0 < await say_more() <= 2 * completions.MAX_PIECE, "one piece, whatever has been said since"
        it.puppet.say(run, said(""), Ended("done"))
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        whole = "".join(piece(each) or "" for each in (await slow.events())[:-1])
        assert whole == word * words

    play(scene)


# -- the gateway goes --------------------------------------------------------------------------------------------------


def test_who_still_waits_when_the_gateway_goes_is_told_and_the_run_goes_on(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(it: Scene) -> None:
        streaming = await stream(it)
        (first,) = await it.puppet.begun()
        waiting = await it.ask({"user": "u", "messages": QUESTION})
        await it.puppet.begun(2)
        it.puppet.say(first, Text("Hel"))
        assert piece(await streaming.event()) == "Hel"
        await leave(it.server)
        error, done = await streaming.events()
        assert (error["error"]["code"], done) == ("restarting", "[DONE]")
        assert await streaming.reader.read() == b""
        assert await waiting.status() == 503 and b"retry-after: 1" in waiting.head
        assert (await waiting.json())["error"] == {"message": "The gateway is restarting", "type": "api_error"}
        await until(lambda: not it.server.server_state.tasks)
        assert it.puppet.aborted == []

    with caplog.at_level(logging.ERROR):
        play(scene)
    assert not caplog.records


def test_a_stream_goes_on_in_the_next_process_with_each_word_once(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it, stream_options={"include_usage": True})
        (run,) = await it.puppet.begun()
        heard: list[Any] = []

        async def hear(text: str) -> None:
            it.puppet.say(run, Text(text))
            heard.append(await reply.event())
            assert piece(heard[-1]) == text

        await hear("one ")
        await it.restart(lambda: it.puppet.say(run, Text("two ")))
        heard.append(await reply.event())
        await hear("three ")
        await it.restart()
        await it.restart()
        await hear("four")
        it.puppet.say(run, said("one two three four"), Ended("done", usage=Usage(10, 5)))
        heard += await reply.events()
        assert "".join(piece(each) or "" for each in heard[:-2]) == "one two three four"
        assert {each["id"] for each in heard[:-1]} == {run}
        assert heard[-2]["usage"]["total_tokens"] == 15 and heard[-1] == "[DONE]"
        reply.writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200 OK" in await reply.reader.readuntil(b"\r\n\r\n")

    play(scene)


def test_restarts_that_follow_each_other_before_a_slow_client_has_taken_anything(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it)
        reply.writer.transport.pause_reading()  # type: ignore[attr-defined]
        (run,) = await it.puppet.begun()
        number = 0

        async def say() -> None:
            nonlocal number
            it.puppet.say(run, Text(f"{number:07} " * 20_000))  # a few of them are more than the kernel takes
            number += 1
            live = it.core.conversations.runs.active
            await until(lambda: live(run) is not None and live(run).seq == number)

        while not it.server.http[0].transport.get_write_buffer_size():
            await say()
        for _ in range(3):
            await say()
            await it.restart()
        reply.writer.transport.resume_reading()  # type: ignore[attr-defined]
        it.puppet.say(run, said("all"), Ended("done"))
        whole = "".join(piece(each) or "" for each in (await reply.events())[:-1])
        assert whole == "".join(f"{each:07} " * 20_000 for each in range(number))

    play(scene)


def test_an_answer_in_one_piece_comes_from_the_next_process(play: Play) -> None:
    async def scene(it: Scene) -> None:
        asked = await it.ask({"messages": QUESTION})
        (run,) = await it.puppet.begun()
        await until(lambda: it.server.http[0]._answering._describe is not None)  # type: ignore[union-attr]
        await it.restart()
        it.puppet.say(run, *answered("Hello"))
        assert (await asked.json())["choices"][0]["message"]["content"] == "Hello"

    play(scene)


def test_a_run_that_ends_while_no_process_is_there(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it)
        (run,) = await it.puppet.begun()
        it.puppet.say(run, Text("Hello"))
        assert piece(await reply.event()) == "Hello"
        await it.restart(lambda: it.puppet.say(run, Text(" you"), said("Hello you"), Ended("done", "length")))
        told = await reply.events()
        assert "".join(piece(each) or "" for each in told[:-1]) == " you"
        assert told[-2]["choices"][0]["finish_reason"] == "length"

    play(scene)


def test_who_waits_for_his_turn_does_so_in_the_next_process(play: Play) -> None:
    async def scene(it: Scene) -> None:
        first, second = await stream(it, user="ann"), await stream(it, user="ann")
        (run,) = await it.puppet.begun()
        await it.restart()
        it.puppet.say(run, *answered("one"))
        assert [piece(each) for each in (await first.events())[:1]] == ["one"]
        _, run = await it.puppet.begun(2)
        it.puppet.say(run, *answered("two"))
        assert [piece(each) for each in (await second.events())[:1]] == ["two"]

    play(scene)


def test_a_client_that_goes_away_afterwards_ends_the_run_that_it_began(play: Play) -> None:
    async def scene(it: Scene) -> None:
        owner, other = await stream(it, "idempotency-key: a"), await stream(it, "idempotency-key: a")
        (run,) = await it.puppet.begun()
        await it.restart()
        it.puppet.say(run, Text("Hello"))
        assert piece(await owner.event()) == piece(await other.event()) == "Hello"
        other.writer.close()
        await until(lambda: it.server.clients == 1)
        assert it.puppet.aborted == []
        owner.writer.close()
        await until(lambda: it.puppet.aborted == [run])

    play(scene)


def test_an_answer_that_began_anew_is_an_error_in_the_next_process_too(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it)
        (run,) = await it.puppet.begun()
        it.puppet.say(run, Text("Hello"))
        assert piece(await reply.event()) == "Hello"
        it.puppet.say(run, Discarded("why"), Text("Hel"))
        await until(lambda: it.core.conversations.runs.active(run).seq == 3)
        await it.restart()
        it.puppet.say(run, Text("p!"))
        error, done = await reply.events()
        assert (error["error"]["code"], done) == ("began_anew", "[DONE]")

    play(scene)


def test_a_switch_or_a_secret_that_changes_meanwhile_does_not_end_what_was_let_in(play: Play) -> None:
    async def scene(it: Scene) -> None:
        reply = await stream(it)
        (run,) = await it.puppet.begun()
        await it.restart()
        it.core.config, it.core.auth = Config(), AuthPolicy("token", token="another")
        await it.restart()
        it.puppet.say(run, *answered("Hello"))
        assert piece((await reply.events())[0]) == "Hello"

    play(scene)


def test_a_database_that_cannot_be_opened_ends_the_stream_with_a_word(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> Any:
        raise StorageFailed("the database is gone")

    async def scene(it: Scene) -> None:
        reply = await stream(it)
        await it.puppet.begun()
        monkeypatch.setattr("gateway.conversations.service.Conversations.end_if_over", fails)
        await it.restart()
        error, done = await reply.events()
        assert (error["error"]["message"], done) == ("the database is gone", "[DONE]")

    play(scene)


# -- the program itself, with the built-in echo ------------------------------------------------------------------------

WORDS = " ".join(f"w{number}" for number in range(100))
CONFIG = {
    "gateway": {"auth": {"token": "t0k"}, "http": {"endpoints": {"chatCompletions": {"enabled": True}}}},
    "models": {"providers": {"builtin": {"paceMs": 30}}},
}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    program.write(CONFIG)
    program.start()
    yield program
    if program.process is not None and program.process.poll() is None:
        program.process.kill()
        program.process.wait()


def echoed(program: Program) -> Iterator[str]:
    """The answer as it comes, from OpenAI's client."""
    with OpenAI(
        base_url=f"http://127.0.0.1:{program.port}/v1", api_key="t0k", max_retries=0, timeout=LIMIT_S
    ) as client:
        messages: list[Any] = [{"role": "user", "content": WORDS}]
        for chunk in client.chat.completions.create(model="openclaw", messages=messages, stream=True):
            yield chunk.choices[0].delta.content or ""


@pytest.mark.process
def test_openais_client_does_not_notice_restarts_in_the_middle_of_an_answer(program: Program) -> None:
    answer = ""
    for number, text in enumerate(echoed(program)):
        answer += text
        if number in (5, 8):  # what was written meanwhile comes as one piece
            before = program.status()["boot_id"]
            program.signal(signal.SIGUSR1)
            program.until(partial(is_another, program, before))
    assert answer.partition("You said: ")[2] == WORDS
    assert program.status()["restarts"]["hot"] == 2


def is_another(program: Program, before: str) -> bool:
    status = program.status()
    return bool(status["ready"] and status["boot_id"] != before)


@pytest.mark.process
def test_a_stop_waits_for_an_answer_that_comes_to_its_end(program: Program) -> None:
    answer = ""
    for number, text in enumerate(echoed(program)):
        answer += text
        if number == 5:
            program.signal(signal.SIGTERM)
    assert answer.partition("You said: ")[2] == WORDS
    assert program.process is not None and program.process.wait(LIMIT_S) == 0
