"""Codes and reasons of close frames."""

from typing import Final

from msgspec import Struct

from gateway.protocol.limits import MAX_CLOSE_REASON, MAX_VALUES


class Close(Struct, frozen=True):
    code: int
    reason: str = ""

    @classmethod
    def because(cls, code: int, reason: str) -> "Close":
        """Cut the reason to `MAX_CLOSE_REASON` bytes, at a character."""
        data = reason.encode("utf-8", "replace")[:MAX_CLOSE_REASON]
        return cls(code, data.decode("utf-8", "ignore"))


SILENT: Final = Close(1000)
"""For a handshake timeout, and for unreadable JSON before hello; OpenClaw's gateway gives no reason."""
TEXT_ONLY: Final = Close(1003, "text frames only")
TOO_MANY_VALUES: Final = Close(1009, f"more than {MAX_VALUES} values in one message")
SLOW_CONSUMER: Final = Close(1008, "slow consumer")
TOO_MANY_OF_A_DEVICE: Final = Close(1008, "too many connections of this device")
SECRET_CHANGED: Final = Close(1008, "gateway auth changed")
DEVICE_CHANGED: Final = Close(1008, "device access changed")
SERVICE_RESTART: Final = Close(1012, "service restart")
