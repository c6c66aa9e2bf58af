"""Which protocol a client and this gateway have in common. Pure."""

from typing import Any

from gateway.protocol.frames import WireError


def negotiate(lowest: int, highest: int) -> int | None:
    """The newest of ours that the client speaks."""
    spoken = (number for number in (4, 3) if lowest <= number <= highest)
    return next(spoken, None)


def mismatch(lowest: int, highest: int) -> WireError:
    """Told in the shape of the version that is nearer to the client."""
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
