"""Checks of the database of conversations."""

from collections.abc import Iterator
from shlex import quote

from gateway.doctor.evidence import LARGE_WAL, Evidence
from gateway.doctor.finding import Finding

PRIVATE = 0o600


def unreadable(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.database
    if found is None or found.problem is None:
        return
    remedy = ""
    if found.ruined:
        path = quote(found.path)
        remedy = f"mv {path} {quote(f'{found.path}.aside')}; ls -t {quote(str(evidence.paths.state / 'backups'))}"
    title = "was written by a newer version" if found.newer else "cannot be read"
    yield Finding("problem", f"the database {title}", found.problem, remedy)


def damaged(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.database
    if found is not None and found.damages:
        more = f" and {len(found.damages) - 1} more" if len(found.damages) > 1 else ""
        detail = f"{found.path}: {found.damages[0]}{more}; the rest of it can be read, and the damaged file is kept"
        remedy = "openclaw-gateway stop && openclaw-gateway sessions recover && openclaw-gateway start"
        yield Finding("problem", "the database is damaged", detail, remedy)


def exposed(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.database
    if found is not None and found.mode & ~PRIVATE:
        detail = f"{found.path} has mode {found.mode:o}: what is said in conversations is nobody else's"
        yield Finding("warning", "others may read or change the database", detail, f"chmod 600 {quote(found.path)}*")


def wal(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.database
    if found is not None and found.wal > LARGE_WAL:
        size = f"{found.path}-wal has {found.wal // 1024 // 1024} MB"
        own = evidence.report.pid if evidence.report else None
        others = " and ".join(str(holder) for holder in evidence.readers if holder.pid != own)
        detail = f"{size}: a program reads the database and does not end{f': {others}' if others else ''}"
        yield Finding("warning", "the database's log grows", detail, f"fuser -v {quote(found.path)}")


def unexamined(evidence: Evidence) -> Iterator[Finding]:
    found = evidence.database
    if found is not None and not found.complete:
        detail = f"{found.path} has {found.size // 1024 // 1024} MB, and so much time is not taken here"
        yield Finding("note", "not all of the database was looked at", detail, "openclaw-gateway sessions check --deep")
