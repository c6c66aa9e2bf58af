"""Checks of the process and of the machine's resources."""

from collections.abc import Iterator

from gateway import __version__
from gateway.doctor.evidence import Evidence
from gateway.doctor.finding import Finding

LITTLE_ROOM = 100 * 1024 * 1024
"""Bytes free in the state folder's file system below which it is nearly full."""
FEW_INODES = 1000
NEARLY = 0.9
"""The share of an inotify limit from which it is nearly used up."""


def frozen(evidence: Evidence) -> Iterator[Finding]:
    if evidence.frozen:
        detail = "it has its control socket open and does not answer; the watchdog replaces it within a minute"
        yield Finding("problem", "the gateway is frozen", detail, "openclaw-gateway restart --cold")


def version_skew(evidence: Evidence) -> Iterator[Finding]:
    if evidence.report and evidence.report.version != __version__:
        detail = f"running {evidence.report.version}, installed {__version__}"
        yield Finding("warning", "another version runs than is installed", detail, "openclaw-gateway restart")


def linger(evidence: Evidence) -> Iterator[Finding]:
    if evidence.linger is False and evidence.installed:
        detail = f"the gateway ends when {evidence.user} logs out, and does not start at boot"
        yield Finding("warning", "lingering is off", detail, f"sudo loginctl enable-linger {evidence.user}")


def inotify_limits(evidence: Evidence) -> Iterator[Finding]:
    used = evidence.inotify
    allowances = (
        ("instances", used.instances, used.max_instances),
        ("watches", used.watches, used.max_watches),
    )
    for name, count, limit in allowances:
        if limit is not None and count >= limit * NEARLY:
            detail = f"{count} of {limit} {name} are in use; without one, edits of the config are found by polling"
            remedy = f"sudo sysctl fs.inotify.max_user_{name}={max(limit * 4, 1024)}"
            yield Finding("warning", f"inotify {name} are nearly used up", detail, remedy)


def polling(evidence: Evidence) -> Iterator[Finding]:
    if evidence.report and evidence.report.watching == "polling":
        detail = "inotify had nothing left when the gateway started"
        yield Finding("note", "the config is watched by polling", detail, "openclaw-gateway restart")


def state_folder(evidence: Evidence) -> Iterator[Finding]:
    room, folder = evidence.storage, evidence.paths.state
    if room is None:
        yield Finding("note", "there is no state folder yet", f"{folder} is made by the first start")
    elif not room.writable:
        detail = f"{folder}: nothing that clients are told can be kept"
        yield Finding("problem", "the state folder cannot be written", detail, f"ls -ld {folder}; mount | grep ro,")
    elif room.free_bytes < LITTLE_ROOM:
        detail = f"{folder}: {room.free_bytes // 1024 // 1024} MB free"
        yield Finding("warning", "the state folder is nearly full", detail, f"df -h {folder}")
    elif room.free_inodes is not None and room.free_inodes < FEW_INODES:
        detail = f"{folder}: {room.free_inodes} inodes free"
        yield Finding("warning", "the state folder is nearly out of inodes", detail, f"df -i {folder}")


def state_degraded(evidence: Evidence) -> Iterator[Finding]:
    if evidence.report and evidence.report.state_problem and evidence.storage and evidence.storage.writable:
        yield Finding("warning", "the state folder does not do all that it should", evidence.report.state_problem)
