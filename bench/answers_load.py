"""The client of bench/answers.py: asks for answers over a WebSocket or over HTTP, and prints one line of JSON.

    first   one question after the other, each in a session of its own: seconds until the first piece of each answer
    rate    one long answer, which so many clients hear: its words, and seconds until the last client has its end; with
            --slow, each word comes so many milliseconds after the one before
    hold    a question in each of so many sessions at once: prints how many answers have begun, once all have or after
            --patience seconds, and holds the connections until it is ended

A client that gets another text than the model has said ends the program. Needs wire_load.py in the same folder.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, cast

import httptools
import uvloop
import wire_load  # type: ignore[import-not-found]  # in the folder of the script

PATIENCE_S = 60.0
"""Seconds for one answer."""
PAUSE_S = 0.01
"""Seconds between two questions: the work after an answer is no part of the next one's time."""
TOGETHER = 10
"""Connects under way at once; OpenClaw's own gateway closes some of 50."""
SHORT = 20
"""Words of an answer of which only the first one matters."""
CHAT = b'{"type":"event","event":"chat"'


class Answer:
    """What one run has brought. Times are seconds of `time.perf_counter`."""

    def __init__(self) -> None:
        self.first = self.end = 0.0
        self.text = ""
        self.begun = asyncio.Event()
        self.over = asyncio.Event()

    def hear(self, text: str) -> None:
        self.first = self.first or time.perf_counter()
        self.text = text
        self.begun.set()

    def finish(self) -> None:
        self.end = time.perf_counter()
        self.over.set()

    async def until_over(self, words: list[str]) -> "Answer":
        """`words` are those that it must end with."""
        async with asyncio.timeout(PATIENCE_S):
            await self.over.wait()
        if self.text.split()[-len(words) :] != words:
            wire_load.give_up(
                f"the answer is not what the model has said: {self.text[:200]!r}, {len(self.text)} characters"
            )
        return self


class Chatter(wire_load.Client):
    """Over a WebSocket: `chat.send`, and the `chat` events of a run."""

    seen = 1 << 24

    def __init__(self, echo: bool = False) -> None:
        super().__init__(echo)
        self._listening: dict[bytes, Answer] = {}
        """Runs by their ids as they are in JSON."""

    def listen(self, run: str) -> Answer:
        answer = self._listening[f'"{run}"'.encode()] = Answer()
        return answer

    def ask(self, run: str, prompt: str) -> None:
        params = {"sessionKey": f"agent:main:{run}", "message": prompt, "idempotencyKey": run}
        self.transport.write(wire_load.request("chat.send", params, run))

    def _take(self, opcode: int, body: bytes) -> None:
        if not body.startswith(CHAT):
            super()._take(opcode, body[: wire_load.Client.seen])
            return
        for run, answer in self._listening.items():
            if run in body[: wire_load.Client.seen] and not answer.over.is_set():
                self._hear(answer, json.loads(body)["payload"])

    def _hear(self, answer: Answer, told: dict[str, Any]) -> None:
        if "message" in told:
            answer.hear(told["message"]["content"][0]["text"])
        if told["state"] == "final":
            answer.finish()
        elif told["state"] in ("error", "aborted"):
            wire_load.give_up(f"the run ended with {told}")


class Poster(asyncio.Protocol):
    """Over one HTTP connection: chat completions that stream."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._transport: asyncio.Transport | None = None
        self._answer = Answer()
        self._buffer = b""

    def listen(self, run: str) -> Answer:
        self._answer, self._buffer = Answer(), b""
        self._parser = httptools.HttpResponseParser(self)
        return self._answer

    def ask(self, run: str, prompt: str) -> None:
        body = {"model": self._options.model, "messages": [{"role": "user", "content": prompt}], "stream": True}
        text = json.dumps(body).encode()
        head = f"POST {self._options.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += f"Authorization: Bearer {self._options.token}\r\nContent-Length: {len(text)}\r\n\r\n"
        assert self._transport is not None
        self._transport.write(head.encode() + text)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.over.is_set():
            wire_load.give_up("the connection ended in the middle of an answer")

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        *events, self._buffer = (self._buffer + body).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: "):
                self._hear(event.removeprefix(b"data: "))

    def on_message_complete(self) -> None:
        if (status := self._parser.get_status_code()) != 200:
            wire_load.give_up(f"refused with {status}: {self._buffer!r}")
        self._answer.finish()

    def _hear(self, event: bytes) -> None:
        if event == b"[DONE]":
            return
        for choice in json.loads(event).get("choices") or ():
            if piece := choice["delta"].get("content"):
                self._answer.hear(self._answer.text + piece)


Asker = Chatter | Poster


def numbered(count: int) -> list[str]:
    """The text that the fake provider answers."""
    return [f"w{number}" for number in range(1, count + 1)]


async def connect(options: argparse.Namespace) -> list[Asker]:
    if options.via == "ws":
        return [*await wire_load.connect(options.port, options.clients, False, Chatter, TOGETHER)]
    loop = asyncio.get_running_loop()
    return [
        (await loop.create_connection(lambda: Poster(options), "127.0.0.1", options.port))[1]
        for _ in range(options.clients)
    ]


async def first(askers: list[Asker], options: argparse.Namespace) -> dict[str, Any]:
    times = []
    for number in range(options.count):
        run = f"{options.name}-{number}"
        answer = askers[0].listen(run)
        began = time.perf_counter()
        askers[0].ask(run, "hello" if options.echo else f"!words={SHORT}")
        times.append((await answer.until_over(["hello"] if options.echo else numbered(SHORT))).first - began)
        await asyncio.sleep(PAUSE_S)
    return {"times": times}


async def rate(askers: list[Asker], options: argparse.Namespace) -> dict[str, Any]:
    answers = [asker.listen(options.name) for asker in askers]
    began = time.perf_counter()
    askers[0].ask(options.name, f"!words={options.words} !slow={options.slow}")
    ends = [(await answer.until_over(numbered(options.words))).end for answer in answers]
    return {"words": options.words, "seconds": max(ends) - began}


async def hold(askers: list[Asker], options: argparse.Namespace) -> None:
    answers = []
    for number in range(options.sessions):
        asker, run = askers[number % len(askers)], f"{options.name}-{number}"
        answers.append(asker.listen(run))
        asker.ask(run, f"!words={options.words} !slow={options.slow}")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.patience):
            for answer in answers:
                await answer.begun.wait()
    print(json.dumps({"begun": sum(answer.begun.is_set() for answer in answers)}), flush=True)
    await asyncio.Event().wait()


WHAT: dict[str, Callable[[list[Asker], argparse.Namespace], Any]] = {"first": first, "rate": rate, "hold": hold}


async def main(options: argparse.Namespace) -> None:
    print(json.dumps(await WHAT[options.what](await connect(options), options)), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--via", choices=("ws", "http"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True, help="what this program's runs begin with, new for each program")
    parser.add_argument("--path", default="/v1/chat/completions")
    parser.add_argument("--model", default="m1")
    parser.add_argument("--token", default="bench")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--count", type=int, default=1, help="questions, one after the other")
    parser.add_argument("--echo", action="store_true", help="the built-in echo answers")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--patience", type=float, default=60.0)
    parser.add_argument("--words", type=int, default=2000)
    parser.add_argument("--slow", type=int, default=0, help="milliseconds between two words")
    uvloop.run(main(parser.parse_args()))
