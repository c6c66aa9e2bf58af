"""Clients of the gateway: `GatewayClient` over WebSocket, which other programs may use, and the control socket.

docs/client.md is about the names in `__all__`. They are imported on first use, because the commands of the control
socket do not need them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.client.client import GatewayClient, GatewayEvent
    from gateway.client.errors import CallFailed, ConnectRefused, Disconnected
    from gateway.client.identity import Identity
    from gateway.client.reconnecting import RECONNECTED, ReconnectingClient
    from gateway.errors import GatewayError, NotRunning, TimedOut
    from gateway.lifecycle.peer import Untrusted

_HOMES = {
    "gateway.client.client": ("GatewayClient", "GatewayEvent"),
    "gateway.client.errors": ("CallFailed", "ConnectRefused", "Disconnected"),
    "gateway.client.identity": ("Identity",),
    "gateway.client.reconnecting": ("RECONNECTED", "ReconnectingClient"),
    "gateway.errors": ("GatewayError", "NotRunning", "TimedOut"),
    "gateway.lifecycle.peer": ("Untrusted",),
}

__all__ = [
    "RECONNECTED",
    "CallFailed",
    "ConnectRefused",
    "Disconnected",
    "GatewayClient",
    "GatewayError",
    "GatewayEvent",
    "Identity",
    "NotRunning",
    "ReconnectingClient",
    "TimedOut",
    "Untrusted",
]


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
