"""A model provider over real HTTP: OpenAI's two protocols, Anthropic's and Google's, and every way to fail.

`python -m tests.agent.provider --port 18890` serves until it is ended; what it answers is chosen by words in the prompt
or in the model's id (`tests/agent/script`). In a test: `async with Provider() as provider`, then `provider.url`,
`provider.requests`.

    POST …/chat/completions             openai-completions, streaming or not
    POST …/responses                    openai-responses, streaming
    POST …/messages                     anthropic-messages, streaming
    POST …/models/ID:streamGenerateContent   google-generative-ai
    GET  …/models                       what there is
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.agent import apis, script
from tests.agent.script import Heard, Script

DIALECTS: dict[str, apis.Dialect] = {
    "/chat/completions": apis.Completions(),
    "/responses": apis.Responses(),
    "/messages": apis.Messages(),
    ":streamGenerateContent": apis.GenerateContent(),
}
MODELS = ["m1", "m2", "m1+slow=50+words=200"]
PAGE = b"<!doctype html><html><body><h1>Welcome to the hotel's wireless network</h1></body></html>"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Gone(Exception):
    """The connection is to be closed as it is."""


class Asker:
    """Who has asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def leave_hanging(self) -> None:
        """Until it goes."""
        await self._reader.read()
        raise Gone


@dataclass
class Window:
    """What the models take: four characters of JSON are a token, the answer's bound counts too."""

    tokens: int
    words: str = "This model's maximum context length is {limit} tokens. Your messages resulted in {asked} tokens."
    """The text of the refusal."""
    status: int = 400
    kind: str = "context_length_exceeded"
    judge: Callable[[Any], str | None] = lambda _: None
    """What else they do not take."""
    refused: int = 0

    def refuse(self, body: Any) -> str | None:
        if (said := self.judge(body)) is not None:
            return said
        asked = count(body)
        bound = max((int(body.get(name) or 0) for name in ("max_tokens", "max_completion_tokens")), default=0)
        if asked + bound <= self.tokens:
            return None
        self.refused += 1
        return self.words.format(limit=self.tokens, asked=asked)


def count(body: Any) -> int:
    told = [body.get(name) for name in ("messages", "input", "contents", "system", "instructions", "tools")]
    return len(json.dumps([each for each in told if each], ensure_ascii=False)) // 4


class Provider:
    def __init__(self, port: int = 0, window: Window | None = None) -> None:
        self.window = window
        self.requests: list[Request] = []
        self.open = 0
        """Connections."""
        self.accepted = 0
        """Connections since it began."""
        self._port = port
        self._asked: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> "Provider":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve_forever(self) -> None:
        await self._server.serve_forever()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.accepted += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                await self._answer(request, Asker(reader, writer))
        except (Gone, ConnectionError, asyncio.IncompleteReadError):
            pass  # as the script wants it, or the client
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, request: Request, client: Asker) -> None:
        path = request.path.partition("?")[0]
        dialect = next((dialect for ending, dialect in DIALECTS.items() if path.endswith(ending)), None)
        if path.endswith("/models"):
            listed = [{"id": model, "object": "model", "owned_by": "tests"} for model in MODELS]
            await _whole(client, 200, {"object": "list", "data": listed})
        elif dialect is None:
            await _whole(client, 404, {"error": {"message": f"there is no {path}", "type": "invalid_request_error"}})
        else:
            heard = dialect.hear(path, request.body)
            plan = script.write(heard, well=self._is_well(heard))
            if self.window is not None:
                plan.prompt_tokens = count(request.body) - 100  # of which the dialects have a hundred more in the cache
                if (said := self.window.refuse(request.body)) is not None:
                    error = dialect.error(self.window.status, self.window.kind, said)
                    await _whole(client, self.window.status, error)
                    return
            if not await self._fail(dialect, heard, plan, client):
                streams = request.body.get("stream", True)
                await (_stream if streams else _completion)(dialect, heard.model, plan, client)

    def _is_well(self, heard: Heard) -> bool:
        wishes = script.wishes_of(heard)
        self._asked[heard.model] += "times" in wishes
        return "times" in wishes and self._asked[heard.model] > int(wishes["times"])

    async def _fail(self, dialect: apis.Dialect, heard: Heard, plan: Script, client: Asker) -> bool:
        """Answer without a stream, if the script wants it."""
        wishes = plan.wishes
        if "silent" in wishes:
            await client.leave_hanging()
        if "html" in wishes:
            await _whole(client, 200, PAGE, {"Content-Type": "text/html"})
        elif "quota" in wishes:
            message = "You exceeded your current quota, please check your plan and billing details."
            await _whole(client, 429, dialect.error(429, "insufficient_quota", message))
        elif "context" in wishes:
            message = "prompt is too long: this model's maximum context length is 100 tokens; the input token count"
            message += " exceeds the maximum number of tokens allowed"
            await _whole(client, 400, dialect.error(400, "context_length_exceeded", message))
        elif (
            tool := next((each for each in heard.tools if each.endswith(wishes.get("badtool", "?"))), None)
        ) is not None:
            message = f"Invalid schema for function '{tool}': it has no type."
            await _whole(client, 400, dialect.error(400, "invalid_request_error", message))
        elif (status := plan.status) is not None:
            headers = {"Retry-After": wishes["wait"]} if "wait" in wishes else {}
            kind = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status, "error")
            await _whole(client, status, dialect.error(status, kind, f"no, because of {status}"), headers)
        else:
            return False
        return True


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, None at its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, json.loads(body) if body else None)


async def _whole(client: Asker, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    await client.send(f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + content)


async def _stream(dialect: apis.Dialect, model: str, plan: Script, client: Asker) -> None:
    kind = "text/plain" if "type" in plan.wishes else "text/event-stream"
    await client.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    for number, piece in enumerate(dialect.pieces(model, plan)):
        await asyncio.sleep(plan.number("slow") / 1000)
        for wish, value in plan.wishes.items():
            if value == str(number):
                piece = await _spoil(wish, dialect, piece, client)
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await client.send(b"0\r\n\r\n")


async def _spoil(wish: str, dialect: apis.Dialect, piece: bytes, client: Asker) -> bytes:
    """What comes instead of a piece."""
    match wish:
        case "hang":
            await client.leave_hanging()
        case "half":
            await client.send(b"%x\r\n%b" % (len(piece), piece[: len(piece) // 2]))
            raise Gone
        case "break":
            raise Gone
        case "cut":
            await client.send(b"0\r\n\r\n")
            raise Gone
        case "error":
            return dialect.broken()
        case "garbage":
            return b"data: {this is not json}\n\n"
    return piece


async def _completion(dialect: apis.Dialect, model: str, plan: Script, client: Asker) -> None:
    """A chat completion that does not stream."""
    await asyncio.sleep(plan.number("slow") * len(plan.text) / 1000)
    message = {"role": "assistant", "content": "".join(plan.text)}
    usage = {"prompt_tokens": plan.prompt_tokens, "completion_tokens": plan.completion_tokens}
    usage["total_tokens"] = plan.prompt_tokens + plan.completion_tokens
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model}
    await _whole(client, 200, {**head, "choices": [choice], "usage": usage})


async def _main(port: int) -> None:
    async with Provider(port) as provider:
        print(f"serving at {provider.url}", flush=True)
        await provider.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=18890)
    try:
        asyncio.run(_main(parser.parse_args().port))
    except KeyboardInterrupt:
        sys.exit(0)
