"""The processes that listen on a port, from /proc, and the sentence that tells the user what to do about them.

It only reads. Nothing in this project kills a process because of the port it holds: under socket activation systemd
itself is one of the holders.
"""

import ipaddress
import os
import pwd
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from gateway.text.addresses import IPAddress

PROC = Path("/proc")
COMMAND_LIMIT = 120
"""The longest command line in a sentence, in characters."""

LISTEN = "0A"
"""The state of a listener in /proc/net/tcp."""
_MANAGER_SCOPE = "init.scope"
_MANAGERS = ("systemd", "init")
_SERVICE, _SOCKET = "openclaw-gateway.service", "openclaw-gateway.socket"
_SECRET_OPTIONS = ("--token", "--password", "--auth-token", "--api-key")
_OTHER_PORT = "or take another port with `--port` or `gateway.port`"


class Holder(Struct, frozen=True):
    """A process that has the listening socket open. Only its user is known if /proc does not show the process."""

    pid: int | None
    uid: int
    user: str
    command: str
    unit: str | None
    """The systemd unit that it runs in."""

    @property
    def is_systemd(self) -> bool:
        """True if it is a system or user manager. Pid 1 of a container may be any program, so its name counts too."""
        program = os.path.basename(self.command.partition(" ")[0])
        return program in _MANAGERS and (self.pid == 1 or self.unit == _MANAGER_SCOPE)

    @property
    def is_foreign(self) -> bool:
        """True if it belongs to another user."""
        return self.uid != os.getuid()

    def __str__(self) -> str:
        if self.pid is None:
            return f"a process of user {self.user}"
        whose = f" of user {self.user}" if self.is_foreign else ""
        where = f", in {self.unit}" if self.unit and not self.is_systemd else ""
        return f"pid {self.pid}{whose} ({self.command}{where})"


def holders(address: tuple[str, int], proc: Path = PROC) -> list[Holder]:
    """The processes that have a listener with which binding `address` conflicts, ordered by pid."""
    return _owners(_listeners(address, proc), proc)


def openers(path: Path, proc: Path = PROC) -> list[Holder]:
    """The other processes that have this file open, or one whose path begins with its path (a WAL).

    Those that /proc does not show are missing.
    """
    others = (pid for pid in _pids(proc) if pid != os.getpid())
    found = [
        _holder(pid, proc)
        for pid in others
        if any(target.startswith(str(path)) for target in _targets(proc / str(pid)))
    ]
    return sorted(found, key=lambda holder: holder.pid or 0)


def _owners(inodes: dict[int, int], proc: Path) -> list[Holder]:
    """The processes that have one of these sockets open. `inodes` maps a socket's inode to the uid that made it."""
    found: dict[int, Holder] = {}
    seen: set[int] = set()
    for pid in _pids(proc) if inodes else ():
        held = _socket_inodes(proc / str(pid)) & inodes.keys()
        if held:
            seen |= held
            found[pid] = _holder(pid, proc)
    hidden = {uid for inode, uid in inodes.items() if inode not in seen}
    # /proc/net shows the uid of another user's socket, and /proc/<pid>/fd does not show the socket.
    unseen = [Holder(None, uid, user_name(uid), "", None) for uid in sorted(hidden)]
    return [found[pid] for pid in sorted(found)] + unseen


def _listeners(address: tuple[str, int], proc: Path) -> dict[int, int]:
    """Inode -> uid of each listening TCP socket that conflicts with `address`."""
    host, port = ipaddress.ip_address(address[0]), address[1]
    found: dict[int, int] = {}
    for fields in tcp_sockets(proc):
        local_host, local_port = endpoint(fields[1])
        if fields[3] == LISTEN and local_port == port and conflict(local_host, host):
            found[int(fields[9])] = int(fields[7])
    return found


def tcp_sockets(proc: Path) -> Iterator[list[str]]:
    """Each row of the kernel's tables. Field 1 is the local endpoint, 2 the remote one, 3 the state, 7 the uid, 9 the
    inode."""
    for name in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / name).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        yield from map(str.split, lines)


def endpoint(text: str) -> tuple[IPAddress, int]:
    """Address and port of `0100007F:4965`, for example. The address is in 32-bit words of the machine's byte order."""
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address, int(port, 16)


def conflict(held: IPAddress, wanted: IPAddress) -> bool:
    """True if a listener on `held` receives what is meant for `wanted`, or prevents binding it."""
    if held.version == wanted.version:
        return held == wanted or held.is_unspecified or wanted.is_unspecified
    # `::` may have both families. 0.0.0.0 never prevents binding an IPv6 address, which we bind for IPv6 only.
    return held.version == 6 and held.is_unspecified


def _pids(proc: Path) -> Iterator[int]:
    return (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())


def _socket_inodes(process: Path) -> set[int]:
    return {int(target[8:-1]) for target in _targets(process) if target.startswith("socket:[")}


def _targets(process: Path) -> Iterator[str]:
    """The targets of its descriptors. There are none if the process has ended or is another user's."""
    try:
        numbers = os.listdir(process / "fd")
    except OSError:
        return
    for number in numbers:
        with suppress(OSError):  # closed meanwhile
            yield os.readlink(process / "fd" / number)


def _holder(pid: int, proc: Path) -> Holder:
    process = proc / str(pid)
    try:
        uid = process.stat().st_uid
    except OSError:
        uid = os.getuid()
    return Holder(pid, uid, user_name(uid), command(pid, proc), unit(pid, proc))


def user_name(uid: int) -> str:
    """The user's name, or the number if the machine has no name for it, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def command(pid: int, proc: Path = PROC) -> str:
    """The command line, shortened, with the values of secret options hidden. A kernel thread or zombie has its name."""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace").split("\0")
        if words == [""]:
            words = [(proc / str(pid) / "comm").read_text().strip()]
    except OSError:
        return "gone"
    text = shlex.join(_without_secrets(words))
    return text if len(text) <= COMMAND_LIMIT else text[: COMMAND_LIMIT - 1] + "…"


def _without_secrets(words: Sequence[str]) -> Iterator[str]:
    hide = False
    for word in words:
        option, equals, _ = word.partition("=")
        if hide:
            yield "***"
        elif option in _SECRET_OPTIONS and equals:
            yield f"{option}=***"
        else:
            yield word
        hide = not hide and word in _SECRET_OPTIONS


def unit(pid: int, proc: Path = PROC) -> str | None:
    """The innermost systemd unit of a process, from its control group. None if there is none."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "name=systemd"):
            for part in reversed(path.split("/")):
                if part.endswith((".service", ".scope")):
                    return part
    return None


def describe(found: Iterable[Holder], port: int) -> str:
    """The sentence for `PortBusy`: the holders of the port, and what the user can do."""
    listed = list(found)
    managers = [holder for holder in listed if holder.is_systemd]
    others = [holder for holder in listed if not holder.is_systemd]
    if managers:
        return _held_by_systemd(managers[0], others, port)
    if not others:
        return f"port {port} was taken, but nobody listens on it now: try again, {_OTHER_PORT}."
    who = " and ".join(str(holder) for holder in others)
    if any(holder.pid is None for holder in others):
        return f"port {port} is held by {who}: ask them to stop it, {_OTHER_PORT}. Nothing is ever killed by port."
    return f"port {port} is held by {who}: stop it yourself, {_OTHER_PORT}. Nothing is ever killed by port."


def _held_by_systemd(manager: Holder, others: list[Holder], port: int) -> str:
    if manager.pid == 1:
        return (
            f"port {port} is held by systemd for a system socket unit (`systemctl list-sockets` names it): "
            f"use that one, {_OTHER_PORT}."
        )
    if manager.is_foreign:
        return f"port {port} is held by systemd for a socket unit of user {manager.user}: ask them, {_OTHER_PORT}."
    serving = next((holder for holder in others if holder.unit == _SERVICE), None)
    if serving:
        return (
            f"port {port} is held by systemd for {_SOCKET}, and {_SERVICE} serves it (pid {serving.pid}): "
            f"it is running; `openclaw-gateway status` shows it. To run a second one, {_OTHER_PORT[3:]}."
        )
    return (
        f"port {port} is held by systemd for {_SOCKET}: start the service instead with "
        f"`systemctl --user start openclaw-gateway`, {_OTHER_PORT}."
    )
