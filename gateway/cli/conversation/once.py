"""One message and its answer, for scripts and pipes."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.cli.conversation.events import Over, Piece
from gateway.cli.conversation.following import SessionFeed
from gateway.cli.conversation.view import View
from gateway.client.reconnecting import ReconnectingClient

ABORT_S = 5.0
"""For the gateway to take note that nobody waits any more."""
T = TypeVar("T")


async def say(
    line: ReconnectingClient, key: str, text: str, thinking: str | None, tell: Callable[[Piece], None]
) -> Over:
    """How it ended. `tell` gets each piece as it comes. Cancelled, it ends the answer.

    Raises as `ReconnectingClient.call`.
    """
    history = await line.call("chat.history", {"sessionKey": key, "limit": 1})
    view = View(str(history.get("sessionKey") or key))
    following = SessionFeed(line, view)
    run = str(uuid.uuid4())
    view.expect(run)
    params = {"sessionKey": view.key, "message": text, "idempotencyKey": run}
    try:
        sent = await line.call("chat.send", params | ({"thinking": thinking} if thinking else {}))
        if "runId" not in sent:  # it was a command that stops an answer
            return Over(run, "final", "stopped" if sent.get("aborted") else "nothing is going on")
        async for piece in following.pieces():
            if piece.run == run:
                tell(piece)
                if isinstance(piece, Over):
                    return piece
        raise AssertionError("events have no end")
    except asyncio.CancelledError:
        await abort(line, view.key, run)
        raise


async def watched(
    line: ReconnectingClient,
    key: str,
    run: str,
    asking: Coroutine[Any, Any, T],
    text_of: Callable[[T], str],
    tell: Callable[[Piece], None],
) -> T:
    """What `asking` for a run brings; meanwhile `tell` gets the pieces of its answer, and in the end what is left."""
    try:
        history = await line.call("chat.history", {"sessionKey": key, "limit": 1})
        view = View(str(history.get("sessionKey") or key))
        following = SessionFeed(line, view)
        view.expect(run)
    except BaseException:
        asking.close()
        raise

    async def hear() -> None:
        async for piece in following.pieces():
            if piece.run == run:
                tell(piece)

    hearing = asyncio.ensure_future(hear())
    try:
        answer = await asking
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    said = {"content": [{"type": "text", "text": text_of(answer)}]}
    for piece in view.take("chat", {"runId": run, "sessionKey": view.key, "state": "final", "message": said}):
        tell(piece)
    return answer


async def abort(line: ReconnectingClient, key: str, run: str) -> None:
    """End an answer for which nobody waits any more, if the gateway is there to hear of it."""
    try:
        async with asyncio.timeout(ABORT_S):
            await line.call("chat.abort", {"sessionKey": key, "runId": run})
    except Exception:
        return  # whoever asked for it is leaving; the answer will be in the session
