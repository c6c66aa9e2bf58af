"""What the newer Control UI asks about the installation: updates, the machine, the user."""

import os
import sys
import time
from contextlib import suppress
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from gateway.protocol.frames import RpcError, WireError
from gateway.protocol.params import NoParams, Params
from gateway.protocol.scopes import ADMIN, READ
from gateway.rpc.registry import Call, method

_ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64", "armv7l": "arm", "i686": "ia32"}
"""As Node names them, which the clients know."""


class UpdateParams(Params, frozen=True):
    refresh_checkout: bool = False


class Update(Struct, rename="camel"):
    sentinel: None
    update_available: None
    effective_channel: str
    schedule: dict[str, Any]


class SystemInfo(Struct, rename="camel"):
    machine_name: str
    hostname: str
    platform: str
    release: str
    arch: str
    os_label: str
    port: int
    """`gateway.port` of the config."""
    node_version: str
    """The run time that serves: Python's name and version."""
    pid: int
    process_instance_id: str
    uptime_ms: int
    cpu_count: int
    load_average: tuple[float, float, float]
    memory_total_bytes: int
    memory_free_bytes: int
    disk_path: str
    disk_total_bytes: int | UnsetType = UNSET
    """Left out, as what is available, while the state folder is not there."""
    disk_available_bytes: int | UnsetType = UNSET


class Users(Struct):
    profiles: list[dict[str, Any]]


@method("update.status", UpdateParams, Update, scope=ADMIN, since=4)
def update_status(call: Call, params: UpdateParams) -> Update:
    """No update is looked for and none is installed by the gateway: packages come from your package manager."""
    return Update(None, None, "stable", {"channel": "stable", "autoEnabled": False, "install": {"kind": "package"}})


@method("system.info", NoParams, SystemInfo, scope=READ, since=4)
def system_info(call: Call, params: NoParams) -> SystemInfo:
    """The machine that the gateway runs on: system, processors, memory, and the disk of the state folder."""
    core, system = call.core, os.uname()
    page = os.sysconf("SC_PAGE_SIZE")
    answer = SystemInfo(
        machine_name=system.nodename,
        hostname=system.nodename,
        platform=system.sysname.lower(),
        release=system.release,
        arch=_ARCHITECTURES.get(system.machine, system.machine),
        os_label=f"{system.sysname} {system.release}",
        port=core.config.gateway.port,
        node_version=f"Python {'.'.join(map(str, sys.version_info[:3]))}",
        pid=os.getpid(),
        process_instance_id=core.boot_id,
        uptime_ms=int((time.monotonic() - core.started) * 1000),
        cpu_count=os.cpu_count() or 1,
        load_average=os.getloadavg(),
        memory_total_bytes=page * os.sysconf("SC_PHYS_PAGES"),
        memory_free_bytes=page * os.sysconf("SC_AVPHYS_PAGES"),
        disk_path=str(core.paths.state),
    )
    with suppress(OSError):  # a disk that is gone is no reason to say nothing of the rest
        disk = os.statvfs(core.paths.state)
        answer.disk_total_bytes = disk.f_frsize * disk.f_blocks
        answer.disk_available_bytes = disk.f_frsize * disk.f_bavail
    return answer


@method("users.self", NoParams, dict[str, Any], scope=READ, since=4)
def users_self(call: Call, params: NoParams) -> None:
    """Who the user is: always refused, because this gateway knows clients and no users."""
    raise RpcError(WireError("FORBIDDEN", "users.self requires an authenticated user"))


@method("users.list", NoParams, Users, scope=READ, since=4)
def users_list(call: Call, params: NoParams) -> Users:
    """To whom a session could be assigned: nobody, because this gateway knows clients and no users."""
    return Users([])
