"""That pieces reach their hearer with or without the library, once, in order, and that the library knows the whole."""

import asyncio
import json
from typing import Any

import pytest

from gateway.agent.providers import transport
from gateway.agent.providers.bypass import Bypass, Delta
from gateway.agent.turn import answer as turn
from gateway.agent.turn.failed import Failed
from gateway.link.messages import Thinking
from gateway.link.spec import Api, Model
from tests.agent.provider import Provider
from tests.agent.providers.test_source import KEY, TOOL, Asked, model, spec, with_provider
from tests.fakes.canned import Canned, answer

SHORT_CUT: list[Api] = ["openai-completions", "openai-responses", "anthropic-messages"]


def delta(text: str, of: object = "text") -> Delta:
    return Delta(of, text, str.encode)


class Passing:
    """Events that go through a bypass, and a library that makes a text of each."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.read: list[bytes] = []
        self.bypass = Bypass(self._hear)

    async def _hear(self, kind: str, text: str) -> None:
        self.heard.append(f"{kind}: {text}")

    async def _read(self, data: bytes) -> None:
        self.read.append(data)
        await self.bypass.made("text", data.decode())

    def __call__(self, *events: bytes | Delta) -> None:
        async def run() -> None:
            for event in events:
                if not await self.bypass.take(event):
                    for data in self.bypass.pass_on(event):
                        await self._read(data)
            for data in self.bypass.pass_taken():
                await self._read(data)

        asyncio.run(run())


def test_the_first_piece_goes_through_the_library_and_the_next_ones_past_it() -> None:
    stream = Passing()
    stream(delta("a"), delta("b"), delta("c"), b"end")
    assert stream.heard == ["text: a", "text: b", "text: c", "text: end"]
    assert stream.read == [b"a", b"bc", b"end"]


def test_what_is_not_heard_at_the_end_of_a_body_is_read_at_least() -> None:
    stream = Passing()
    stream(delta("a"), delta("b"))
    assert stream.heard == ["text: a", "text: b"] and stream.read == [b"a", b"b"]


def test_another_text_begins_with_the_library() -> None:
    stream = Passing()
    stream(delta("a", 0), delta("b", 0), delta("c", 1), delta("d", 1), delta("e", 0))
    assert stream.read == [b"a", b"b", b"c", b"d", b"e"] and len(stream.heard) == 5


@pytest.mark.parametrize("piece", ["<think>", "</think>", "<", "a\u200db", "\ufeff"])
def test_a_piece_that_the_library_may_change_is_for_it(piece: str) -> None:
    stream = Passing()
    stream(delta("a"), delta("b"), delta(piece), delta("c"), delta("d"))
    assert stream.read == [b"a", b"b", piece.encode(), b"cd"]
    assert stream.heard == [f"text: {text}" for text in ("a", "b", piece, "c", "d")]


def test_nothing_is_taken_while_the_library_makes_something_else_of_it() -> None:
    async def run() -> None:
        bypass = Bypass(lambda kind, text: asyncio.sleep(0))
        for _ in range(3):
            assert not await bypass.take(delta("a"))
            assert [*bypass.pass_on(delta("a"))] == [b"a"]
            await bypass.made("text", "A")

    asyncio.run(run())


def told(asked: Asked) -> Any:
    """Everything that becomes of an answer, but for times."""
    thinking = "".join(piece.delta for piece in asked.pieces if isinstance(piece, Thinking))
    message = {**asked.answer.message(), "timestamp": 0}
    parts = [
        (part.part_kind, getattr(part, "content", None), getattr(part, "args", None))
        for part in asked.models._since[-1].parts
    ]
    return asked.text, thinking, message, parts


async def same(monkeypatch: pytest.MonkeyPatch, asked: Any, *tools: Any) -> Asked:
    """Ask with the bypass and without it, and compare."""
    with_it = await Asked(asked, tools=list(tools)).ask()
    with monkeypatch.context() as patched:
        patched.setattr(Bypass, "take", lambda self, event: asyncio.sleep(0, False))
        without = await Asked(asked, tools=list(tools)).ask()
    assert told(with_it) == told(without)
    return with_it


@pytest.mark.parametrize("words", ["!words=40 !think", "!tags !words=9", "!emoji", "!emoji !tool=look", "!tool=look"])
@pytest.mark.parametrize("api", SHORT_CUT)
def test_an_answer_is_the_same_without_it(api: Api, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(provider: Provider) -> None:
        await same(monkeypatch, spec(model(provider, api), words), TOOL)

    with_provider(test)


@pytest.mark.parametrize("api", SHORT_CUT)
def test_the_library_reads_few_events_of_a_long_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = Bypass.made

    async def count(self: Bypass, kind: Any, text: str) -> None:
        made.append(text)
        await real(self, kind, text)

    monkeypatch.setattr(Bypass, "made", count)

    async def test(provider: Provider) -> None:
        asked = await Asked(spec(model(provider, api), "!words=200")).ask()
        assert asked.text == "".join(f"w{number} " for number in range(1, 201))
        assert 0 < len(made) < 5 and len(asked.pieces) == 200

    with_provider(test)


def chunk(content: str | None = None, **more: Any) -> bytes:
    written = {"content": content} if content is not None else {}
    event = {"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, "delta": written | more}]}
    return f"data: {json.dumps(event)}\n\n".encode()


END = b'data: {"id":"c","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
ODD = {
    "blanks first": [chunk("\n"), chunk("\n"), chunk("a"), chunk("\n"), chunk("b")],
    "tags": [chunk("<think>"), chunk("so"), chunk(" it is"), chunk("</think>"), chunk("\n"), chunk("a"), chunk("b")],
    "a tag in two": [chunk("a"), chunk("<th"), chunk("ink>"), chunk("b"), chunk("c")],
    "thinking between": [chunk("a"), chunk("b"), chunk(reasoning="x"), chunk(reasoning="y"), chunk("\n"), chunk("c")],
    "both at once": [chunk("a", reasoning="x"), chunk("b", reasoning="y"), chunk("c")],
    "a refusal": [chunk(refusal="n"), chunk(refusal="o")],
    "an empty piece": [chunk("a"), chunk(""), chunk("b"), chunk("c")],
    "halves": [chunk("a"), chunk("\ud83d"), chunk("\ude00"), chunk("b")],
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_the_same_without_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with Canned(answer([b"".join(ODD[name]), END])) as provider:
            asked = Model("mock", "m1", "openai-completions", f"{provider.url}/v1", KEY)
            if name == "a refusal":
                with pytest.raises(Failed):
                    await same(monkeypatch, spec(asked, "x"))
            else:
                await same(monkeypatch, spec(asked, "x"))
        await transport.shared_client().aclose()

    asyncio.run(asyncio.wait_for(test(), 60))


def test_an_answer_that_breaks_off_keeps_what_was_heard() -> None:
    async def test() -> None:
        async with Canned(answer([chunk("a"), chunk("b"), chunk("c")])) as provider:
            asked = Asked(spec(Model("mock", "m1", "openai-completions", f"{provider.url}/v1", KEY), "x"))
            assert (await asked.fail()).failure.retryable
            assert asked.answer.text == asked.text == "abc"
        await transport.shared_client().aclose()

    asyncio.run(asyncio.wait_for(test(), 60))


def test_an_answer_that_becomes_too_long_past_the_library_fails_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn, "MAX_TEXT", 50)

    async def test(provider: Provider) -> None:
        asked = Asked(spec(model(provider), "!words=100"))
        assert (await asked.fail()).failure.kind == "limit"
        assert len(asked.text) <= 50

    with_provider(test)


def test_two_requests_at_once_have_each_their_own() -> None:
    async def test(provider: Provider) -> None:
        one = Asked(spec(model(provider), "!words=30"))
        two = Asked(spec(model(provider), "hello there you"))
        await asyncio.gather(one.ask(), two.ask())
        assert one.text.startswith("w1 w2 ") and two.text == "You said: hello there you"

    with_provider(test)
