"""Our own clients of the gateway: the WebSocket client that others may use, and the control socket.

`GatewayClient` is imported on first use, because whoever wants only the control socket does not need it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.client.client import GatewayClient

__all__ = ["GatewayClient"]


def __getattr__(name: str) -> Any:
    if name != "GatewayClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gateway.client.client import GatewayClient

    return GatewayClient
