"""sd_notify(3): what the gateway or the agent tells systemd of its state, and the descriptors that systemd stores.

systemd promises to keep the protocol. It is written out here, because the library's function reads NOTIFY_SOCKET from
the environment, and this process takes it out, so that no child can speak for the service.
"""

import array
import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping, Sequence

log = logging.getLogger("gateway.systemd")

MUST_ARRIVE_S = 5.0
"""The longest wait for a busy manager to take a message that must arrive."""
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """The connection to the manager that started this process. Without a manager, every method does nothing.

    The constructor takes `VARIABLES` out of `environ`.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._variables = {name: environ.pop(name) for name in VARIABLES if name in environ}
        self._socket: socket.socket | None = None
        if address := self._variables.get("NOTIFY_SOCKET"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                self._socket.connect("\0" + address[1:] if address.startswith("@") else address)
            except OSError as error:
                log.warning("cannot reach the service manager at NOTIFY_SOCKET=%s: %s", address, error.strerror)
                self.close()

    @property
    def connected(self) -> bool:
        """True if there is a manager."""
        return self._socket is not None

    @property
    def watchdog_interval(self) -> float | None:
        """Seconds between keep-alives: a third of the time after which systemd acts. None if it does not watch."""
        try:
            usec = int(self._variables.get("WATCHDOG_USEC", "0"))
            pid = int(self._variables.get("WATCHDOG_PID", os.getpid()))
        except ValueError:
            return None
        return usec / 3e6 if self.connected and usec > 0 and pid == os.getpid() else None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def environment(self) -> dict[str, str]:
        """The variables that were taken out of the environment, for the next image of a re-exec alone."""
        return dict(self._variables)

    def ready(self, status: str) -> None:
        """The process serves: a start or a reload has ended."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}", must_arrive=True)

    def reloading(self) -> None:
        """A reload has begun, which `ready` ends."""
        # systemd compares this clock with the time of READY=1, so that a READY=1 sent before does not end the reload.
        self._send(
            f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", must_arrive=True
        )

    def stopping(self, status: str) -> None:
        """The process has begun to leave."""
        self._send(f"STOPPING=1\nSTATUS={_one_line(status)}", must_arrive=True)

    def status(self, status: str) -> None:
        """Show this line in `systemctl status`. White space in it becomes single spaces."""
        self._send(f"STATUS={_one_line(status)}")

    def watchdog(self) -> None:
        """Send one keep-alive."""
        self._send("WATCHDOG=1")

    def store(self, name: str, *fds: int) -> bool:
        """Ask systemd to store duplicates of `fds`, and to pass them to the next process as `name`.

        False if the manager had no room for the message within `MUST_ARRIVE_S`.
        """
        return self._send(f"FDSTORE=1\nFDNAME={name}", fds=fds, must_arrive=True)

    def try_store(self, name: str, *fds: int) -> bool:
        """Do what `store` does, without a wait. False if the manager has no room for the message now."""
        return self._send_now(f"FDSTORE=1\nFDNAME={name}", fds)

    def try_remove(self, name: str) -> bool:
        """Ask systemd to close its descriptors of this name. False if it has no room for the message now."""
        return self._send_now(f"FDSTOREREMOVE=1\nFDNAME={name}", None)

    def remove(self, name: str) -> bool:
        """Do what `try_remove` does. False if the manager had no room for the message within `MUST_ARRIVE_S`."""
        return self._send(f"FDSTOREREMOVE=1\nFDNAME={name}", must_arrive=True)

    def _send_now(self, message: str, fds: Sequence[int] | None) -> bool:
        try:
            self._sendmsg(message, fds, 0.0)
        except BlockingIOError:
            return False
        except OSError as error:
            log.warning("the service manager did not take %s: %s", message.partition("\n")[0], error)
        return True

    def _send(self, message: str, *, fds: Sequence[int] | None = None, must_arrive: bool = False) -> bool:
        try:
            self._sendmsg(message, fds, MUST_ARRIVE_S if must_arrive else 0.0)
            return True
        except OSError as error:
            # The next status or keep-alive replaces one that was lost; a lost message of another kind is logged.
            if must_arrive:
                log.warning("the service manager did not take %s: %s", message.partition("\n")[0], error)
            return not isinstance(error, TimeoutError | BlockingIOError)

    def _sendmsg(self, message: str, fds: Sequence[int] | None, timeout: float) -> None:
        if self._socket is None:
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._socket.settimeout(timeout)
        self._socket.sendmsg([message.encode()], rights)


def _one_line(text: str) -> str:
    return " ".join(text.split())


async def feed_watchdog(notifier: Notifier) -> None:
    """Send keep-alives until cancelled; return at once if systemd does not watch this process.

    They come from the event loop, so a frozen loop sends none, and systemd replaces the process.
    """
    if (interval := notifier.watchdog_interval) is None:
        return
    while True:
        notifier.watchdog()
        await asyncio.sleep(interval)
