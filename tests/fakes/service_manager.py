"""systemd as the processes that it starts see it: what hears them, and what keeps their descriptors."""

import array
import asyncio
import os
import socket
from pathlib import Path
from typing import Self

from gateway.systemd.descriptors import CONNECTION, HTTP, Inherited
from gateway.systemd.notify import Notifier
from gateway.systemd.parcels import PARCEL, Parcels, open_parcels

WATCHDOGS: list[tuple[dict[str, str], float | None]] = [
    ({}, 1.0),
    ({"WATCHDOG_USEC": "0"}, None),
    ({"WATCHDOG_USEC": "soon"}, None),
    ({"WATCHDOG_PID": "1"}, None),
    ({"WATCHDOG_PID": "me"}, None),
]
"""What it may say beside `environ`, and the interval in which a process that it watches then feeds the watchdog."""


class ServiceManager:
    """The receiving end of NOTIFY_SOCKET; an address that begins with `@` is an abstract one."""

    def __init__(self, address: Path | str) -> None:
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self.socket.settimeout(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def environ(self) -> dict[str, str]:
        """What it gives to this process, which it watches."""
        return {"NOTIFY_SOCKET": self.address, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}

    def hear(self) -> str:
        """The next message as it came."""
        return self.socket.recv(4096).decode()

    async def heard(self) -> str:
        """`hear` of a process beside this loop."""
        self.socket.setblocking(False)
        return (await asyncio.get_running_loop().sock_recv(self.socket, 4096)).decode()

    def receive(self) -> tuple[dict[str, str], list[int]]:
        """The next message and what was passed with it."""
        data, rights, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(64))
        fds = array.array("i")
        for _, _, passed in rights:
            fds.frombytes(passed[: len(passed) - len(passed) % fds.itemsize])
        return dict(line.split("=", 1) for line in data.decode().split("\n")), list(fds)

    def close(self) -> None:
        self.socket.close()


class FdStore:
    """What it keeps: duplicates."""

    def __init__(self) -> None:
        self.fds: list[tuple[str, int]] = []

    def names(self) -> list[str]:
        return sorted(name for name, _ in self.fds)

    def put(self, name: str, *fds: int) -> None:
        self.fds += [(name, os.dup(fd)) for fd in fds]

    def remove(self, name: str) -> None:
        for _, fd in [each for each in self.fds if each[0] == name]:
            os.close(fd)
        self.fds = [each for each in self.fds if each[0] != name]

    def inherited(self) -> Inherited:
        """What the next process finds."""
        single = [(name, os.dup(fd)) for name, fd in self.fds if not name.startswith(PARCEL)]
        fds = dict(single)
        assert len(fds) == len(single)
        ends: dict[str, list[int]] = {}
        for name, fd in self.fds:
            if name.startswith(PARCEL):
                ends.setdefault(name, []).append(os.dup(fd))
        parcels, held = open_parcels(ends, duplicate=True)
        fds |= held
        connections = {name: fd for name, fd in fds.items() if name.startswith(CONNECTION)}
        http = {name: fd for name, fd in fds.items() if name.startswith(HTTP)}
        others = {name: fd for name, fd in fds.items() if name not in connections and name not in http}
        return Inherited(others=others, connections=connections, http=http, parcels=parcels)

    def close(self) -> None:
        for name in self.names():
            self.remove(name)


def stored(fds: FdStore, parcels: Parcels) -> list[str]:
    """The names of what is kept, also of what is in these parcels and was not removed."""
    return sorted([name for name in fds.names() if not name.startswith(PARCEL)] + list(parcels._of))


class FakeNotifier(Notifier):
    """A manager without a socket: `said` has what it was told, `fds` what it keeps."""

    def __init__(self, fds: FdStore | None = None, watchdog_interval: float | None = None) -> None:
        super().__init__({})
        self.said: list[str] = []
        self.fds = fds or FdStore()
        self._interval = watchdog_interval

    @property
    def connected(self) -> bool:
        return True

    @property
    def watchdog_interval(self) -> float | None:
        return self._interval

    def ready(self, status: str) -> None:
        self.said.append(f"READY {status}")

    def reloading(self) -> None:
        self.said.append("RELOADING")

    def status(self, status: str) -> None:
        self.said.append(status)

    def watchdog(self) -> None:
        self.said.append("WATCHDOG")

    def try_store(self, name: str, *fds: int) -> bool:
        self.fds.put(name, *fds)
        return True

    def try_remove(self, name: str) -> bool:
        self.fds.remove(name)
        return True

    def store(self, name: str, *fds: int) -> bool:
        return self.try_store(name, *fds)

    def remove(self, name: str) -> bool:
        return self.try_remove(name)
