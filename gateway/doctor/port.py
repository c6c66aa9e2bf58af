"""Checks of the port: its listeners, and whether clients look for the same port."""

from collections.abc import Iterator

from gateway.doctor.evidence import Evidence
from gateway.doctor.finding import Finding
from gateway.machine import holders
from gateway.machine.holders import Holder
from gateway.units import SERVICE

PROGRAM = "openclaw-gateway"


def foreign_listener(evidence: Evidence) -> Iterator[Finding]:
    """Another program has the port, so that the socket unit cannot listen."""
    if _held_by_our_manager(evidence):
        return
    former = {path.name for path in evidence.former_units}  # `units.former` has the remedy
    foreign = [each for each in evidence.holders if not _is_gateway(each, evidence) and each.unit not in former]
    if foreign:
        port = evidence.listen[0].port
        remedy = next((f"kill {holder.pid}" for holder in foreign if holder.pid and not holder.is_foreign), "")
        detail = holders.describe(foreign, port)
        yield Finding(
            "problem", f"port {port} belongs to somebody else", detail, remedy or "openclaw-gateway install --port N"
        )


def outside_unit(evidence: Evidence) -> Iterator[Finding]:
    """A gateway outside of its unit: no watchdog, no restart, and it ends at logout."""
    report = evidence.report
    if report and evidence.installed and report.unit != SERVICE:
        where = f"in {report.unit}" if report.unit else "outside any unit"
        detail = f"pid {report.pid} was started by hand, {where}; systemd neither watches nor restarts it"
        remedy = f"kill {report.pid}; openclaw-gateway start"
        yield Finding("problem", "the gateway that answers is not systemd's", detail, remedy)


def inherited_listener(evidence: Evidence) -> Iterator[Finding]:
    """A child has inherited the listener: after the gateway's end, connections go to it without an answer."""
    if not _held_by_our_manager(evidence):
        return
    for holder in evidence.holders:
        if holder.pid is None or holder.is_systemd or _is_gateway(holder, evidence):
            continue
        remedy = "openclaw-gateway restart --cold" if holder.unit == SERVICE else f"kill {holder.pid}"
        yield Finding("problem", "another process has the listener open", f"{holder} takes connections", remedy)


def _held_by_our_manager(evidence: Evidence) -> bool:
    return any(holder.is_systemd and not holder.is_foreign for holder in evidence.holders)


def _is_gateway(holder: Holder, evidence: Evidence) -> bool:
    main = evidence.units.service.main_pid if evidence.units else 0
    return holder.pid is not None and holder.pid in (main, evidence.report.pid if evidence.report else 0)


def moved_without_restart(evidence: Evidence) -> Iterator[Finding]:
    """The socket unit has new addresses: systemd uses them only after a stop and a start."""
    if evidence.units and evidence.units.socket.is_active and evidence.silent:
        listed = ", ".join(map(str, evidence.silent))
        detail = f"{listed} is in the unit but not open"
        remedy = "openclaw-gateway stop; openclaw-gateway start"
        yield Finding("problem", "the socket unit's addresses are not in force", detail, remedy)


def config_differs(evidence: Evidence) -> Iterator[Finding]:
    """The unit and the config have different ports: clients on this machine read the config."""
    config = evidence.config.config
    if config is None or not evidence.installed or not evidence.listen:
        return
    wanted = config.gateway.port
    ports = {address.port for address in evidence.listen}
    if wanted not in ports:
        listed = ", ".join(map(str, sorted(ports)))
        detail = f"the config says port {wanted}, the socket unit listens on {listed}"
        # A port that only the unit has was chosen with `install --port`, so the config must change.
        section = evidence.config.tree.get("gateway")
        in_file = isinstance(section, dict) and "port" in section
        remedy = "openclaw-gateway install" if in_file else f"openclaw-gateway config set gateway.port {min(ports)}"
        yield Finding("warning", "config and socket unit name different ports", detail, remedy)


def absent_address(evidence: Evidence) -> Iterator[Finding]:
    """The unit listens, by FreeBind=, on an address that this machine does not have."""
    absent = [address for address in evidence.absent if not address.is_loopback]
    if absent:
        listed = ", ".join(map(str, absent))
        detail = f"{listed}: fine for a VPN that is down, otherwise misspelt"
        yield Finding("warning", "an address that this machine does not have", detail, "ip address")
