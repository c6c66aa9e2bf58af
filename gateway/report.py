"""The types of the control socket: the report of the running gateway, and its answers to `reload` and `restart`.

The process that answers (`web/control`) and the commands that ask (`cli/*`) share them. Durations are in milliseconds,
`at` and `*_at` are Unix time in milliseconds. After an upgrade an old command meets a new gateway, so fields are only
added, each with a default.
"""

from typing import Literal, get_args

from msgspec import Struct

RestartKind = Literal["hot", "cold", "crash"]
Degradation = Literal["config", "auth", "restart", "conversations", "state", "control"]
"""A reason why a gateway that serves is degraded; docs/operations.md explains each."""
DEGRADED: tuple[Degradation, ...] = get_args(Degradation)


class Issue(Struct, frozen=True, omit_defaults=True):
    """One error of the config and its place. `str()` is the line for the user."""

    message: str
    """What is wrong and what would be right; without the place."""
    path: str = ""
    """The dotted path of the key; "" for the whole file."""
    file: str = ""
    line: int | None = None
    """Counts from 1; None if there is no text to point at (an environment variable, a missing file)."""
    column: int | None = None
    """Counts characters from 1."""
    found: str | None = None
    """The offending value, shortened; never a secret."""
    allowed: str | None = None
    hint: str | None = None
    """The nearest known key, or what to do."""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        parts = [place, self.path, self.message]
        text = ": ".join(part for part in parts if part)
        if self.found is not None:
            text += f"; found {self.found}"
        if self.allowed is not None:
            text += f"; allowed: {self.allowed}"
        return f"{text} ({self.hint})" if self.hint else text


class Change(Struct, frozen=True):
    """A config path that differs, and what the difference needs."""

    path: str
    effect: Literal["none", "hot", "restart", "unit"]
    action: str | None = None


class ReloadResult(Struct, frozen=True, omit_defaults=True):
    """The answer to a reload."""

    outcome: Literal["unchanged", "nothing", "hot", "restart", "ignored", "invalid", "off", "failed"]
    """unchanged: the same bytes or meaning · nothing: only keys that are not used · hot: applied · restart: requested ·
    ignored: mode hot and the change needs a restart, or only the socket unit can apply it · invalid: the old config
    stays · off: `gateway.reload.mode` is off · failed: it could not be applied; a restart follows that tries it."""
    message: str
    """One sentence."""
    changes: tuple[Change, ...] = ()
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    at: int = 0
    duration_ms: float = 0.0

    @property
    def ok(self) -> bool:
        return self.outcome not in ("invalid", "failed")


class RestartTicket(Struct, frozen=True, omit_defaults=True):
    """The answer to a request for a restart. Requests are coalesced into one restart."""

    state: Literal["scheduled", "deferred", "coalesced", "leaving"]
    boot_id: str
    """The boot id of the image that will end; the restart is done when an image with another one is ready."""
    message: str = ""


class RestartRecord(Struct, frozen=True, omit_defaults=True):
    """One restart from the clients' side."""

    kind: RestartKind
    at: int
    reason: str = ""
    gap_ms: float | None = None
    """The time from the old process's last accept until the new one served; None after a crash."""
    queued: int = 0
    """The number of connections that waited in the kernel's queue."""
    longest_wait_ms: float = 0.0
    """The longest wait of one of them."""
    adopted: int = 0
    """The number of WebSockets that the new process adopted."""
    closed: dict[str, int] = {}
    """The number of WebSockets that it did not adopt, by reason: docs/handover.md explains them."""
    silence_ms: float | None = None
    """The time in which no process read clients; None after a crash."""


class Restarts(Struct, frozen=True):
    """Counts over all restarts since the service was started."""

    hot: int = 0
    cold: int = 0
    crash: int = 0
    longest_wait_ms: float = 0.0
    """The longest wait of a client."""
    adopted: int = 0
    closed: dict[str, int] = {}
    """The sum of `RestartRecord.closed`."""
    longest_silence_ms: float = 0.0
    last: RestartRecord | None = None


class ConfigReport(Struct, frozen=True):
    path: str
    state: Literal["good", "degraded", "missing"]
    """good: the file runs · degraded: something else runs than the file · missing: no file, defaults run."""
    source: Literal["file", "last-good", "defaults"]
    """The config that runs."""
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    last_reload: ReloadResult | None = None
    suspect: str = ""
    """Why a file without errors does not run, and when it is tried again."""


class StatusReport(Struct, frozen=True):
    """The answer to `openclaw-gateway status`."""

    pid: int
    boot_id: str
    version: str
    phase: Literal["starting", "running", "deferred", "leaving"]
    ready: bool
    degraded: tuple[str, ...]
    """Reasons of `DEGRADED`."""
    started_at: int
    """The start of this process image; a hot restart starts a new one in the same pid."""
    uptime_ms: int
    listeners: tuple[str, ...]
    """Such as `127.0.0.1:18789` and `[::1]:18789`."""
    port_owner: Literal["systemd", "self"]
    unit: str | None
    """The name of the unit that it runs in; None outside systemd."""
    executable: str
    state_dir: str
    websockets: int
    connections: int
    config: ConfigReport
    restarts: Restarts
    restart_problem: str | None = None
    """Why the last restart that was requested did not happen."""
    conversations_problem: str | None = None
    """Why sessions cannot be read or written."""
    state_problem: str | None = None
    """What is wrong with the state folder."""
    log_file: str | None = None
    watching: Literal["inotify", "polling", "off"] = "off"
    settled: bool = False
    """Whether the work after READY is done: further imports, the watch on the config, the size of the fd store."""
