"""Checks of the config file."""

import shlex
from collections.abc import Iterator

from gateway.doctor.evidence import Evidence
from gateway.doctor.finding import Finding


def errors(evidence: Evidence) -> Iterator[Finding]:
    """Unreadable counts as an error: `files.read` says so in an issue."""
    issues = evidence.config.issues
    if issues:
        more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
        detail = f"{issues[0]}{more}"
        yield Finding(
            "problem", "the config has errors, so it is not in force", detail, "openclaw-gateway config check"
        )


def not_in_force(evidence: Evidence) -> Iterator[Finding]:
    """A good file, and a gateway that runs on something else: it was mended while nobody watched."""
    report = evidence.report
    if report and not evidence.config.issues and "config" in report.degraded:
        detail = f"the gateway runs on {report.config.source}, and the file is good now"
        yield Finding("warning", "the config is good but not in force", detail, "openclaw-gateway reload")


def exposed(evidence: Evidence) -> Iterator[Finding]:
    for path in evidence.config.exposed:
        remedy = f"chmod 600 {shlex.quote(str(path))}"
        yield Finding("warning", "others can read a secret", f"{path} holds one", remedy)
