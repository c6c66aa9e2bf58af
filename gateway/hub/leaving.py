"""The end of WebSocket clients when the process leaves: some are answered, some are closed, the others are kept.

A connection that is `kept` outlives the process. Each step is polled: it happens a few times in the life of a process,
and most connections would never have anything to report.
"""

import asyncio
import logging
import time

from gateway.hub.hub import Hub
from gateway.protocol.closing import Close
from gateway.protocol.frames import WireError

log = logging.getLogger("gateway.ws")

POLL_S = 0.005


async def serve_newcomers(hub: Hub, limit_s: float) -> None:
    """Wait for clients that connected less than `limit_s` ago and have had no answer: a command does not try again.

    A kept connection is not waited for: the next process answers it.
    """
    until = time.monotonic() + limit_s
    while (now := time.monotonic()) < until and any(  # noqa: ASYNC110
        not (each.answered or each.kept or each.outbox.closing) and now - each.opened < limit_s
        for each in hub.connections
    ):
        await asyncio.sleep(POLL_S)


async def close_all(hub: Hub, code: int, reason: str, grace_s: float, *, but_kept: bool = False) -> None:
    """Close every connection once its queue is sent, and each that comes later. One that is still there after
    `grace_s` is aborted."""
    hub.closing = close = Close.because(code, reason)
    left = [each for each in hub.connections if not (but_kept and each.kept)]
    for connection in left:
        connection.outbox.finish(close)
    deadline = time.monotonic() + grace_s
    while (left := [each for each in left if each in hub.connections]) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    if left:
        log.info("%d clients did not answer the close frame and were dropped", len(left))
        for connection in left:
            connection.carrier.abort()


async def finish_requests(hub: Hub, limit_s: float, error: WireError) -> None:
    """Wait until the requests of kept connections are answered, then write what their transports take.

    A request that takes longer than `limit_s` gets `error`.
    """
    kept = [each for each in hub.connections if each.kept]
    deadline = time.monotonic() + limit_s
    while any(each.requests for each in kept) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(POLL_S)
    late = [each for each in kept if each.requests]
    for connection in late:
        connection.fail_requests(error)
    if late:
        log.warning("requests of %d clients took too long for the restart; they are told to ask again", len(late))
    for connection in kept:
        connection.outbox.flush()
