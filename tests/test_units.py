"""The shipped unit files: valid on the systemd that is here, and every directive has its reason in the README."""

import os
import re
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import pytest

from gateway.agent import activation
from gateway.agent.service import LEAVE_S
from gateway.files.paths import Paths
from gateway.lifecycle import served
from gateway.units import (
    AGENT_SERVICE,
    AGENT_SOCKET,
    ENABLED,
    GONE,
    MARK,
    PROGRAMS,
    SANDBOX_DROP_IN,
    SERVICE,
    SHIPPED_COMMANDS,
    SOCKET,
    UNITS,
    sandbox,
    shipped,
)
from gateway.units.addresses import resolve
from gateway.units.render import listen, service, unchanged
from gateway.units.syntax import parse, split

ANALYZE = shutil.which("systemd-analyze")


def values(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for setting in parse(shipped(name)):
        found.setdefault(setting.key, []).append(setting.value)
    return found


def verify(folder: Path, home: Path) -> str:
    # Sockets of systemd's own lie in there, and the path of a socket has to be short.
    with tempfile.TemporaryDirectory() as runtime:
        done = subprocess.run(
            [str(ANALYZE), "--user", "verify", "--man=no", *(str(folder / name) for name in (*UNITS, GONE))],
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": runtime, "HOME": str(home)},
        )
    return f"{done.stdout}{done.stderr}" + (f"exit {done.returncode}" if done.returncode else "")


@pytest.mark.process
@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_about_the_shipped_units(tmp_path: Path) -> None:
    for name in (*UNITS, GONE):
        (tmp_path / name).write_text(shipped(name))
    assert verify(tmp_path, tmp_path) == ""


@pytest.mark.process
@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_about_what_install_writes(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces, 100% $HOME"
    folder.mkdir()
    for name, script in PROGRAMS.items():
        program = folder / script
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        variables = {"OPENCLAW_STATE_DIR": "/srv/50% off/state dir"}
        (tmp_path / name).write_text(service(name, (str(program),), variables))
    for name in (SOCKET, AGENT_SOCKET, GONE):
        (tmp_path / name).write_text(unchanged(name))
    (tmp_path / f"{SOCKET}.d").mkdir()
    (tmp_path / f"{SOCKET}.d/10-listen.conf").write_text(listen(resolve("lan", 19000)))
    (tmp_path / f"{SERVICE}.d").mkdir()
    (tmp_path / SANDBOX_DROP_IN).write_text(sandbox.text(None))
    assert verify(tmp_path, tmp_path) == ""


@pytest.mark.parametrize("name", [*UNITS, GONE])
def test_every_directive_has_its_reason(name: str) -> None:
    readme = resources.files("gateway.units").joinpath("README.md").read_text()
    section = readme.split(f"\n## {name}\n")[1].split("\n## ")[0]
    # `Key=value`, and before it in the same cell others of the same reason.
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    explained = {key for cell in cells for key in re.findall(r"`([A-Za-z0-9]+)=", cell)}
    assert values(name).keys() - explained == set()


def test_nothing_can_take_the_port_away() -> None:
    port, process = values(SOCKET), values(SERVICE)
    assert port["TriggerLimitIntervalSec"] == ["0"]
    assert port["StartLimitIntervalSec"] == process["StartLimitIntervalSec"] == ["0"]
    assert process["Restart"] == ["always"]
    assert process["RestartSec"] == ["0"]
    # Nor without something that it waits for: a program that is gone is looked for by another unit, at its own pace.
    for process in (values(SERVICE), values(AGENT_SERVICE)):
        assert process["RestartPreventExitStatus"] == ["203"]
        assert process["OnFailure"] == [gone := GONE.replace("@", "@%N")] and gone in process["After"][0]
    assert values(GONE)["Type"] == ["oneshot"]
    assert "BindsTo" not in port
    assert "PartOf" not in port


def test_the_agents_socket_cannot_be_lost() -> None:
    sock, process = values(AGENT_SOCKET), values(AGENT_SERVICE)
    assert sock["TriggerLimitIntervalSec"] == ["0"]
    assert sock["StartLimitIntervalSec"] == process["StartLimitIntervalSec"] == ["0"]
    # Without a pace between them, an agent that fails at once and a waiting connection would be a busy loop.
    assert process["Restart"] == ["on-failure"]
    assert process["RestartSec"] == ["200ms"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("result", "mark", "pauses"),
    [
        ("signal", "yes\n", False),
        ("signal", "", True),
        ("exit-code", None, True),
        ("protocol", None, True),
        ("success", "", False),
        ("success", "yes\n", False),
    ],
)
def test_a_gateway_that_has_not_served_is_started_again_after_a_pause(
    tmp_path: Path, result: str, mark: str | None, pauses: bool
) -> None:
    """Without a pace, a service that fails at once and a waiting client would be a busy loop."""
    folder, programs = tmp_path / "openclaw-gateway", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "sleep").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/slept\n')
    (programs / "sleep").chmod(0o755)
    if mark is not None:
        (folder / served.NAME).write_text(mark)
    (after,) = values(SERVICE)["ExecStopPost"]
    words = split(after.removeprefix("-+").replace("%t", str(tmp_path)).replace("$$", "$"))
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "SERVICE_RESULT": result}
    assert subprocess.run(words, env=environment).returncode == 0
    assert (tmp_path / "slept").exists() == pauses
    assert not pauses or (tmp_path / "slept").read_text() == "0.5\n"
    assert not (folder / served.NAME).exists() or not (folder / served.NAME).read_text(), "the next one leaves its own"


def test_the_agents_socket_is_the_users_alone_and_where_the_gateway_looks() -> None:
    sock = values(AGENT_SOCKET)
    assert (sock["SocketMode"], sock["DirectoryMode"]) == (["0600"], ["0700"])
    place = Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"}).agent_socket
    assert sock["ListenStream"] == [str(place).replace("/run/user/7", "%t")]
    assert sock["FileDescriptorName"] == [activation.NAME]


def test_the_agent_does_not_end_with_the_gateway() -> None:
    gateway, agent = parse(shipped(SERVICE)), values(AGENT_SERVICE)
    named = {setting.key for setting in gateway if AGENT_SOCKET in setting.value.split()}
    assert named == {"Wants", "After", "Also"}, "it starts without an agent, and after the socket where there is one"
    assert not any(AGENT_SERVICE in setting.value for setting in gateway)
    assert not any("openclaw-gateway" in value for values in agent.values() for value in values)


def test_what_ends_an_agent_ends_what_its_tools_have_started() -> None:
    agent = values(AGENT_SERVICE)
    assert agent["KillMode"] == ["control-group"]
    assert "SendSIGKILL" not in agent
    assert LEAVE_S < int(agent["TimeoutStopSec"][0]) <= 10


def test_those_that_are_enabled_have_somebody_who_wants_them() -> None:
    assert [name for name in UNITS if "WantedBy" in values(name)] == [name for name in UNITS if name in ENABLED]


def test_the_shipped_commands_are_what_install_replaces() -> None:
    text = service(SERVICE, ("/opt/x/bin/openclaw-gateway",), {})
    assert SHIPPED_COMMANDS[SERVICE] not in text
    assert "ExecStart=/opt/x/bin/openclaw-gateway run\n" in text
    assert "ExecReload=/opt/x/bin/openclaw-gateway reload\n" in text
    assert text.startswith(MARK)
    text = service(AGENT_SERVICE, ("/opt/x/bin/openclaw-agent",), {})
    assert "ExecStart=/opt/x/bin/openclaw-agent\n" in text


def test_every_line_of_the_sandbox_has_its_reason() -> None:
    readme = resources.files("gateway.units").joinpath("README.md").read_text()
    section = readme.split("\nIn the drop-in.")[1].split("\nLeft out")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    explained = {key for cell in cells for key in re.findall(r"`([A-Za-z0-9]+)=", cell)}
    assert {setting.key for setting in parse(sandbox.text(None))} == explained
