"""Answers of the program itself, without systemd: over restarts in place, a crash and a stop, with a child as agent."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from gateway.client.client import GatewayClient
from tests.e2e.naive import NaiveReader
from tests.processes import alive
from tests.program import Program
from tests.slack import LIMIT_S

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

HANGS_S = 150
"""No measure of anything: an answer takes 5 s, and on a machine with ten times the work ten times that."""

WORDS = [f"word{number}" for number in range(80)]
PACE_MS = 20


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    made.write(
        {
            "gateway": {"auth": {"token": "t0k"}, "http": {"endpoints": {"chatCompletions": {"enabled": True}}}},
            "models": {"providers": {"builtin": {"paceMs": PACE_MS}}},
        }
    )
    yield made.start()
    assert made.process is not None
    made.process.kill()
    made.process.wait()


def agents(program: Program) -> list[int]:
    """The pids of all that were started."""
    return [int(pid) for pid in re.findall(r"agent started \(pid (\d+)\)", program.stderr.read_text())]


class Listener:
    """Asks, and holds what it hears of the answer against what it must be."""

    def __init__(self, client: GatewayClient) -> None:
        self.client = client
        self.text = ""
        self.wrong: list[str] = []
        self.naive = NaiveReader()

    async def ask(self) -> None:
        question = {"sessionKey": "main", "message": " ".join(WORDS), "idempotencyKey": "k1"}
        assert (await self.client.call("chat.send", question))["status"] == "started"

    async def until(self, word: str) -> None:
        while word not in self.text.split():
            await self.hear()

    async def hear(self) -> dict[str, Any]:
        """The next `chat` event."""
        async for event in self.client.events():
            if event.name in ("chat", "agent"):
                self.naive.hear(event.name, event.payload)
            if event.name != "chat":
                continue
            told: dict[str, Any] = event.payload
            if told["state"] == "delta":
                whole = told["message"]["content"][0]["text"]
                self.text = told["deltaText"] if told.get("replace") else self.text + told["deltaText"]
                if self.text != whole:
                    self.wrong.append(f"{self.text!r} is not {whole!r}")
            return told
        raise AssertionError("the connection has ended")

    async def end(self) -> str:
        """The text of the whole answer."""
        while (told := await self.hear())["state"] not in ("final", "error", "aborted"):
            pass
        assert told["state"] == "final", told
        assert self.wrong == self.naive.wrong == []
        assert (self.naive.begins, self.naive.ends) == (1, 1)
        text: str = told["message"]["content"][0]["text"]
        return text


def run(test: Any) -> None:
    asyncio.run(asyncio.wait_for(test, HANGS_S))


def restart(program: Program, count: int) -> None:
    program.signal(signal.SIGUSR1)
    program.until(lambda: program.status()["restarts"]["hot"] == count)


def client(program: Program) -> GatewayClient:
    return GatewayClient(f"ws://127.0.0.1:{program.port}", token="t0k", timeout_s=LIMIT_S)


def test_an_answer_goes_on_over_restarts_in_place(program: Program) -> None:
    async def test() -> None:
        async with client(program) as connected:
            listener = Listener(connected)
            await listener.ask()
            for count, word in enumerate(("word5", "word30", "word55"), 1):
                await listener.until(word)
                await asyncio.to_thread(restart, program, count)
            assert (await listener.end()).split()[-len(WORDS) :] == WORDS
            history = await connected.call("chat.history", {"sessionKey": "main"})
            assert [each["role"] for each in history["messages"]] == ["user", "assistant"]

    run(test())
    assert len(agents(program)) == 1, "the child outlives the image that has started it"


def test_answers_over_http_go_on_over_restarts_in_place(program: Program) -> None:
    """Many: a run must not go on before everybody who reads it is there again."""

    async def read(openai: AsyncOpenAI, number: int) -> str:
        question: Any = {"role": "user", "content": " ".join(f"{word}x{number}" for word in WORDS)}
        pieces = await openai.chat.completions.create(model="openclaw", messages=[question], stream=True)
        return "".join([piece.choices[0].delta.content or "" async for piece in pieces if piece.choices])

    async def test() -> None:
        async with AsyncOpenAI(
            base_url=f"http://127.0.0.1:{program.port}/v1", api_key="t0k", max_retries=0, timeout=LIMIT_S
        ) as openai:
            answers = asyncio.gather(*(read(openai, number) for number in range(24)))
            await asyncio.to_thread(program.until, lambda: program.status()["connections"] >= 24)
            for count in (1, 2, 3):
                await asyncio.to_thread(restart, program, count)
            for number, answer in enumerate(await answers):
                assert answer.split()[-len(WORDS) :] == [f"{word}x{number}" for word in WORDS]

    run(test())
    assert len(agents(program)) == 1


def test_an_answer_is_begun_anew_after_a_crash_of_both(program: Program) -> None:
    async def test() -> None:
        async with client(program) as connected:
            listener = Listener(connected)
            await listener.ask()
            await listener.until("word5")
        assert program.process is not None
        program.process.kill()
        await asyncio.to_thread(program.process.wait)
        await asyncio.to_thread(program.start)
        async with client(program) as connected:
            waited = await connected.call("agent.wait", {"runId": "k1", "timeoutMs": 30_000})
            assert waited["status"] == "ok"
            history = await connected.call("chat.history", {"sessionKey": "main"})
            (question, answer) = history["messages"]
            assert answer["content"][0]["text"].split()[-len(WORDS) :] == WORDS

    run(test())
    first, second = agents(program)
    program.until(lambda: not alive(first))
    assert first != second


def test_a_stop_ends_the_agent_and_the_next_start_the_answer(program: Program) -> None:
    async def test() -> None:
        async with client(program) as connected:
            listener = Listener(connected)
            await listener.ask()
            await listener.until("word5")
            program.signal(signal.SIGTERM)
            assert program.process is not None
            await asyncio.to_thread(program.process.wait)
        while alive(agents(program)[0]):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(program.start)
        async with client(program) as connected:
            assert (await connected.call("agent.wait", {"runId": "k1"}))["status"] == "ok"

    run(test())


def test_an_agent_that_is_killed_is_replaced(program: Program) -> None:
    async def test() -> None:
        async with client(program) as connected:
            listener = Listener(connected)
            await listener.ask()
            await listener.until("word5")
            os.kill(agents(program)[0], signal.SIGKILL)
            assert (await listener.end()).split()[-len(WORDS) :] == WORDS

    run(test())
    assert len(agents(program)) == 2
