"""The shipped unit files: valid on the systemd that is here, and every directive has its reason in the README."""

import os
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from gateway.units import MARK, SERVICE, SHIPPED_COMMAND, SOCKET, shipped
from gateway.units.addresses import resolve
from gateway.units.render import listen, service, socket
from gateway.units.syntax import parse

ANALYZE = shutil.which("systemd-analyze")


def values(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for setting in parse(shipped(name)):
        found.setdefault(setting.key, []).append(setting.value)
    return found


def verify(folder: Path, tmp_path: Path) -> str:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    done = subprocess.run(
        [str(ANALYZE), "--user", "verify", "--man=no", str(folder / SOCKET), str(folder / SERVICE)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path)},
    )
    return f"{done.stdout}{done.stderr}" + (f"exit {done.returncode}" if done.returncode else "")


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_about_the_shipped_units(tmp_path: Path) -> None:
    for name in (SOCKET, SERVICE):
        (tmp_path / name).write_text(shipped(name))
    assert verify(tmp_path, tmp_path) == ""


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_about_what_install_writes(tmp_path: Path) -> None:
    program = tmp_path / "a folder with spaces, 100% $HOME" / "openclaw-gateway"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / SOCKET).write_text(socket())
    (tmp_path / SERVICE).write_text(service((str(program),), {"OPENCLAW_STATE_DIR": "/srv/50% off/state dir"}))
    (tmp_path / f"{SOCKET}.d").mkdir()
    (tmp_path / f"{SOCKET}.d/10-listen.conf").write_text(listen(resolve("lan", 19000)))
    assert verify(tmp_path, tmp_path) == ""


def test_every_directive_has_its_reason() -> None:
    readme = resources.files("gateway.units").joinpath("README.md").read_text()
    explained = set(re.findall(r"`([A-Za-z0-9]+)=", readme))
    used = {setting.key for name in (SOCKET, SERVICE) for setting in parse(shipped(name))}
    assert used - explained == set()


def test_nothing_can_take_the_port_away() -> None:
    port, process = values(SOCKET), values(SERVICE)
    assert port["TriggerLimitIntervalSec"] == ["0"]
    assert port["StartLimitIntervalSec"] == process["StartLimitIntervalSec"] == ["0"]
    # Without a pace between them, a service that fails at once and a waiting client would be a busy loop.
    assert process["Restart"] == ["always"]
    assert process["RestartSec"] == ["200ms"]
    assert "RestartPreventExitStatus" not in process
    assert "BindsTo" not in port
    assert "PartOf" not in port


def test_the_stop_timeout_has_room_for_the_gateways_own_budget() -> None:
    # 10 s for requests and 1 s for WebSocket closes, and some for the machine.
    assert int(values(SERVICE)["TimeoutStopSec"][0]) >= 11 + 5


def test_the_shipped_commands_are_what_install_replaces() -> None:
    text = service(("/opt/x/bin/openclaw-gateway",), {})
    assert SHIPPED_COMMAND not in text
    assert "ExecStart=/opt/x/bin/openclaw-gateway run\n" in text
    assert "ExecReload=/opt/x/bin/openclaw-gateway reload\n" in text
    assert text.startswith(MARK)
