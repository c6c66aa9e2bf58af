"""The clients of each device, with a bound for one device."""

import logging

from gateway.hub.connection import Connection
from gateway.protocol.closing import TOO_MANY_OF_A_DEVICE
from gateway.protocol.params import cut

log = logging.getLogger("gateway.ws")

MAX_OF_A_DEVICE = 256
"""Clients of one device; beyond it the oldest one is closed."""


class DeviceClients:
    def __init__(self) -> None:
        self._clients: dict[str, dict[Connection, None]] = {}
        """By device, the oldest first."""

    def add(self, connection: Connection, device: str | None) -> None:
        """None is a client without a device, and is not counted."""
        if device is None:
            return
        clients = self._clients.setdefault(device, {})
        clients[connection] = None
        if len(clients) > MAX_OF_A_DEVICE:
            oldest = next(iter(clients))
            del clients[oldest]
            log.warning("%d clients of device %s; the oldest is closed", MAX_OF_A_DEVICE, cut(device))
            oldest.outbox.finish(TOO_MANY_OF_A_DEVICE)

    def remove(self, connection: Connection, device: str | None) -> None:
        """A client that is not there is none of the device's any more."""
        if device is not None and (clients := self._clients.get(device)):
            clients.pop(connection, None)
            if not clients:
                del self._clients[device]
