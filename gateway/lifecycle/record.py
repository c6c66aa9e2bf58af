"""The record that outlives a process image: how the image ended, how many restarts there were, how long clients waited.

The record is a memfd. A re-exec passes it on, systemd's fd store keeps it over a cold restart and a crash, and
`systemctl stop` drops it. No disk is used, so a full one changes nothing. Each write is one pwrite(2) of the whole
record: a process that is killed leaves the old record or the new one, never half of each.
"""

import logging
import os
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.lifecycle.phases import Allowance
from gateway.lifecycle.suspicion import Suspicion
from gateway.report import RestartKind, RestartRecord, Restarts

log = logging.getLogger("gateway.record")

SIZE = 4096
VERSION = 1
MAX_WHY = 80
"""Characters of a reason in a record that would be too large with the whole of it."""


class Memory(Struct, frozen=True, omit_defaults=True):
    """The content of the record. Monotonic times are seconds on the clock that all processes of one boot share.

    The next version of the program reads it: fields are only added, each with a default.
    """

    version: int = VERSION
    ended: Literal["starting", "running", "restart", "stop"] = "starting"
    """How far the last image came, or how it left; `starting` and `running` mean that it died."""
    pid: int = 0
    """The pid of the last image. A re-exec keeps it; a restart that ends in another process means that it died."""
    digest: str = ""
    """The SHA-256 of the config file that the last image started on; empty if it started on another config."""
    began: float = 0.0
    """Monotonic time of that start."""
    suspicion: Suspicion = Suspicion()
    left_at: float | None = None
    """Monotonic time of the last accept."""
    reason: str = ""
    tokens: float | None = None
    """`phases.Allowance.tokens` that were left over; None if the image did not get so far."""
    tokens_at: float = 0.0
    """`phases.Allowance.at`."""
    restarts: Restarts = Restarts()
    crash_tokens: float | None = None
    """The same of crashes: how many more may follow each other quickly. None before the first one."""
    crash_tokens_at: float = 0.0


def _shortened(memory: Memory) -> Memory:
    """The memory with shortened reasons, the only texts in it that have no bound of their own."""
    last, suspicion = memory.restarts.last, memory.suspicion
    return replace(
        memory,
        reason=memory.reason[:MAX_WHY],
        suspicion=replace(suspicion, why=suspicion.why[:MAX_WHY]),
        restarts=replace(memory.restarts, last=replace(last, reason=last.reason[:MAX_WHY]) if last else None),
    )


class Record:
    """Reads the memory of the process before this one, and writes ours."""

    def __init__(self, inherited: int | None = None) -> None:
        self.inherited = inherited is not None
        self.fd = inherited if inherited is not None else os.memfd_create("openclaw-gateway-record", os.MFD_CLOEXEC)
        self.before = self._read() if self.inherited else None
        """The memory of the process before; None at a first start, or if it cannot be read."""
        before = self.before or Memory()
        self.memory = Memory(
            pid=os.getpid(),
            restarts=before.restarts,
            crash_tokens=before.crash_tokens,
            crash_tokens_at=before.crash_tokens_at,
        )

    @property
    def allowance(self) -> Allowance:
        """The allowance of hot restarts that the process before has left over."""
        before = self.before
        return Allowance() if before is None or before.tokens is None else Allowance(before.tokens, before.tokens_at)

    def update(self, **changes: object) -> None:
        """Change fields of the memory and write it at once."""
        self.memory = replace(self.memory, **changes)
        data = msgspec.json.encode(self.memory)
        if len(data) > SIZE:
            self.memory = _shortened(self.memory)
            data = msgspec.json.encode(self.memory)
        os.pwrite(self.fd, data.ljust(SIZE), 0)

    def kind_of_start(self) -> RestartKind | None:
        """None for a first start, or if the record before cannot be read."""
        if self.before is None:
            return None
        if self.before.ended == "restart":
            return "hot" if self.before.pid == os.getpid() else "crash"
        return "cold" if self.before.ended == "stop" else "crash"

    def count_restart(self, kind: RestartKind, at: int, gap_ms: float | None) -> None:
        """Count the restart that led to this image. `at` is Unix time in milliseconds; `note_waits` adds the waits."""
        before = self.memory.restarts
        last = RestartRecord(kind=kind, at=at, reason=self.before.reason if self.before else "", gap_ms=gap_ms)
        self.update(restarts=replace(before, **{kind: getattr(before, kind) + 1}, last=last))

    def count_crash(self, now: float) -> float:
        """Count a crash of the process before; return the seconds until another one may follow without a pause."""
        tokens, at = self.memory.crash_tokens, self.memory.crash_tokens_at
        allowance = Allowance() if tokens is None else Allowance(tokens, at)
        spent = allowance.spend(now)
        self.update(crash_tokens=spent.tokens, crash_tokens_at=spent.at)
        return allowance.wait(now)

    def note_adoption(self, adopted: int, closed: Mapping[str, int], silence_ms: float | None) -> None:
        """Note what became of the connections of the process before. `closed` counts by reason."""
        before = self.memory.restarts
        if before.last is None:
            return
        last = replace(before.last, adopted=adopted, closed=dict(closed), silence_ms=silence_ms)
        total = {reason: before.closed.get(reason, 0) + closed.get(reason, 0) for reason in {*before.closed, *closed}}
        longest = max(before.longest_silence_ms, silence_ms or 0.0)
        adopted += before.adopted
        self.update(restarts=replace(before, adopted=adopted, closed=total, longest_silence_ms=longest, last=last))

    def note_waits(self, queued: int, longest_ms: float) -> None:
        """Note how many connections waited in the kernel's queue for this image, and the longest wait."""
        before = self.memory.restarts
        if before.last is None:
            return
        last = replace(before.last, queued=queued, longest_wait_ms=round(longest_ms, 1))
        longest = max(before.longest_wait_ms, last.longest_wait_ms)
        self.update(restarts=replace(before, longest_wait_ms=longest, last=last))

    def _read(self) -> Memory | None:
        data = os.pread(self.fd, SIZE, 0).rstrip(b"\0 ")
        try:
            memory = msgspec.json.decode(data, type=Memory)
        except msgspec.DecodeError as error:
            log.warning("the predecessor's record cannot be read, counting from zero: %s", error)
            return None
        if memory.version != VERSION:
            log.warning("the predecessor's record has version %d, counting from zero", memory.version)
            return None
        return memory
