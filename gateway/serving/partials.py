"""Bounds the bytes of messages that authenticated clients have sent in part: they are held until the rest comes."""

import logging
from typing import Protocol

log = logging.getLogger("gateway.ws")

MAX_PARTIAL_BYTES = 128 * 1024 * 1024
"""Five of the largest messages. A message that comes within one read is not counted."""


class Sender(Protocol):
    def stop_sending(self) -> None:
        """End the connection, and with it what is held for it."""


class PartialMessages:
    def __init__(self) -> None:
        self.bytes = 0
        self._held: dict[Sender, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def set_held(self, sender: Sender, size: int) -> None:
        """So many bytes are held for the sender now. Beyond the bound the sender with the most is stopped."""
        if not size and sender not in self._held:
            return
        self.bytes += size - self._held.pop(sender, 0)
        if size:
            self._held[sender] = size
        while self.bytes > MAX_PARTIAL_BYTES:
            most = max(self._held, key=self._held.__getitem__)
            log.warning("clients have sent %d bytes of messages by halves; the one with the most is closed", self.bytes)
            self.bytes -= self._held.pop(most)
            most.stop_sending()
