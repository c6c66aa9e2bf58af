"""Clients that listen to an answer and come back when their connection ends: what a restart costs them.

The first of them asks, over a WebSocket; one more asks the same over HTTP, where there is a model's name for it. Prints
`seconds client words` for each piece that a client hears (CLOCK_MONOTONIC; how many words of the answer it knows then),
and at the end a JSON object: what each client has heard, how often it had to connect, and what the session has.
"""

import argparse
import asyncio
import json
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from gateway.client.client import GatewayClient, GatewayEvent
from gateway.errors import GatewayError

PATIENCE_S = 120.0
AGAIN_S = 0.05
HTTP = "http"


class Client(ABC):
    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name = name
        self.text = ""
        self.connects = 0
        self.over = False
        self.options = options

    def hear(self, text: str) -> None:
        self.text = text
        print(f"{time.monotonic():.6f} {self.name} {len(text.split())}", flush=True)

    async def live(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not self.over:
                try:
                    await self.listen()
                except (GatewayError, httpx2.HTTPError):
                    await asyncio.sleep(AGAIN_S)

    @abstractmethod
    async def listen(self) -> None:
        """Listen until the connection or the answer ends."""


class Listener(Client):
    def __init__(self, name: str, options: argparse.Namespace, asks: bool) -> None:
        super().__init__(name, options)
        self._asks = asks

    async def listen(self) -> None:
        async with client_of(self.options) as client:
            self.connects += 1
            if self._asks:
                self._asks = False
                await client.call("chat.send", question(self.options))
            elif self.connects > 1 and (said := await history(client, self.options)):
                self.text, self.over = said[-1], True
            async for event in client.events():
                self._take(event)
                if self.over:
                    return

    def _take(self, event: GatewayEvent) -> None:
        if event.name != "chat" or event.payload["sessionKey"] != self.options.session:
            return
        if "message" in event.payload:
            self.hear(event.payload["message"]["content"][0]["text"])
        self.over = event.payload["state"] in ("final", "error", "aborted")


class Reader(Client):
    async def listen(self) -> None:
        body = {"model": self.options.http, "messages": [{"role": "user", "content": self.options.prompt}]}
        headers = {"Authorization": f"Bearer {self.options.token}", "Idempotency-Key": f"{self.options.session}-http"}
        address, text = f"http://127.0.0.1:{self.options.port}/v1/chat/completions", ""
        self.connects += 1
        async with (
            httpx2.AsyncClient(timeout=PATIENCE_S, trust_env=False) as http,
            http.stream("POST", address, json={**body, "stream": True}, headers=headers) as answer,
        ):
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    self.over = True
                elif line.startswith("data: "):
                    for choice in json.loads(line.removeprefix("data: "))["choices"]:
                        text += choice["delta"].get("content") or ""
                        self.hear(text)


def client_of(options: argparse.Namespace) -> GatewayClient:
    """Runs as another user than a gateway inside, hence `plaintext`."""
    url = f"ws://127.0.0.1:{options.port}"
    return GatewayClient(url, token=options.token, timeout_s=PATIENCE_S, plaintext=True)


def question(options: argparse.Namespace) -> dict[str, Any]:
    return {"sessionKey": options.session, "message": options.prompt, "idempotencyKey": options.session}


async def history(client: GatewayClient, options: argparse.Namespace) -> list[str]:
    """The texts of the model in the session."""
    found = await client.call("chat.history", {"sessionKey": options.session})
    said = [message for message in found["messages"] if message["role"] == "assistant"]
    return ["".join(block.get("text", "") for block in message["content"]) for message in said]


async def look_back(options: argparse.Namespace) -> list[str]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                async with client_of(options) as client:
                    return await history(client, options)
            except GatewayError:
                await asyncio.sleep(AGAIN_S)


async def main(options: argparse.Namespace) -> None:
    clients: list[Client] = [Listener(str(number), options, number == 0) for number in range(options.clients)]
    clients += [Reader(HTTP, options)] if options.http else []
    async with asyncio.TaskGroup() as group:
        for each in clients:
            group.create_task(each.live())
    said = await look_back(options)
    heard = {each.name: {"text": each.text, "connects": each.connects} for each in clients}
    print(json.dumps({"heard": heard, "said": said}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--session", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--http", help="the model to name there; nobody asks over HTTP without it")
    asyncio.run(main(parser.parse_args()))
