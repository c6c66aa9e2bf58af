"""People who ask the assistant something, each in a session of their own, and hold what they hear against what must be.

The built-in echo repeats the question word by word, so all know what their answer is. A connection that ends is
opened again; the question is then asked again under the same key. Prints `ready` once every question is accepted, then
the first talker's progress (`first`, `middle`, `last`), and at the end one JSON object: a list of `Talk`.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.client.client import GatewayClient
from gateway.client.errors import Disconnected
from gateway.errors import GatewayError

sys.path.append(str(Path(__file__).parent))  # this file alone is run, with -P
from naive import NaiveReader  # type: ignore[import-not-found]

PATIENCE_S = 60.0
"""From the question to the end of its answer."""
AGAIN_S = 0.05


@dataclass
class Talk:
    """Times are seconds."""

    key: str
    state: str = "unanswered"
    """The state of the last event: final, error, aborted."""
    error: str | None = None
    text: str = ""
    asked: int = 0
    connects: int = 0
    replaced: int = 0
    """How often what had been told was told anew."""
    silence: float = 0.0
    """The longest between two events of the answer."""
    wrong: list[str] = field(default_factory=list)
    """What no client should see."""
    history: list[str] = field(default_factory=list)
    """The session at the end: `role: text` of each message."""


class Talker:
    def __init__(self, options: argparse.Namespace, number: int, tell: Any) -> None:
        self.talk = Talk(f"{options.name}-{number}")
        self._options = options
        self._session = f"agent:main:{self.talk.key}"
        self._words = [f"word{number}x{each}" for each in range(options.words)]
        self._tell = tell
        self._told: set[str] = set()

    async def live(self, accepted: "asyncio.Event") -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.talk.state == "unanswered":
                try:
                    async with self._client() as client:
                        self.talk.connects += 1
                        await self._ask(client)
                        accepted.set()
                        await self._listen(client)
                except (Disconnected, GatewayError):
                    await asyncio.sleep(AGAIN_S)
            await self._look_back()

    def _client(self) -> GatewayClient:
        return GatewayClient(self._options.url, token=self._options.token, timeout_s=PATIENCE_S)

    async def _ask(self, client: GatewayClient) -> None:
        self.talk.asked += 1
        question = {"sessionKey": self._session, "message": " ".join(self._words), "idempotencyKey": self.talk.key}
        answer = await client.call("chat.send", question)
        if answer["status"] in ("ok", "error"):
            self.talk.state = "final" if answer["status"] == "ok" else "error"

    async def _listen(self, client: GatewayClient) -> None:
        heard: str | None = "" if self.talk.asked == 1 else None
        naive = NaiveReader()
        last = time.monotonic()
        while self.talk.state == "unanswered":
            event = await anext(client.events())
            if event.name not in ("chat", "agent") or event.payload["runId"] != self.talk.key:
                continue
            if self.talk.asked == 1:
                naive.hear(event.name, event.payload)
                self.talk.wrong, naive.wrong = self.talk.wrong + naive.wrong, []
            if event.name != "chat":
                continue
            now = time.monotonic()
            self.talk.silence, last = max(self.talk.silence, now - last), now
            heard = self._hear(event.payload, heard)

    def _hear(self, told: dict[str, Any], heard: str | None) -> str | None:
        state, talk = told["state"], self.talk
        if state == "status":
            return heard
        whole = told["message"]["content"][0]["text"] if "message" in told else ""
        if state == "delta":
            talk.replaced += told.get("replace", False)
            if told.get("replace") or heard is None:
                heard = whole
            else:
                heard += told["deltaText"]
            if heard != whole:
                talk.wrong.append(f"the pieces are {heard!r} and the whole {whole!r}")
            self._progress(whole)
            return heard
        if state == "final" and heard is not None and heard != whole:
            talk.wrong.append(f"the pieces are {heard!r} and the end {whole!r}")
        talk.state, talk.text, talk.error = state, whole, told.get("errorMessage")
        return heard

    def _progress(self, text: str) -> None:
        marks = {"first": self._words[0], "middle": self._words[len(self._words) // 2], "last": self._words[-1]}
        for mark, word in marks.items():
            if word in text and mark not in self._told:
                self._told.add(mark)
                self._tell(mark)

    async def _look_back(self) -> None:
        while not self.talk.history:
            try:
                async with self._client() as client:
                    found = await client.call("chat.history", {"sessionKey": self._session})
                    self.talk.history = [_spell(message) for message in found["messages"]]
            except (Disconnected, GatewayError):
                await asyncio.sleep(AGAIN_S)
        if not self.talk.text:  # the end came while nobody listened
            self.talk.text = self.talk.history[-1].partition(": ")[2]


def _spell(message: dict[str, Any]) -> str:
    return f"{message['role']}: " + "".join(block.get("text", "") for block in message["content"])


async def main(options: argparse.Namespace) -> None:
    talkers = [Talker(options, 0, lambda mark: print(mark, flush=True))]
    talkers += [Talker(options, number, lambda mark: None) for number in range(1, options.talkers)]
    accepted = [asyncio.Event() for _ in talkers]
    async with asyncio.TaskGroup() as group:
        for talker, event in zip(talkers, accepted, strict=True):
            group.create_task(talker.live(event))
        await asyncio.gather(*(event.wait() for event in accepted))
        print("ready", flush=True)
    print(json.dumps([dataclasses.asdict(talker.talk) for talker in talkers]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:18789")
    parser.add_argument("--token", required=True)
    parser.add_argument("--talkers", type=int, default=3)
    parser.add_argument("--words", type=int, default=30)
    parser.add_argument("--name", default="talk")
    asyncio.run(main(parser.parse_args()))
