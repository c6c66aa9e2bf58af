"""`system-presence` and `last-heartbeat`."""

from typing import Any

from gateway.protocol.params import NoParams
from gateway.protocol.scopes import READ
from gateway.rpc.presence import presence
from gateway.rpc.registry import Call, method


@method("system-presence", NoParams, list[dict[str, Any]], scope=READ)
def system_presence(call: Call, params: NoParams) -> list[dict[str, Any]]:
    """The gateway and its connected clients."""
    return presence(call.core)


@method("last-heartbeat", NoParams, dict[str, Any] | None, scope=READ)
def last_heartbeat(call: Call, params: NoParams) -> None:
    """The last heartbeat event; null, because no heartbeat has run."""
