from pathlib import Path

import pytest

from gateway.units import AGENT_SOCKET, MARK, SERVICE, SOCKET
from gateway.units.rivals import foreign_units, former_units, openclaw_unit, system_units

OPENCLAW = """\
[Unit]
Description=OpenClaw Gateway (profile: x, v2026.2.1)

[Service]
ExecStart=/usr/bin/node /opt/openclaw/dist/index.js gateway --port 18801
KillMode=process
Environment=HOME=/home/u
Environment="OPENCLAW_STATE_DIR=/home/u/.openclaw x"
Environment=OPENCLAW_GATEWAY_TOKEN=secret OPENCLAW_SERVICE_MARKER=openclaw
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".config/systemd/user").mkdir(parents=True)
    return {"HOME": str(tmp_path)}


def user_unit(env: dict[str, str], name: str, text: str) -> Path:
    path = Path(env["HOME"]) / ".config/systemd/user" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_openclaws_unit_is_known_and_its_secrets_stay_behind(env: dict[str, str]) -> None:
    path = user_unit(env, SERVICE, OPENCLAW)
    unit = openclaw_unit(env)
    assert unit is not None
    assert (unit.path, unit.port) == (path, 18801)
    assert unit.carried == {"OPENCLAW_STATE_DIR": "/home/u/.openclaw x"}
    assert unit.dropped == ("HOME", "OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_SERVICE_MARKER")
    assert foreign_units(env) == []


@pytest.mark.parametrize(
    "started", ["/usr/bin/node --x /y/dist/entry.js gateway", "/n/node /y/openclaw gateway --port=7"]
)
def test_without_the_marker_the_command_tells(env: dict[str, str], started: str) -> None:
    user_unit(env, SERVICE, f"[Service]\nExecStart={started}\nEnvironment=OPENCLAW_GATEWAY_PORT=7\n")
    unit = openclaw_unit(env)
    assert unit is not None
    assert unit.port == 7


def test_a_home_that_systemd_would_fill_in_is_filled_in(env: dict[str, str]) -> None:
    user_unit(env, SERVICE, OPENCLAW + "Environment=OPENCLAW_STATE_DIR=%h/claw\n")
    unit = openclaw_unit(env)
    assert unit is not None
    assert unit.carried["OPENCLAW_STATE_DIR"] == f"{env['HOME']}/claw"


def test_a_drop_in_of_openclaws_unit_counts(env: dict[str, str]) -> None:
    user_unit(env, SERVICE, OPENCLAW)
    user_unit(env, f"{SERVICE}.d/x.conf", "[Service]\nEnvironment=OPENCLAW_CONFIG_PATH=/c.json\n")
    unit = openclaw_unit(env)
    assert unit is not None
    assert unit.carried["OPENCLAW_CONFIG_PATH"] == "/c.json"


def test_ours_is_no_rival(env: dict[str, str]) -> None:
    user_unit(env, SERVICE, f"{MARK}\n{OPENCLAW}")
    assert openclaw_unit(env) is None
    assert foreign_units(env) == []


@pytest.mark.parametrize("name", [SOCKET, AGENT_SOCKET])
def test_a_hand_written_unit_is_foreign(env: dict[str, str], name: str) -> None:
    path = user_unit(env, name, "[Socket]\nListenStream=18789\n")
    assert foreign_units(env) == [path]


def test_system_units_enabled_or_not(tmp_path: Path) -> None:
    etc, lib = tmp_path / "etc", tmp_path / "lib"
    (etc / "sockets.target.wants").mkdir(parents=True)
    lib.mkdir()
    assert system_units([etc, lib]) == []
    (lib / SERVICE).write_text("")
    (lib / SOCKET).write_text("")
    (etc / "sockets.target.wants" / SOCKET).symlink_to(lib / SOCKET)
    assert {unit.path: unit.enabled for unit in system_units([etc, lib])} == {lib / SOCKET: True, lib / SERVICE: False}


def test_a_masked_system_unit_never_runs(tmp_path: Path) -> None:
    (tmp_path / SERVICE).symlink_to("/dev/null")
    assert system_units([tmp_path]) == []


def test_units_of_former_days(env: dict[str, str]) -> None:
    old = user_unit(env, "clawdbot-gateway.service", "[Service]\n")
    profile = user_unit(env, "moltbot-gateway-work.service", "[Service]\n")
    user_unit(env, "other.service", "[Service]\n")
    assert former_units(env) == [old, profile]
    assert foreign_units(env) == []
