"""How much of messages all authenticated clients together may have sent by halves: it is held until the rest comes."""

import logging
from typing import Protocol

log = logging.getLogger("gateway.ws")

MAX_HALVES = 128 * 1024 * 1024
"""Bytes; five of the largest messages. What is sent within one read is none of it."""


class Sender(Protocol):
    def stop_sending(self) -> None:
        """End the connection, and with it what is held for it."""


class Senders:
    def __init__(self) -> None:
        self.bytes = 0
        self._held: dict[Sender, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, sender: Sender, size: int) -> None:
        """From now on so many bytes are held for it. Beyond the bound those with the most are stopped."""
        if not size and sender not in self._held:
            return
        self.bytes += size - self._held.pop(sender, 0)
        if size:
            self._held[sender] = size
        while self.bytes > MAX_HALVES:
            most = max(self._held, key=self._held.__getitem__)
            log.warning("clients have sent %d bytes of messages by halves; the one with the most is closed", self.bytes)
            self.bytes -= self._held.pop(most)
            most.stop_sending()
