"""OpenAI's own client, with several answers that stream at once; runs inside, with the installation's Python.

Prints `ready` once each has said some words, then, when all are over, one JSON list: of each the words that the echo
gave back, the error it ended with, and the longest silence in seconds.
"""

import argparse
import asyncio
import json
import time
from typing import Any

from openai import AsyncOpenAI, OpenAIError

READY = 10
"""Pieces."""


async def listen(client: AsyncOpenAI, options: argparse.Namespace, number: int, ready: asyncio.Event) -> dict[str, Any]:
    text, error, longest = "", None, 0.0
    messages: list[Any] = [{"role": "user", "content": options.words}]
    last = time.monotonic()
    try:
        answer = await client.chat.completions.create(
            model="openclaw",
            messages=messages,
            stream=True,
            user=f"talker-{number}",
            extra_headers={"Idempotency-Key": f"{options.key}-{number}"},
        )
        pieces = 0
        async for chunk in answer:
            pieces, longest, last = pieces + 1, max(longest, time.monotonic() - last), time.monotonic()
            text += chunk.choices[0].delta.content or ""
            if pieces == READY:
                ready.set()
    except OpenAIError as failed:
        error = f"{type(failed).__name__}: {failed}"
    except Exception as failed:
        error = f"{type(failed).__name__}: the stream broke"
    ready.set()
    return {"words": text.partition("You said: ")[2], "error": error, "longest": longest}


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--key", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--words", required=True)
    parser.add_argument("--streams", type=int, default=5)
    options = parser.parse_args()
    async with AsyncOpenAI(
        base_url="http://127.0.0.1:18789/v1", api_key=options.token, max_retries=0, timeout=60
    ) as client:
        ready = [asyncio.Event() for _ in range(options.streams)]
        listening = [asyncio.create_task(listen(client, options, *each)) for each in enumerate(ready)]
        for each in ready:
            await each.wait()
        print("ready", flush=True)
        print(json.dumps(await asyncio.gather(*listening)))


asyncio.run(main())
