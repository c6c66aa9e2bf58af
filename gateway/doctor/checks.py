"""The table of checks, the most urgent first."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gateway.doctor import config, database, machine, port, units
from gateway.doctor.evidence import Evidence
from gateway.doctor.finding import Finding

F = TypeVar("F", bound=Finding)
Check = Callable[[Evidence], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    units.manager,
    units.system_rivals,
    units.user_rivals,
    units.former,
    units.installed,
    units.agent_missing,
    units.not_loaded,
    units.namespaces,
    port.foreign_listener,
    units.socket_down,
    units.agent_socket_down,
    units.service_down,
    machine.frozen,
    port.outside_unit,
    port.inherited_listener,
    port.moved_without_restart,
    config.errors,
    machine.state_folder,
    machine.state_degraded,
    database.unreadable,
    database.damaged,
    units.not_enabled,
    units.outdated,
    units.hindered,
    units.other_state,
    port.config_differs,
    port.absent_address,
    config.not_in_force,
    config.exposed,
    config.warnings,
    config.former,
    config.proxy_admin,
    config.proxy_users,
    config.proxy_loopback,
    config.proxy_password,
    database.exposed,
    database.wal,
    machine.version_skew,
    machine.linger,
    units.memory,
    machine.inotify_limits,
    machine.polling,
    database.unexamined,
)

_ORDER = ("problem", "warning", "note")


def examine(evidence: Evidence) -> list[Finding]:
    """All findings by severity, then in the order of the table."""
    return by_severity(finding for check in CHECKS for finding in check(evidence))


def by_severity(found: Iterable[F]) -> list[F]:
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))
