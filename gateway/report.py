"""The words on the control socket: what the running gateway says of itself, and its answers to `reload` and `restart`.

Shared by the process that answers (`web/control`) and the commands that ask (`cli/*`), so both mean the same thing.
Times are milliseconds; `*At` are Unix time in milliseconds. An old command meets a new gateway after an upgrade, so
fields are only ever added, each with a default.
"""

from typing import Literal, get_args

from msgspec import Struct

RestartKind = Literal["hot", "cold", "crash"]
Degradation = Literal["config", "auth", "restart", "conversations", "state", "control"]
"""Why a gateway that serves does not do all that it should; docs/operations.md explains them."""
DEGRADED: tuple[Degradation, ...] = get_args(Degradation)


class Issue(Struct, frozen=True, omit_defaults=True):
    """One thing wrong with the config, and where. `str()` is the line a person reads."""

    message: str
    """What is wrong and what would be right, without the place."""
    path: str = ""
    """Dotted config path, "" for the whole file."""
    file: str = ""
    line: int | None = None
    """1-based, None when there is no text to point at (an environment variable, a missing file)."""
    column: int | None = None
    """1-based, in characters."""
    found: str | None = None
    """The offending value, shortened; never a secret."""
    allowed: str | None = None
    hint: str | None = None
    """The nearest known key, or the way out."""

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
    """One config path that differs, and what that difference needs."""

    path: str
    effect: Literal["none", "hot", "restart", "unit"]
    action: str | None = None


class ReloadResult(Struct, frozen=True, omit_defaults=True):
    """The answer to a reload, whoever asked."""

    outcome: Literal["unchanged", "nothing", "hot", "restart", "ignored", "invalid", "off", "failed"]
    """unchanged: the same bytes or meaning · nothing: only keys we do not use · hot: applied · restart: on its way ·
    ignored: mode hot and the change needs a restart, or only the socket unit can take it · invalid: the old config
    stays · off: `gateway.reload.mode` is off · failed: an action failed; a restart on the last good config follows."""
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
    """The answer to a request for a restart: it will happen, once, however many asked."""

    state: Literal["scheduled", "deferred", "coalesced", "leaving"]
    boot_id: str
    """The boot that will end; the restart is done when another one is ready."""
    message: str = ""


class RestartRecord(Struct, frozen=True, omit_defaults=True):
    """One restart as the clients saw it."""

    kind: RestartKind
    at: int
    reason: str = ""
    gap_ms: float | None = None
    """From the old process's last accept to the new one's first; None when the old one could not say (a crash)."""
    queued: int = 0
    """Connections that waited in the kernel's queue."""
    longest_wait_ms: float = 0.0
    """The longest any of them waited."""
    adopted: int = 0
    """WebSockets that went on in the new process."""
    closed: dict[str, int] = {}
    """WebSockets that did not, by why: docs/handover.md explains the words."""
    silence_ms: float | None = None
    """From when the old process stopped reading clients to when the new one went on; None after a crash."""


class Restarts(Struct, frozen=True):
    hot: int = 0
    cold: int = 0
    crash: int = 0
    longest_wait_ms: float = 0.0
    """The longest wait of any client over all restarts counted here."""
    adopted: int = 0
    closed: dict[str, int] = {}
    """As in a `RestartRecord`, over all restarts."""
    longest_silence_ms: float = 0.0
    last: RestartRecord | None = None


class ConfigReport(Struct, frozen=True):
    path: str
    state: Literal["good", "degraded", "missing"]
    """good: the file is what runs · degraded: the file has errors · missing: no file, defaults run."""
    source: Literal["file", "last-good", "defaults"]
    """What runs."""
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    last_reload: ReloadResult | None = None
    suspect: str = ""
    """Why a file without errors is not what runs, and when it will be tried again."""


class StatusReport(Struct, frozen=True):
    """Everything `openclaw-gateway status` asks the running gateway."""

    pid: int
    boot_id: str
    version: str
    phase: Literal["starting", "running", "deferred", "leaving"]
    ready: bool
    degraded: tuple[str, ...]
    """Those of `DEGRADED` that hold."""
    started_at: int
    """Of this process image (a hot restart begins a new one in the same pid)."""
    uptime_ms: int
    listeners: tuple[str, ...]
    """Such as `127.0.0.1:18789` and `[::1]:18789`."""
    port_owner: Literal["systemd", "self"]
    unit: str | None
    """Name of the unit it runs in, None outside systemd."""
    executable: str
    state_dir: str
    websockets: int
    connections: int
    config: ConfigReport
    restarts: Restarts
    restart_problem: str | None = None
    """Why the last restart that was asked for did not happen."""
    conversations_problem: str | None = None
    """Why sessions cannot be read, or not be written."""
    state_problem: str | None = None
    """What is wrong with the state folder."""
    log_file: str | None = None
    watching: Literal["inotify", "polling", "off"] = "off"
    settled: bool = False
    """Whether what follows READY in the quiet is done: imports for later, the watch on the config, the store's size."""
