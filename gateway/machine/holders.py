"""Who listens on a port, from /proc, and the sentence that tells a person what to do about it.

It only looks. Nothing in this project ever kills a process because of the port it holds: under socket activation
systemd itself shows up among the holders.
"""

import ipaddress
import os
import pwd
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PROC = Path("/proc")
COMMAND_LIMIT = 120
"""Longest command line in a sentence, in characters."""

LISTEN = "0A"
"""The state of a listener in /proc/net/tcp."""
_MANAGER_SCOPE = "init.scope"
_MANAGERS = ("systemd", "init")
_SERVICE, _SOCKET = "openclaw-gateway.service", "openclaw-gateway.socket"
_SECRET_OPTIONS = ("--token", "--password", "--auth-token", "--api-key")
_OTHER_PORT = "or take another port with `--port` or `gateway.port`"


@dataclass(frozen=True)
class Holder:
    """One process with the listening socket open, or only its owner when /proc does not show us the process."""

    pid: int | None
    uid: int
    user: str
    command: str
    unit: str | None
    """The systemd unit it runs in."""

    @property
    def is_systemd(self) -> bool:
        """A system or user manager. Pid 1 of a container is anything, so the program counts too."""
        program = os.path.basename(self.command.partition(" ")[0])
        return program in _MANAGERS and (self.pid == 1 or self.unit == _MANAGER_SCOPE)

    @property
    def is_foreign(self) -> bool:
        return self.uid != os.getuid()

    def __str__(self) -> str:
        if self.pid is None:
            return f"a process of user {self.user}"
        whose = f" of user {self.user}" if self.is_foreign else ""
        where = f", in {self.unit}" if self.unit and not self.is_systemd else ""
        return f"pid {self.pid}{whose} ({self.command}{where})"


def holders(address: tuple[str, int], proc: Path = PROC) -> list[Holder]:
    """All who hold a listener that stands in the way of binding `address`, ordered by pid."""
    return _owners(_listeners(address, proc), proc)


def openers(path: Path, proc: Path = PROC) -> list[Holder]:
    """All who have this file open, or one beside it whose name begins with its (a WAL), as far as /proc shows them;
    without this process."""
    others = (pid for pid in _pids(proc) if pid != os.getpid())
    found = [
        _holder(pid, proc)
        for pid in others
        if any(target.startswith(str(path)) for target in _targets(proc / str(pid)))
    ]
    return sorted(found, key=lambda holder: holder.pid or 0)


def _owners(inodes: dict[int, int], proc: Path) -> list[Holder]:
    """`inodes` of sockets, each with the uid that made it: the processes that have one of them open."""
    found: dict[int, Holder] = {}
    seen: set[int] = set()
    for pid in _pids(proc) if inodes else ():
        held = _socket_inodes(proc / str(pid)) & inodes.keys()
        if held:
            seen |= held
            found[pid] = _holder(pid, proc)
    hidden = {uid for inode, uid in inodes.items() if inode not in seen}
    # Another user's process: /proc/net shows its uid, /proc/<pid>/fd is closed to us.
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
    """The kernel's tables, in fields: 1 the local endpoint, 2 the remote one, 3 the state, 7 the uid, 9 the inode."""
    for name in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / name).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # a kernel without IPv6
        yield from map(str.split, lines)


def endpoint(text: str) -> tuple[IPAddress, int]:
    """`0100007F:4965`: the address in 32-bit words of the machine's byte order, the port in plain hexadecimal."""
    digits, _, port = text.partition(":")
    words = [int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address, int(port, 16)


def conflict(held: IPAddress, wanted: IPAddress) -> bool:
    """Whether a listener on `held` has what is meant for `wanted`, or stands in its way."""
    if held.version == wanted.version:
        return held == wanted or held.is_unspecified or wanted.is_unspecified
    # `::` may have both families; 0.0.0.0 never stands in the way of IPv6, which we bind for IPv6 only.
    return held.version == 6 and held.is_unspecified


def _pids(proc: Path) -> Iterator[int]:
    return (int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())


def _socket_inodes(process: Path) -> set[int]:
    return {int(target[8:-1]) for target in _targets(process) if target.startswith("socket:[")}


def _targets(process: Path) -> Iterator[str]:
    """What its descriptors are; nothing if it is gone, or another user's."""
    try:
        numbers = os.listdir(process / "fd")
    except OSError:
        return
    for number in numbers:
        with suppress(OSError):  # closed while we looked
            yield os.readlink(process / "fd" / number)


def _holder(pid: int, proc: Path) -> Holder:
    process = proc / str(pid)
    try:
        uid = process.stat().st_uid
    except OSError:
        uid = os.getuid()
    return Holder(pid, uid, user_name(uid), command(pid, proc), unit(pid, proc))


def user_name(uid: int) -> str:
    """The number where the machine has no name for it, as in a container."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def command(pid: int, proc: Path = PROC) -> str:
    """The command line, shortened, values of secret options hidden; the bare name for a kernel thread or a zombie."""
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
    """The innermost systemd unit of a process, from its cgroup."""
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
    """The sentence for `PortBusy`: who holds the port, and the way out."""
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
