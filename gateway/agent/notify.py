"""What the agent tells systemd (sd_notify(3)): readiness, status, that it stops, the watchdog's keep-alive.

The variables are taken out of the environment, so that no tool can speak for the service.
"""

import logging
import os
import socket
from collections.abc import MutableMapping

log = logging.getLogger("agent.systemd")

MUST_ARRIVE_S = 5.0
"""How long READY and STOPPING may wait for a busy manager."""
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Without a manager, every method does nothing."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        words = {name: environ.pop(name) for name in VARIABLES if name in environ}
        self._socket: socket.socket | None = None
        self.watchdog_interval: float | None = None
        """Seconds between keep-alives, a third of the time after which systemd acts; None if it does not watch."""
        if address := words.get("NOTIFY_SOCKET"):
            self._connect("\0" + address[1:] if address.startswith("@") else address)
            self.watchdog_interval = _interval(words)

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}", MUST_ARRIVE_S)

    def stopping(self, status: str) -> None:
        self._send(f"STOPPING=1\nSTATUS={status}", MUST_ARRIVE_S)

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}", 0.0)

    def watchdog(self) -> None:
        self._send("WATCHDOG=1", 0.0)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(address)
        except OSError as error:
            log.warning("cannot reach the service manager at NOTIFY_SOCKET=%s: %s", address, error.strerror)
            self.close()

    def _send(self, message: str, timeout: float) -> None:
        if self._socket is None:
            return
        try:
            self._socket.settimeout(timeout)
            self._socket.send(message.encode())
        except BlockingIOError:
            return  # the next status or keep-alive replaces this one
        except OSError as error:
            log.warning("the service manager did not take %s: %s", message.partition("\n")[0], error)


def _interval(words: MutableMapping[str, str]) -> float | None:
    try:
        usec = int(words.get("WATCHDOG_USEC", "0"))
        pid = int(words.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return usec / 3e6 if usec > 0 and pid == os.getpid() else None
