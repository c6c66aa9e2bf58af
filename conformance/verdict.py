"""Whether a command's answer is one that a user would call good: it ended with 0, in time, and shows no error.

An exit status alone says little: OpenClaw's `status` ends with 0 beside a gateway that it calls unreachable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

TIMED_OUT = 124
"""Stands for the exit of a command that was ended because its time was over; the `timeout` program uses it too."""

_ERROR = re.compile(
    r"\berrors?\b|\bfail(ed|ure|ures|s|ing)?\b|\bunreachable\b|\bunavailable\b|\btime(d ?|_)?out\b|\brefused\b"
    r"|\bECONN\w+|\bunknown (method|command|option)\b|\binvalid\b|\bmissing scope\b|\bunauthori[sz]ed\b|\bforbidden\b"
    r"|\bprotocol mismatch\b|\bnot (reachable|paired|connected)\b|\bgateway closed\b|\babnormal closure\b"
    r"|\bexception\b|\b(Type|Reference|Syntax)Error\b|\bundefined\b|\bNaN\b|\[object Object\]",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(
    r'^\s*"\w+": (0|\[\]|\{\}|null|false),?$'  # a counter of errors that is zero, a list of them that is empty
    r"|\b(0|no) (errors?|failures?|failed)\b"
    r"|^\[postinstall\] fs-safe native support is unavailable"  # of the installation without scripts
    # The rest is said of the machine on which the client runs, and beside OpenClaw's own gateway too.
    r"|^(Service|Runtime): |^│ (Memory|Update|Gateway service|Node service) +│"
    r"|\bsystemctl\b.*\b(failed|unavailable)\b|^systemd user services (are )?unavailable",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Run:
    """One command of one version against the gateway."""

    version: str
    command: str
    exit: int
    seconds: float
    stdout: str
    stderr: str
    note: str = ""
    """The reason why the run itself is worthless, if there is one."""
    printed: str = ""
    """The text that had to be on standard output."""

    @property
    def errors(self) -> list[str]:
        """The lines that a reader would take for an error, in their order."""
        return [*_errors(self.stdout), *_errors(self.stderr)]

    @property
    def good(self) -> bool:
        return not self.trouble

    @property
    def trouble(self) -> list[str]:
        """Why it is not good; empty for a good one."""
        reasons = [self.note] if self.note else []
        reasons += self.errors
        if self.exit == TIMED_OUT:
            reasons.append("no end within its time")
        elif self.exit:
            reasons.append(f"exit {self.exit}")
        if not self.stdout.strip():
            reasons.append("printed nothing")
        elif self.printed not in self.stdout:
            reasons.append(f"did not print: {self.printed}")
        return reasons


def _errors(text: str) -> Iterator[str]:
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    return (line.strip() for line in plain.splitlines() if _ERROR.search(line) and not _NO_ERROR.search(line))
