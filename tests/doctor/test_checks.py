"""Each check against made-up evidence: what it finds, how bad it is, and the command that mends it."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway import __version__
from gateway.config import files
from gateway.config.schema import Auth, Config, DeviceAutoApprove, Gateway, TrustedProxy
from gateway.doctor.checks import CHECKS, examine
from gateway.doctor.config import MAX_WARNINGS
from gateway.doctor.evidence import LARGE_WAL, Evidence
from gateway.doctor.finding import Finding
from gateway.doctor.inotify import InotifyUsage
from gateway.doctor.machine import FEW_INODES, LITTLE_ROOM
from gateway.doctor.storage import FreeSpace
from gateway.files.paths import Paths
from gateway.machine.holders import Holder
from gateway.report import ConfigReport, Issue
from gateway.sessions.checkup import Checkup
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SERVICE, SOCKET
from gateway.units.addresses import ListenAddress, resolve
from gateway.units.hindrances import Hindrance
from gateway.units.installation import UnitChange
from gateway.units.rivals import OpenClawUnit, SystemUnit
from gateway.units.state import UnitState, UnitStates
from tests.fakes.report import make_report

UP = UnitStates(
    socket=UnitState(SOCKET, "loaded", "active", "running", enabled="enabled", listen=resolve("loopback", 18789)),
    service=UnitState(SERVICE, "loaded", "active", "running", enabled="enabled", main_pid=77),
    agent_socket=UnitState(AGENT_SOCKET, "loaded", "active", "listening", enabled="enabled"),
    agent_service=UnitState(AGENT_SERVICE, "loaded", "inactive", "dead", enabled="static"),
)
ME = os.getuid()
MANAGER = Holder(12, ME, "u", "/lib/systemd/systemd --user", "init.scope")
MAIN = Holder(77, ME, "u", "openclaw-gateway run", SERVICE)
report = partial(
    make_report,
    version=__version__,
    listeners=("127.0.0.1:18789",),
    unit=SERVICE,
    state_dir="/h/.openclaw",
    config=ConfigReport("/h/.openclaw/openclaw.json", "good", "file"),
    watching="inotify",
)
HERE = Paths(Path("/h/.openclaw/openclaw.json"), Path("/h/.openclaw"), Path("/run/user/1"))
HEALTHY = Evidence(
    user="u",
    paths=HERE,
    service_paths=HERE,
    config=files.Snapshot(Path("/h/.openclaw/openclaw.json"), True, (), config=Config()),
    report=report(),
    units=UP,
    installed=True,
    listen=resolve("loopback", 18789),
    holders=(MANAGER, MAIN),
    linger=True,
    inotify=InotifyUsage(10, 128, 10, 65_536),
    database=Checkup("/h/.openclaw/gateway/conversations.sqlite", wal=LARGE_WAL),
    storage=FreeSpace(True, LITTLE_ROOM, FEW_INODES),
)


def socket(**more: Any) -> UnitStates:
    return replace(UP, socket=replace(UP.socket, **more))


def service(**more: Any) -> UnitStates:
    return replace(UP, service=replace(UP.service, **more))


def agent_socket(**more: Any) -> UnitStates:
    return replace(UP, agent_socket=replace(UP.agent_socket, **more))


def agent(**more: Any) -> UnitStates:
    return replace(UP, agent_service=replace(UP.agent_service, **more))


def config(**more: Any) -> files.Snapshot:
    return structs.replace(HEALTHY.config, **more)


def checkup(**more: Any) -> Checkup:
    return Checkup("/h/a b.sqlite", **more)


def test_a_healthy_gateway_has_nothing_to_mend() -> None:
    assert examine(HEALTHY) == []


FOREIGN = Holder(4242, ME, "u", "nc -l", None)
CHANGE = UnitChange(Path("/u") / SERVICE, "update")
LAN = resolve("lan", 18789)
EVERYTHING = DeviceAutoApprove(enabled=True, scopes=("operator.admin",))


def behind_proxy(password: str | None = "p", **trusted: Any) -> files.Snapshot:
    auth = Auth(mode="trusted-proxy", password=password, trusted_proxy=TrustedProxy(user_header="x", **trusted))
    return config(config=Config(gateway=Gateway(trusted_proxies=("10.0.0.1",), auth=auth)))


FOUND: list[tuple[str, dict[str, Any], str, str, str]] = [
    # check, what differs from a healthy gateway, severity, part of what is said, remedy
    ("manager", {"units": None}, "problem", "no systemd user manager", "sudo loginctl enable-linger u"),
    ("manager", {"units": None, "installed": False}, "note", "no systemd user manager", "openclaw-gateway run"),
    ("installed", {"installed": False}, "problem", "not installed", "openclaw-gateway install --now"),
    ("outdated", {"outdated": (CHANGE,)}, "warning", SERVICE, "openclaw-gateway install"),
    (
        "an older version's units",
        {"outdated": (UnitChange(Path("/u") / AGENT_SERVICE, "write"),)},
        "problem",
        f"{AGENT_SERVICE}: no model can be asked",
        "openclaw-gateway install --now",
    ),
    ("masked", {"units": agent_socket(load="masked")}, "problem", "masked", f"systemctl --user unmask {AGENT_SOCKET}"),
    (
        "agent socket",
        {"units": agent_socket(active="inactive")},
        "problem",
        f"{AGENT_SOCKET} is stopped no model can be asked",
        f"systemctl --user start {AGENT_SOCKET}",
    ),
    (
        "agent socket failed",
        {"units": agent_socket(active="failed", result="resources")},
        "problem",
        f"result resources: no model can be asked; why: journalctl --user -u {AGENT_SOCKET}",
        f"systemctl --user reset-failed {AGENT_SOCKET}; openclaw-gateway start",
    ),
    (
        "agent failed",
        {"units": agent(active="failed", result="exit-code")},
        "problem",
        f"{AGENT_SERVICE} failed result exit-code; why: journalctl --user -u {AGENT_SERVICE}",
        f"systemctl --user reset-failed {AGENT_SERVICE}; openclaw-gateway start",
    ),
    (
        "no program",
        {"units": agent(active="failed", result="exit-code", exit_status=203)},
        "problem",
        f"{AGENT_SERVICE} has no program systemd could not execute it (203/EXEC) and has closed its socket",
        "openclaw-gateway install --now",
    ),
    (
        "agent loop",
        {"units": agent(active="activating", sub="auto-restart", restarts=9, result="exit-code")},
        "problem",
        f"{AGENT_SERVICE} cannot start it ends and is started again, 9 times",
        f"journalctl --user -u {AGENT_SERVICE}",
    ),
    (
        "agent's drop-in",
        {"units": agent(load="bad-setting")},
        "problem",
        "does not load",
        f"systemd-analyze --user verify {AGENT_SERVICE}",
    ),
    ("masked", {"units": socket(load="masked")}, "problem", "masked", f"systemctl --user unmask {SOCKET}"),
    (
        "masked in the unit folder",
        {"units": socket(load="masked"), "installed": False, "foreign_units": (Path("/u") / SOCKET,)},
        "problem",
        "masked",
        f"systemctl --user unmask {SOCKET}",
    ),
    (
        "broken",
        {"units": service(load="bad-setting")},
        "problem",
        "does not load",
        f"systemd-analyze --user verify {SERVICE}",
    ),
    (
        "reload",
        {"units": service(needs_daemon_reload=True)},
        "warning",
        "changed on disk",
        "systemctl --user daemon-reload",
    ),
    ("disabled", {"units": socket(enabled="disabled")}, "problem", "not enabled", f"systemctl --user enable {SOCKET}"),
    (
        "disabled",
        {"units": service(enabled="disabled")},
        "warning",
        "only a connection",
        f"systemctl --user enable {SERVICE}",
    ),
    ("stopped", {"units": socket(active="inactive")}, "problem", "the port is closed", "openclaw-gateway start"),
    (
        "trigger limit",
        {"units": socket(active="failed", result="trigger-limit-hit")},
        "problem",
        "activated too often",
        f"systemctl --user reset-failed {SOCKET}; openclaw-gateway start",
    ),
    (
        "service limit",
        {"units": socket(active="failed", result="service-start-limit-hit")},
        "problem",
        "took the port with it",
        f"systemctl --user reset-failed {SOCKET}; openclaw-gateway start",
    ),
    (
        "start limit",
        {"units": service(active="failed", result="start-limit-hit")},
        "problem",
        "started too often",
        f"systemctl --user reset-failed {SERVICE}; openclaw-gateway start",
    ),
    (
        "failed",
        {"units": service(active="failed", result="watchdog")},
        "problem",
        "result watchdog",
        "systemctl --user reset-failed",
    ),
    (
        "loop",
        {"units": service(active="activating", sub="auto-restart", restarts=9)},
        "problem",
        "9 times",
        "journalctl --user",
    ),
    (
        "loop, in its pause",
        {"units": service(active="deactivating", sub="stop-post", restarts=9, result="exit-code")},
        "problem",
        "9 times",
        "journalctl --user",
    ),
    (
        "slow",
        {"units": service(active="activating", sub="start", restarts=0)},
        "problem",
        f"{SERVICE} is still starting for more than 10 s",
        "journalctl --user",
    ),
    (
        "system unit",
        {"system_units": (SystemUnit(Path("/etc/systemd/system") / SOCKET, True),)},
        "problem",
        "/etc/systemd/system",
        f"sudo systemctl disable --now {SOCKET}",
    ),
    ("idle system unit", {"system_units": (SystemUnit(Path("/lib") / SOCKET, False),)}, "note", "not enabled", ""),
    (
        "OpenClaw's",
        {"openclaw_unit": OpenClawUnit(Path("/u") / SERVICE, {}, (), None)},
        "problem",
        "OpenClaw's own unit",
        "openclaw-gateway install --take-over",
    ),
    (
        "foreign unit",
        {"foreign_units": (Path("/u") / SOCKET,)},
        "problem",
        SOCKET,
        "openclaw-gateway install --take-over",
    ),
    (
        "other state",
        {"service_paths": structs.replace(HERE, state=Path("/srv/claw"))},
        "warning",
        "this shell means /h/.openclaw",
        "export OPENCLAW_STATE_DIR=/srv/claw",
    ),
    (
        "other config",
        {"service_paths": structs.replace(HERE, config=Path("/c.json"))},
        "warning",
        "this shell means /h/.openclaw/openclaw.json",
        "export OPENCLAW_CONFIG_PATH=/c.json",
    ),
    ("foreign listener", {"holders": (FOREIGN,)}, "problem", "pid 4242 (nc -l)", "kill 4242"),
    (
        "listener of another user",
        {"holders": (Holder(None, ME + 1, "bob", "", None),)},
        "problem",
        "a process of user bob",
        "openclaw-gateway install --port N",
    ),
    (
        "another user's manager",
        {"holders": (structs.replace(MANAGER, uid=ME + 1, user="bob"),)},
        "problem",
        "a socket unit of user bob",
        "openclaw-gateway install --port N",
    ),
    (
        "by hand",
        {"report": report(unit="session-1.scope")},
        "problem",
        "in session-1.scope",
        "kill 77; openclaw-gateway start",
    ),
    ("by hand", {"report": report(unit=None)}, "problem", "outside any unit", "kill 77; openclaw-gateway start"),
    ("orphan", {"holders": (MANAGER, MAIN, FOREIGN)}, "problem", "pid 4242 (nc -l)", "kill 4242"),
    (
        "child",
        {"holders": (MANAGER, MAIN, structs.replace(FOREIGN, unit=SERVICE))},
        "problem",
        "takes connections",
        "openclaw-gateway restart --cold",
    ),
    (
        "port",
        {"listen": resolve("loopback", 19000)},
        "warning",
        "18789",
        "openclaw-gateway config set gateway.port 19000",
    ),
    (
        "port in the file",
        {"listen": resolve("loopback", 19000), "config": config(tree={"gateway": {"port": 18789}})},
        "warning",
        "socket unit listens on 19000",
        "openclaw-gateway install",
    ),
    (
        "moved",
        {"silent": (ListenAddress("10.0.0.1", 5),)},
        "problem",
        "10.0.0.1:5 is in the unit but not open",
        "openclaw-gateway stop; openclaw-gateway start",
    ),
    ("absent", {"absent": (ListenAddress("10.9.9.9", 1),)}, "warning", "10.9.9.9:1", "ip address"),
    (
        "a unit of former days",
        {"former_units": (Path("/u/clawdbot-gateway.service"),)},
        "warning",
        "would take the port at the next login",
        "systemctl --user disable --now clawdbot-gateway.service; rm /u/clawdbot-gateway.service",
    ),
    (
        "a unit of former days on the port",
        {
            "former_units": (Path("/u/clawdbot-gateway.service"),),
            "holders": (structs.replace(FOREIGN, unit="clawdbot-gateway.service"),),
        },
        "problem",
        "/u/clawdbot-gateway.service holds the port",
        "systemctl --user disable --now clawdbot-gateway.service; rm /u/clawdbot-gateway.service",
    ),
    ("config warning", {"config": config(warnings=("cron: no job runs here (x)",))}, "warning", "no job runs here", ""),
    (
        "config of former days",
        {"former_configs": (Path("/h/.clawdbot/clawdbot.json"),)},
        "note",
        "is not read; /h/.openclaw/openclaw.json is",
        "rm /h/.clawdbot/clawdbot.json",
    ),
    (
        "config errors",
        {"config": config(config=None, issues=(Issue("wrong", "a.b", "/c", 1, 2), Issue("x")))},
        "problem",
        "/c:1:2: a.b: wrong (and 1 more)",
        "openclaw-gateway config check",
    ),
    ("mended config", {"report": report(degraded=("config",))}, "warning", "not in force", "openclaw-gateway reload"),
    ("exposed", {"config": config(exposed=(Path("/a b.json"),))}, "warning", "/a b.json", "chmod 600 '/a b.json'"),
    (
        "all users",
        {"config": behind_proxy()},
        "warning",
        "allowUsers is empty",
        "openclaw-gateway config set gateway.auth.trustedProxy.allowUsers '[\"…\"]'",
    ),
    (
        "loopback",
        {"config": behind_proxy(allow_users=("a",), allow_loopback=True)},
        "warning",
        "can name any user",
        "openclaw-gateway config set gateway.auth.trustedProxy.allowLoopback false",
    ),
    (
        "admin for all",
        {"config": behind_proxy(allow_users=("a",), device_auto_approve=EVERYTHING)},
        "warning",
        "administrator",
        "openclaw-gateway config set gateway.auth.trustedProxy.deviceAutoApprove.scopes "
        '\'["operator.read", "operator.write"]\'',
    ),
    (
        "no password",
        {"config": behind_proxy(None, allow_users=("a",))},
        "note",
        "no secret",
        "openclaw-gateway config set gateway.auth.password …",
    ),
    ("version", {"report": report(version="0.0.9")}, "warning", "running 0.0.9", "openclaw-gateway restart"),
    ("frozen", {"report": None, "frozen": True}, "problem", "frozen", "openclaw-gateway restart --cold"),
    ("linger", {"linger": False}, "warning", "logs out", "sudo loginctl enable-linger u"),
    (
        "inotify",
        {"inotify": InotifyUsage(116, 128, 0, 9)},
        "warning",
        "116 of 128",
        "sudo sysctl fs.inotify.max_user_instances=1024",
    ),
    (
        "inotify",
        {"inotify": InotifyUsage(0, 128, 9000, 10_000)},
        "warning",
        "watches",
        "sudo sysctl fs.inotify.max_user_watches=40000",
    ),
    ("polling", {"report": report(watching="polling")}, "note", "polling", "openclaw-gateway restart"),
    (
        "no locks",
        {"report": report(state_problem="knows no locks")},
        "warning",
        "all that it should knows no locks",
        "",
    ),
    ("no state", {"storage": None}, "note", "no state folder yet", ""),
    ("read-only", {"storage": FreeSpace(False, 0, None)}, "problem", "cannot be written", "ls -ld /h/.openclaw"),
    ("full", {"storage": FreeSpace(True, LITTLE_ROOM - 1, None)}, "warning", "99 MB free", "df -h /h/.openclaw"),
    (
        "inodes",
        {"storage": FreeSpace(True, LITTLE_ROOM, FEW_INODES - 1)},
        "warning",
        "999 inodes",
        "df -i /h/.openclaw",
    ),
    ("newer database", {"database": checkup(problem="form 9", newer=True)}, "problem", "newer version form 9", ""),
    ("locked database", {"database": checkup(problem="locked; wait")}, "problem", "cannot be read locked; wait", ""),
    (
        "no database",
        {"database": checkup(problem="not a database", ruined=True)},
        "problem",
        "cannot be read not a database",
        "mv '/h/a b.sqlite' '/h/a b.sqlite.aside'; ls -t /h/.openclaw/backups",
    ),
    (
        "damaged database",
        {"database": checkup(damages=("page 7", "page 8", "page 9"))},
        "problem",
        "/h/a b.sqlite: page 7 and 2 more",
        "openclaw-gateway stop && openclaw-gateway sessions recover && openclaw-gateway start",
    ),
    ("open database", {"database": checkup(mode=0o640)}, "warning", "mode 640", "chmod 600 '/h/a b.sqlite'*"),
    ("wal", {"database": checkup(wal=LARGE_WAL + 1)}, "warning", "has 256 MB", "fuser -v '/h/a b.sqlite'"),
    (
        "who reads",
        {
            "database": checkup(wal=LARGE_WAL + 1),
            "readers": (MAIN, structs.replace(FOREIGN, command="sqlite3 a.sqlite")),
        },
        "warning",
        "does not end: pid 4242 (sqlite3 a.sqlite)",
        "fuser -v '/h/a b.sqlite'",
    ),
    (
        "drop-in",
        {"hindrances": (Hindrance(Path("/u/x.conf"), "ProtectHome=yes", "no state", SERVICE),)},
        "warning",
        "ProtectHome=yes in /u/x.conf: no state",
        f"systemctl --user edit {SERVICE}",
    ),
    ("memory", {"memory_bound": False}, "note", "Delegate=memory", "sudo systemctl edit user@.service"),
    (
        "large database",
        {"database": checkup(complete=False, size=5_000_000_000)},
        "note",
        "has 4768 MB",
        "openclaw-gateway sessions check --deep",
    ),
]


@pytest.mark.parametrize(
    ("differs", "severity", "said", "remedy"), [row[1:] for row in FOUND], ids=[row[0] for row in FOUND]
)
def test_what_is_found(differs: dict[str, Any], severity: str, said: str, remedy: str) -> None:
    (found,) = examine(replace(HEALTHY, **differs))
    assert found.severity == severity
    assert said in f"{found.title} {found.detail}"
    assert found.remedy.startswith(remedy)
    assert bool(found.remedy) == bool(remedy)


@pytest.mark.parametrize(
    "differs",
    [
        {"inotify": InotifyUsage(115, 128, 8999, 10_000)},
        {"inotify": InotifyUsage()},
        {"linger": None},
        {"linger": False, "installed": False, "units": None},
        {"absent": (ListenAddress("::1", 18789),)},
        {"listen": LAN},
        {"silent": LAN, "installed": False, "units": None, "report": None, "holders": ()},
        {"units": service(active="inactive", sub="dead"), "report": None, "holders": (MANAGER,)},
        {"units": agent(active="active", sub="running", main_pid=88)},
        {"units": agent_socket(enabled="disabled")},
        {
            "units": replace(agent_socket(active="inactive"), service=replace(UP.service, active="inactive")),
            "report": None,
            "holders": (MANAGER,),
        },
    ],
    ids=[
        "inotify below",
        "inotify unknown",
        "no logind",
        "no unit to linger for",
        "no IPv6",
        "guarded",
        "no units",
        "not started yet",
        "an agent that runs",
        "an agent's socket that the gateway brings",
        "all of it not started yet",
    ],
)
def test_what_needs_no_mending(differs: dict[str, Any]) -> None:
    assert [finding for finding in examine(replace(HEALTHY, **differs)) if finding.severity != "note"] == []


def test_a_masked_unit_hides_no_foreign_one() -> None:
    found = examine(replace(HEALTHY, units=socket(load="masked"), foreign_units=(Path("/u") / SERVICE,)))
    assert [finding.remedy for finding in found] == [
        "openclaw-gateway install --take-over",
        f"systemctl --user unmask {SOCKET}",
    ]


def test_problems_come_first() -> None:
    found = examine(replace(HEALTHY, storage=None, linger=False, units=socket(active="inactive")))
    assert [finding.severity for finding in found] == ["problem", "warning", "note"]


def test_every_check_is_in_the_table() -> None:
    from gateway.doctor import config, database, machine, port, units

    names = {
        f"{module.__name__}.{name}"
        for module in (config, database, machine, port, units)
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert names == {f"{check.__module__}.{check.__name__}" for check in CHECKS}


def test_a_finding_is_plain_data() -> None:
    assert Finding("note", "x") == Finding("note", "x", "", "")


def test_a_bounded_number_of_warnings_of_the_config_and_none_twice() -> None:
    path = Path("/h/.env")
    secret = f"{path}: holds a secret and others may read it; run: chmod 600 {path}"
    many = (secret, *(f"w{number}" for number in range(MAX_WARNINGS + 3)))
    found = [each.title for each in examine(replace(HEALTHY, config=config(warnings=many, exposed=(path,))))]
    assert found.count("a warning of the config") == MAX_WARNINGS
    assert "3 more warnings of the config" in found and "others can read a secret" in found
