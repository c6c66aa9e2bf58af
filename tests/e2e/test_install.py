"""`install` and `uninstall` beside what is there already: nothing, ourselves, OpenClaw's unit, the user's drop-ins."""

from pathlib import Path

import pytest

from gateway.exits import ExitCode
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, ENABLED, UNITS
from tests.e2e.gateway import CONFIG, PORT, SERVICE, SOCKET, TOKEN, UNIT_FOLDER, Gateway
from tests.e2e.load import load
from tests.e2e.manager import VENV, UserManager, until

OTHER_PORT = PORT + 11
OPENCLAW_UNIT = """\
[Unit]
Description=OpenClaw Gateway (v2026.2.1)

[Service]
ExecStart=/usr/bin/node /usr/lib/openclaw/dist/index.js gateway --port 18789
Restart=always
KillMode=process
Environment=OPENCLAW_SERVICE_MARKER=openclaw
Environment=OPENCLAW_GATEWAY_TOKEN=secret-in-a-unit
Environment=OPENCLAW_STATE_DIR=/home/gateway/claw

[Install]
WantedBy=default.target
"""


@pytest.fixture
def bare(manager: UserManager) -> Gateway:
    """Nothing is installed; the config file has a token."""
    gateway = Gateway(manager)
    gateway.configure()
    return gateway


@pytest.fixture
def installed(bare: Gateway) -> Gateway:
    """By the command itself, in each test."""
    bare.command("install")
    return bare


def unit_files(gateway: Gateway) -> dict[str, tuple[str, int]]:
    folder = gateway.manager.home / UNIT_FOLDER
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.exists() else []
    return {str(path.relative_to(folder)): (path.read_text(), path.stat().st_mtime_ns) for path in found}


def curl(gateway: Gateway, port: int, host: str = "127.0.0.1") -> int:
    return gateway.manager.run("curl", "-sf", f"http://{host}:{port}/healthz", check=False).returncode


def test_install_now_serves(bare: Gateway) -> None:
    bare.command("install", "--now")
    assert (bare.state(SOCKET), bare.state()) == ("active", "active")
    assert bare.get().status == 200
    assert bare.manager.systemctl("is-enabled", *ENABLED).stdout.split() == ["enabled"] * 3
    assert (bare.state(AGENT_SOCKET), bare.state(AGENT_SERVICE)) == ("active", "inactive")


def test_units_are_valid(installed: Gateway) -> None:
    paths = [str(Path(installed.manager.inner_home, UNIT_FOLDER, name)) for name in UNITS]
    verify = installed.manager.run("systemd-analyze", "--user", "verify", *paths)
    assert (verify.stdout, verify.stderr) == ("", "")
    for name in (SERVICE, AGENT_SERVICE):
        assert f"{VENV}/bin/openclaw-" in installed.manager.show(name, "ExecStart")["ExecStart"]


def test_installing_again_changes_nothing(gateway: Gateway) -> None:
    before, pid = unit_files(gateway), gateway.pid()
    with load(gateway.manager, "fresh") as clients:
        for words in (["install"], ["install", "--now"]):
            assert "nothing to change" in gateway.command(*words).stdout
    assert (unit_files(gateway), gateway.pid(), clients.lost) == (before, pid, {})


def test_port_moves(gateway: Gateway) -> None:
    gateway.command("install", "--port", str(OTHER_PORT), "--now")
    assert curl(gateway, OTHER_PORT) == 0
    assert curl(gateway, OTHER_PORT, "[::1]") == 0
    assert curl(gateway, PORT) == 7
    gateway.command("install", "--now")
    assert curl(gateway, OTHER_PORT) == 0, "installing again keeps the port"
    gateway.command("install", "--port", str(PORT), "--now")
    assert (curl(gateway, PORT), curl(gateway, OTHER_PORT)) == (0, 7)


def test_port_follows_the_config(gateway: Gateway) -> None:
    gateway.configure(f'{{"gateway": {{"port": {OTHER_PORT}, "auth": {{"token": "{TOKEN}"}}}}}}')
    assert str(OTHER_PORT) in gateway.command("doctor", check=False).stdout
    gateway.command("install", "--now")
    assert curl(gateway, OTHER_PORT) == 0


def test_all_addresses_only_with_a_secret(bare: Gateway) -> None:
    for text, words, way_out in (
        ('{"gateway": {"auth": {"mode": "none"}}}', ["--bind", "lan"], "config set gateway.auth.token"),
        ("{}", ["--bind", "lan"], "use --bind loopback"),
        ('{"gateway": {"bind": "lan"}}', [], "or gateway.bind to loopback"),
    ):
        bare.configure(text)
        refusal = bare.command("install", *words, "--now", check=False, env={"OPENCLAW_GATEWAY_TOKEN": TOKEN})
        assert refusal.returncode == ExitCode.CONFIG_INVALID
        assert "Refusing to bind to " in refusal.stderr and way_out in refusal.stderr
        assert unit_files(bare) == {}
    bare.configure()
    bare.command("install", "--bind", "lan", "--now")
    assert curl(bare, PORT, "127.0.0.2") == 0


def test_drop_ins_of_the_user_stay_in_force(gateway: Gateway) -> None:
    gateway.drop_in(SERVICE, "[Service]\nEnvironment=MINE=1\n")
    gateway.drop_in(SOCKET, f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{OTHER_PORT}\n")
    gateway.command("stop")
    told = gateway.command("install", "--now").stdout
    assert told.count("your drop-in stays in force") == 2
    assert "MINE=1" in gateway.manager.show(SERVICE, "Environment")["Environment"]
    assert (curl(gateway, OTHER_PORT), curl(gateway, PORT)) == (0, 7)


def test_uninstall_leaves_config_and_state(gateway: Gateway) -> None:
    config = (gateway.manager.home / CONFIG).read_text()
    gateway.command("uninstall")
    assert unit_files(gateway) == {}
    assert [gateway.manager.show(name, "LoadState")["LoadState"] for name in UNITS] == ["not-found"] * 4
    assert curl(gateway, PORT) == 7
    assert (gateway.manager.home / CONFIG).read_text() == config
    gateway.command("uninstall")
    gateway.command("install", "--now")
    assert gateway.get().status == 200


def test_openclaws_own_unit_is_taken_over_only_when_asked(bare: Gateway) -> None:
    unit = bare.manager.write(f"{UNIT_FOLDER}/{SERVICE}", OPENCLAW_UNIT)
    bare.manager.write("claw/openclaw.json", f'{{"gateway": {{"auth": {{"token": "{TOKEN}"}}}}}}')
    refusal = bare.command("install", check=False)
    assert refusal.returncode == ExitCode.UNIT_CONFLICT
    assert "--take-over" in refusal.stderr
    assert unit.read_text() == OPENCLAW_UNIT
    bare.command("install", "--take-over", "--now")
    backups = [text for name, (text, _) in unit_files(bare).items() if "backup" in name]
    assert backups == [OPENCLAW_UNIT]
    assert "secret-in-a-unit" not in unit.read_text()
    assert bare.status()["gateway"]["state_dir"] == f"{bare.manager.inner_home}/claw"
    assert bare.get().status == 200


def test_system_unit_is_a_conflict(bare: Gateway) -> None:
    bare.manager.root_run("mount", "-t", "tmpfs", "tmpfs", "/etc/systemd/system")
    bare.manager.root_run("mkdir", "/etc/systemd/system/multi-user.target.wants")
    unit = "/etc/systemd/system/openclaw-gateway.service"
    bare.manager.root_run("sh", "-c", f"printf '[Service]\\nExecStart=/bin/true\\n' > {unit}")
    bare.manager.root_run("ln", "-s", unit, "/etc/systemd/system/multi-user.target.wants/")
    refusal = bare.command("install", check=False)
    assert refusal.returncode == ExitCode.UNIT_CONFLICT
    assert unit in refusal.stderr
    assert unit_files(bare) == {}


def test_without_a_user_manager_it_says_so(bare: Gateway) -> None:
    env = {"XDG_RUNTIME_DIR": "/run/user/nowhere"}
    told = bare.command("install", "--now", check=False, env=env)
    assert told.returncode != 0
    assert "openclaw-gateway run" in told.stderr


def test_a_port_that_others_can_reach_is_not_given_up_for_want_of_a_secret_and_nobody_gets_in(bare: Gateway) -> None:
    """A drop-in has opened it, and the config has no secret: an error of the config, with the answer of one."""
    bare.configure("{}")
    bare.command("install")
    bare.drop_in(SOCKET, f"[Socket]\nListenStream=\nListenStream=0.0.0.0:{PORT}\n")
    bare.start()
    assert curl(bare, PORT, "127.0.0.2") == 0
    pid = bare.until_ready()
    assert bare.report()["degraded"] == ["config", "auth"]
    for told in (bare.command("config", "check", check=False), bare.command("doctor", check=False)):
        assert f"gateway.auth.token: Refusing to bind to 0.0.0.0:{PORT} without auth" in told.stdout
    assert bare.command("call", "health", check=False).returncode != 0
    refusal = bare.command("call", "health", "--token", "x", check=False)
    assert "gateway token not configured on gateway (set gateway.auth.token)" in refusal.stderr
    assert bare.command("install", check=False).returncode == ExitCode.CONFIG_INVALID
    bare.configure()
    until(lambda: bare.report()["degraded"] == [], "the config with a token to be taken")
    bare.configure('{"gateway": {"auth": {"mode": "none"}}}')
    until(lambda: bare.report()["degraded"] == ["config"], "the edit to be refused")
    assert bare.command("call", "health", "--token", TOKEN).returncode == 0
    bare.manager.systemctl("restart", SERVICE)
    assert bare.until_ready(other_than=pid)
    assert bare.report()["config"]["source"] == "last-good"
    assert bare.command("call", "health", "--token", TOKEN).returncode == 0
    assert bare.restarts() == 0
