"""The choice of a protocol version. Pure."""

from typing import Any

from gateway.protocol.frames import WireError


def negotiate(lowest: int, highest: int) -> int | None:
    """The newest version that both speak; None if there is none."""
    spoken = (number for number in (4, 3) if lowest <= number <= highest)
    return next(spoken, None)


def mismatch(lowest: int, highest: int) -> WireError:
    """The error for a client without a common version, in the shape of the version that is nearest to its own."""
    details: dict[str, Any] = {"expectedProtocol": 3}
    if highest > 3:
        details = {
            "code": "PROTOCOL_MISMATCH",
            "clientMinProtocol": lowest,
            "clientMaxProtocol": highest,
            "expectedProtocol": 4,
            "minimumProbeProtocol": 3,
        }
    return WireError("INVALID_REQUEST", "protocol mismatch", details)
