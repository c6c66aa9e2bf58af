"""Checks of the config file."""

import shlex
from collections.abc import Iterator

from gateway.config.schema import Auth
from gateway.doctor.evidence import Evidence
from gateway.doctor.finding import Finding
from gateway.protocol.scopes import ADMIN

MAX_WARNINGS = 5
"""Warnings that become a finding each."""
_PROXY = "openclaw-gateway config set gateway.auth.trustedProxy"


def errors(evidence: Evidence) -> Iterator[Finding]:
    """Errors of the config; an unreadable file is one of its issues."""
    issues = evidence.config.issues
    if issues:
        more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
        detail = f"{issues[0]}{more}"
        yield Finding(
            "problem", "the config has errors, so it is not in force", detail, "openclaw-gateway config check"
        )


def warnings(evidence: Evidence) -> Iterator[Finding]:
    """Warnings of the config, without those about readable files, which `exposed` reports."""
    files = tuple(f"{path}: holds" for path in evidence.config.exposed)
    reported = [each for each in evidence.config.warnings if not each.startswith(files)]
    for each in reported[:MAX_WARNINGS]:
        yield Finding("warning", "a warning of the config", each)
    if len(reported) > MAX_WARNINGS:
        title = f"{len(reported) - MAX_WARNINGS} more warnings of the config"
        yield Finding("warning", title, "", "openclaw-gateway config check")


def former(evidence: Evidence) -> Iterator[Finding]:
    for path in evidence.former_configs:
        if evidence.config.exists:
            detail = f"{path} is not read; {evidence.config.path} is"
            yield Finding("note", "a config of former days is still there", detail, f"rm {shlex.quote(str(path))}")


def not_in_force(evidence: Evidence) -> Iterator[Finding]:
    """The file is valid, and the gateway runs with another config: the change was not noticed."""
    report = evidence.report
    if report and not evidence.config.issues and "config" in report.degraded:
        detail = report.config.suspect or f"the gateway runs on {report.config.source}, and the file is good now"
        yield Finding("warning", "the config is good but not in force", detail, "openclaw-gateway reload")


def proxy_admin(evidence: Evidence) -> Iterator[Finding]:
    auth = _behind_proxy(evidence)
    approve = auth.trusted_proxy.device_auto_approve if auth else None
    if approve and approve.enabled and approve.scopes and ADMIN in approve.scopes:
        remedy = f'{_PROXY}.deviceAutoApprove.scopes \'["operator.read", "operator.write"]\''
        yield Finding("warning", "every user of the proxy can make themselves an administrator", "", remedy)


def proxy_users(evidence: Evidence) -> Iterator[Finding]:
    auth = _behind_proxy(evidence)
    if auth and not auth.trusted_proxy.allow_users:
        detail = "gateway.auth.trustedProxy.allowUsers is empty"
        yield Finding("warning", "every user of the proxy may connect", detail, f"{_PROXY}.allowUsers '[\"…\"]'")


def proxy_loopback(evidence: Evidence) -> Iterator[Finding]:
    auth = _behind_proxy(evidence)
    if auth and auth.trusted_proxy.allow_loopback:
        detail = "gateway.auth.trustedProxy.allowLoopback believes a process here as it believes the proxy"
        title = "every process on this machine can name any user"
        yield Finding("warning", title, detail, f"{_PROXY}.allowLoopback false")


def proxy_password(evidence: Evidence) -> Iterator[Finding]:
    auth = _behind_proxy(evidence)
    if auth and auth.password is None:
        detail = "openclaw-gateway call and devices come from no proxy"
        remedy = "openclaw-gateway config set gateway.auth.password …"
        yield Finding("note", "commands on this machine have no secret", detail, remedy)


def _behind_proxy(evidence: Evidence) -> Auth | None:
    auth = evidence.config.config.gateway.auth if evidence.config.config else None
    return auth if auth and auth.effective_mode == "trusted-proxy" else None


def exposed(evidence: Evidence) -> Iterator[Finding]:
    for path in evidence.config.exposed:
        remedy = f"chmod 600 {shlex.quote(str(path))}"
        yield Finding("warning", "others can read a secret", f"{path} holds one", remedy)
