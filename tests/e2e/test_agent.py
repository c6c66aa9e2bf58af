"""The agent's units: it comes when it is asked for, outlives the gateway, and nothing takes its socket away."""

import json
import re
import time
from pathlib import Path

import pytest

from gateway.link.messages import Start
from gateway.link.spec import Model, Server, Spec
from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SERVICE, SOCKET, UNITS
from tests.e2e.agent import Agent, Link
from tests.e2e.gateway import UNIT_FOLDER, Gateway
from tests.e2e.manager import UserManager, until
from tests.effort import daily

QUICK = 100
"""Activations; systemd's own limit would be 20 in 2 s."""
AT_ONCE = "[Service]\nType=exec\nExecStart=\nExecStart=/bin/{}\n"
"""Instead of the agent, a program that ends at once and leaves every connection unread."""
DAEMON = "trap '' TERM HUP; echo $$ > tool.pid; while :; do sleep 1; done"
SERVER = Server(name="forks", command="sh", args=["-c", 'setsid sh -c "$0" & exec cat', DAEMON])
"""A tool that leaves a daemon behind: in a session of its own, and deaf to SIGTERM."""
NOWHERE = Model("nowhere", "model", "openai-completions", base_url="http://127.0.0.1:9/v1", api_key="key")


@pytest.fixture
def agent(gateway: Gateway) -> Agent:
    return Agent(gateway.manager)


def mend(gateway: Gateway, unit: str) -> None:
    """Takes away what `Gateway.drop_in` has written."""
    (gateway.manager.home / UNIT_FOLDER / f"{unit}.d/test.conf").unlink()
    gateway.manager.systemctl("daemon-reload")


def daemon(link: Link, manager: UserManager) -> Path:
    """Begins a run whose tool leaves a process behind, and returns that process's folder in /proc."""
    link.hello()
    link.say(
        Start("one", Spec("agent:main:main", "main", {"role": "user", "content": "x"}, [NOWHERE], servers=[SERVER]))
    )
    told = manager.home / "tool.pid"
    process = manager.path(f"/proc/{until(lambda: told.exists() and told.read_text().strip(), 'the daemon of a tool')}")
    assert AGENT_SERVICE in (process / "cgroup").read_text()
    return process


def test_the_first_connection_starts_it_and_looking_does_not(gateway: Gateway, agent: Agent) -> None:
    for words in (["status"], ["status", "--json"], ["doctor"]):
        told = gateway.command(*words, check=False).stdout
        assert "openclaw-agent.service" not in told or words[-1] == "--json", told
    assert "agent  not running, starts with the next run (openclaw-agent.socket" in gateway.command("status").stdout
    assert agent.states() == ("active", "inactive")
    pid = agent.greet()
    assert agent.states() == ("active", "active")
    told = re.search(
        rf"agent  {AGENT_SERVICE} active \(running\), pid {pid}, (\d+) MB", gateway.command("status").stdout
    )
    assert told is not None
    assert 10 < int(told[1]) < 200
    assert gateway.status()["units"]["agent_service"]["main_pid"] == pid


def test_it_outlives_every_restart_of_the_gateway(gateway: Gateway, agent: Agent) -> None:
    pid = agent.greet()
    gateway.command("restart")
    before = gateway.pid()
    gateway.manager.systemctl("restart", SERVICE)
    before = gateway.until_ready(other_than=before)
    gateway.kill()
    before = gateway.until_ready(other_than=before)
    gateway.manager.systemctl("stop", SERVICE)
    assert gateway.get().status == 200
    gateway.until_ready(other_than=before)
    gateway.command("install", "--port", "19000", "--now")
    assert (agent.states(), agent.pid()) == (("active", "active"), pid)


@pytest.mark.parametrize("how", ["kill -9", "stop", "leaves"])
def test_the_next_connection_starts_it_again(gateway: Gateway, agent: Agent, how: str) -> None:
    pid = agent.greet()
    match how:
        case "kill -9":
            agent.kill()
        case "stop":
            gateway.manager.systemctl("stop", AGENT_SERVICE)
        case "leaves":
            agent.kill("TERM")
    agent.until_gone(pid)
    assert agent.state(AGENT_SOCKET) == "active"
    assert agent.greet() not in (0, pid)
    said = gateway.command("doctor", check=False).stdout.splitlines()
    assert not [line for line in said if "agent" in line and line.startswith(("problem", "warning"))]


def test_stop_stops_everything_and_start_brings_the_sockets_back(gateway: Gateway, agent: Agent) -> None:
    agent.greet()
    gateway.command("stop")
    assert [gateway.state(unit) for unit in UNITS] == ["inactive"] * 4
    assert not agent.path.exists()
    gateway.command("start")
    assert [gateway.state(unit) for unit in (SOCKET, SERVICE)] == ["active", "active"]
    assert agent.states() == ("active", "inactive")
    assert agent.greet()


def test_whatever_starts_the_gateway_brings_the_agents_socket(gateway: Gateway, agent: Agent) -> None:
    gateway.command("stop")
    gateway.manager.systemctl("start", SOCKET)
    assert agent.states() == ("inactive", "inactive")
    assert gateway.get().status == 200
    assert agent.states() == ("active", "inactive")
    for words in (["install"], ["install", "--now"]):
        gateway.manager.systemctl("stop", AGENT_SOCKET)
        gateway.command(*words)
        assert agent.states() == ("active", "inactive")


def test_the_socket_is_the_users_alone(agent: Agent) -> None:
    assert agent.path.stat().st_mode & 0o777 == 0o600
    assert agent.path.parent.stat().st_mode & 0o777 == 0o700
    assert agent.path.stat().st_uid == agent.path.parent.stat().st_uid == agent.manager.uid


def test_it_has_bounds_and_a_sandbox(agent: Agent) -> None:
    pid = agent.greet()
    process = agent.manager.path(f"/proc/{pid}")
    machine = int(re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())[1]) * 1024  # type: ignore[index]
    shown = agent.manager.show(AGENT_SERVICE, "MemoryMax", "MemorySwapMax", "TasksMax", "WatchdogUSec", "KillMode")
    assert int(shown["MemoryMax"]) <= machine * 0.61
    assert (shown["MemorySwapMax"], shown["TasksMax"]) == (str(1024**3), "4096")
    assert (shown["WatchdogUSec"], shown["KillMode"]) == ("1min", "control-group")
    assert process.joinpath("oom_score_adj").read_text() == "500\n"
    status = dict(line.split(":\t", 1) for line in process.joinpath("status").read_text().splitlines() if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"], status["Umask"]) == ("1", "2", "0077")
    assert re.search(r"Max core file size +0 +0 ", process.joinpath("limits").read_text())


def test_a_tool_can_build_a_sandbox_of_its_own(gateway: Gateway, agent: Agent) -> None:
    """As Chromium and bubblewrap do: a user namespace, and chroot in it."""
    gateway.drop_in(AGENT_SERVICE, "[Service]\nExecStartPre=unshare --user --map-root-user chroot /usr /bin/true\n")
    assert agent.greet()


@pytest.mark.parametrize(
    "how", daily(["kill -9", "leaves", "stop", "openclaw-gateway stop"], "kill -9", "openclaw-gateway stop")
)
def test_what_tools_have_started_ends_with_it(gateway: Gateway, agent: Agent, how: str) -> None:
    gateway.drop_in(AGENT_SERVICE, "[Service]\nTimeoutStopSec=1\n")
    with agent.connect() as link:
        process = daemon(link, gateway.manager)
        match how:
            case "kill -9":
                agent.kill()
            case "leaves":
                agent.kill("TERM")
            case "stop":
                gateway.manager.systemctl("stop", AGENT_SERVICE)
            case _:
                gateway.command("stop")
        until(lambda: not process.exists(), "the end of what a tool has started")


def test_a_socket_that_is_activated_often_stays(gateway: Gateway, agent: Agent) -> None:
    gateway.drop_in(AGENT_SERVICE, AT_ONCE.format("true"))
    with agent.connect() as link:

        def started() -> int:
            return sum("Started" in message for message in gateway.manager.messages(AGENT_SERVICE))

        until(lambda: started() > QUICK, "activations", seconds=30)
        assert agent.state(AGENT_SOCKET) == "active"
        mend(gateway, AGENT_SERVICE)
        assert link.hello().pid == agent.pid(), "the connection that has waited is served"


def test_one_that_cannot_start_is_tried_at_a_pace_and_whoever_waits_is_served_once_it_can(
    gateway: Gateway, agent: Agent
) -> None:
    gateway.drop_in(AGENT_SERVICE, AT_ONCE.format("false"))
    begun = time.monotonic()
    with agent.connect() as link:
        until(lambda: int(*gateway.manager.ask(AGENT_SERVICE, "NRestarts")) >= 4, "some attempts")
        assert time.monotonic() - begun > 4 * 0.2
        assert agent.state(AGENT_SOCKET) == "active"
        told = gateway.command("doctor", check=False).stdout
        assert f"{AGENT_SERVICE} cannot start" in told
        assert gateway.get().status == 200
        mend(gateway, AGENT_SERVICE)
        assert link.hello().pid == agent.pid()


def test_another_unit_takes_the_place_of_a_running_agent_when_its_runs_are_over(gateway: Gateway, agent: Agent) -> None:
    with agent.connect() as link:
        link.hello()
        link.begin("one", pace_ms=20)
        pid = agent.pid()
        path = gateway.manager.home / UNIT_FOLDER / AGENT_SERVICE
        path.write_text(path.read_text() + "# of an older version\n")
        assert "the running agent leaves when none of its runs is on" in gateway.command("install", "--now").stdout
        link.finish("one")
        agent.until_gone(pid)
    assert agent.states()[0] == "active"
    assert agent.greet() not in (0, pid)


def test_the_gateway_serves_without_the_agents_units(installed: Gateway) -> None:
    for name in (AGENT_SERVICE, AGENT_SOCKET):
        (installed.manager.home / UNIT_FOLDER / name).unlink()
    installed.manager.systemctl("daemon-reload")
    started = installed.command("start")
    assert f"{AGENT_SOCKET} is not-found, so no model can be asked" in started.stderr
    assert installed.get().status == 200
    told = installed.command("doctor", check=False).stdout
    assert "the agent is not installed" in told
    assert "openclaw-gateway install --now" in told
    installed.command("install", "--now")
    assert Agent(installed.manager).greet()
    for name in (AGENT_SERVICE, AGENT_SOCKET):
        installed.manager.systemctl("stop", name)
        (installed.manager.home / UNIT_FOLDER / name).unlink()
    installed.manager.systemctl("daemon-reload")
    assert json.loads(installed.command("stop", "--json").stdout) == {"stopped": [SERVICE, SOCKET]}


def test_a_socket_that_cannot_be_made_costs_only_the_agent_and_doctor_mends_it(installed: Gateway) -> None:
    blocker = f"{installed.manager.runtime}/openclaw-agent"
    installed.manager.run("touch", blocker)
    assert f"{AGENT_SOCKET} is failed, so no model can be asked" in installed.command("start").stderr
    assert installed.get().status == 200
    told = installed.command("doctor", check=False).stdout
    installed.manager.run("rm", blocker)
    remedy = re.search(rf"{AGENT_SOCKET} failed\n.*\n +→ (.+)", told)
    assert remedy is not None, told
    installed.manager.run("sh", "-c", remedy[1])
    assert Agent(installed.manager).greet()


def test_its_socket_is_there_when_the_user_manager_boots_again(gateway: Gateway, agent: Agent) -> None:
    gateway.manager.stop()
    gateway.manager.start()
    again = Agent(gateway.manager)
    assert again.state(AGENT_SOCKET) == "active"
    assert again.greet()


def test_a_frozen_agent_is_replaced(gateway: Gateway, agent: Agent) -> None:
    gateway.drop_in(AGENT_SERVICE, "[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n")
    pid = agent.greet()
    agent.kill("STOP")
    agent.until_gone(pid)
    assert agent.greet() not in (0, pid)
    assert any("Watchdog timeout" in message for message in gateway.manager.messages(AGENT_SERVICE))
