"""A transport that takes nothing until it is asked what it got."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from gateway.hub.connection import Connection
from gateway.protocol.closing import Close


class FakeCarrier:
    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.writes = 0
        self.write_paused = True
        self.on_write_resumed: Callable[[], None] | None = None
        self.known = False
        self.aborted = False
        self.marked_busy = False

    def write(self, texts: Sequence[bytes]) -> None:
        self.writes += 1
        self.texts += texts

    def resume(self) -> None:
        self.write_paused = False
        assert self.on_write_resumed is not None
        self.on_write_resumed()

    def authenticated(self, max_message: int) -> None:
        self.known = True

    def abort(self) -> None:
        self.aborted = True

    def mark_busy(self) -> None:
        self.marked_busy = True

    def checkpoint(self) -> None:
        self.marked_busy = False

    async def wait_closed(self) -> None:
        pass


def drained(connection: Connection) -> tuple[list[dict[str, Any]], Close | None]:
    """All that it has been sent, and the close if there was one."""
    ends: list[Close] = []
    carrier = connection.carrier
    assert isinstance(carrier, FakeCarrier)
    connection.outbox.on_end = ends.append
    carrier.resume()
    carrier.write_paused = True
    return [json.loads(text) for text in carrier.texts], ends[0] if ends else None
