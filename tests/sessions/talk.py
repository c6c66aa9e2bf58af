"""Messages, and a store that is open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.link.spec import Message
from gateway.sessions.records import Progress, Run, RunRequest
from gateway.sessions.store import Store

NOW = 1_795_340_000_000
"""2026-11-22 09:33:20 UTC."""
MAIN = "agent:main:main"


def user(text: str, at: int = NOW) -> Message:
    return {"role": "user", "content": [{"type": "text", "text": text}], "timestamp": at}


def assistant(text: str, at: int = NOW, **more: Any) -> Message:
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "api": "openai-completions",
        "provider": "mock",
        "model": "m1",
        "usage": {
            "input": 10,
            "output": 5,
            "cacheRead": 2,
            "cacheWrite": 1,
            "totalTokens": 18,
            "cost": {"input": 0.5, "output": 0.25, "cacheRead": 0.125, "cacheWrite": 0.0625, "total": 0.9375},
        },
        "stopReason": "stop",
        "timestamp": at,
        **more,
    }


def tool_result(name: str, text: str, at: int = NOW, *, error: bool = False) -> Message:
    content = [{"type": "text", "text": text}]
    return {
        "role": "toolResult",
        "toolCallId": "c1",
        "toolName": name,
        "content": content,
        "isError": error,
        "timestamp": at,
    }


@asynccontextmanager
async def opened(folder: Path, now: int = NOW) -> AsyncIterator[Store]:
    store = Store(folder / "gateway.sqlite")
    await store.open(now)
    try:
        yield store
    finally:
        await store.close()


async def converse(
    store: Store, run: str, session: str, question: str, *answers: Message, now: int = NOW, agent: str = "main"
) -> Run:
    """One run from its acceptance to its good end."""
    await store.accept(run, session, agent, RunRequest(user(question, now)), now)
    await store.begin(run, now)
    return await store.end(Progress(run, len(answers) + 1, "", dict(enumerate(answers, 1))), "done", now)
