"""One message and its answer, for scripts and pipes."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.cli.conversation.events import ChatEvent, RunEnded
from gateway.cli.conversation.session_feed import SessionFeed
from gateway.cli.conversation.view import View
from gateway.client.reconnecting import ReconnectingClient

ABORT_S = 5.0
"""Seconds for the gateway to accept an abort when the command is leaving."""
T = TypeVar("T")


async def ask(
    client: ReconnectingClient, key: str, text: str, thinking: str | None, on_event: Callable[[ChatEvent], None]
) -> RunEnded:
    """Send a message and return the end of its run; `on_event` gets each event. Cancelling it aborts the run.

    Raises as `ReconnectingClient.call`.
    """
    history = await client.call("chat.history", {"sessionKey": key, "limit": 1})
    view = View(str(history.get("sessionKey") or key))
    feed = SessionFeed(client, view)
    run = str(uuid.uuid4())
    view.expect(run)
    params = {"sessionKey": view.key, "message": text, "idempotencyKey": run}
    try:
        sent = await client.call("chat.send", params | ({"thinking": thinking} if thinking else {}))
        if "runId" not in sent:  # the message was a command that stops an answer
            return RunEnded(run, "final", "stopped" if sent.get("aborted") else "nothing is going on")
        async for event in feed.events():
            if event.run == run:
                on_event(event)
                if isinstance(event, RunEnded):
                    return event
        raise AssertionError("events have no end")
    except asyncio.CancelledError:
        await abort(client, view.key, run)
        raise


async def follow_run(
    client: ReconnectingClient,
    key: str,
    run: str,
    request: Coroutine[Any, Any, T],
    text_of: Callable[[T], str],
    on_event: Callable[[ChatEvent], None],
) -> T:
    """The result of `request`, which starts `run`. `on_event` gets the run's events, and at the end what they lacked.

    Raises as `ReconnectingClient.call`, and as `request`.
    """
    try:
        history = await client.call("chat.history", {"sessionKey": key, "limit": 1})
        view = View(str(history.get("sessionKey") or key))
        feed = SessionFeed(client, view)
        view.expect(run)
    except BaseException:
        request.close()
        raise

    async def report() -> None:
        async for event in feed.events():
            if event.run == run:
                on_event(event)

    reporting = asyncio.ensure_future(report())
    try:
        answer = await request
    finally:
        reporting.cancel()
        await asyncio.gather(reporting, return_exceptions=True)
    said = {"content": [{"type": "text", "text": text_of(answer)}]}
    for event in view.apply("chat", {"runId": run, "sessionKey": view.key, "state": "final", "message": said}):
        on_event(event)
    return answer


async def abort(client: ReconnectingClient, key: str, run: str) -> None:
    """Stop an answer that is no longer awaited, if the gateway can be reached within `ABORT_S`."""
    try:
        async with asyncio.timeout(ABORT_S):
            await client.call("chat.abort", {"sessionKey": key, "runId": run})
    except Exception:
        return  # the user is leaving; the answer will be in the session
