from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gateway.units import AGENT_SERVICE, AGENT_SOCKET, SERVICE, SOCKET
from gateway.units.addresses import ListenAddress
from gateway.units.state import START_S, UnitState, memory_bound, read, read_after_start
from gateway.units.systemctl import JobResult, Systemctl

LISTENING = """\
LoadState=loaded
ActiveState=active
SubState=listening
Result=success
UnitFileState=enabled-runtime
DropInPaths=/a/10.conf /a/20.conf
NeedDaemonReload=yes
Listen=127.0.0.1:18789 (Stream)
Listen=/run/x.sock (Stream)
"""
CRASHED = "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=watchdog\nNRestarts=3\nMainPID=0\n"


def answer(words: Sequence[str], env: Mapping[str, str], limit: float) -> JobResult:
    return JobResult(0, LISTENING if SOCKET in words else CRASHED, "")


def test_each_unit() -> None:
    states = read(Systemctl({}, answer))
    assert states.socket.is_active
    assert states.socket.is_enabled
    assert states.socket.listen == (ListenAddress("127.0.0.1", 18789),)
    assert states.socket.needs_daemon_reload
    assert not states.service.is_active
    assert not states.service.is_enabled
    assert (states.service.result, states.service.restarts, states.service.main_pid) == ("watchdog", 3, 0)
    assert [unit.name for unit in states.all] == [SOCKET, SERVICE, AGENT_SOCKET, AGENT_SERVICE]
    assert [states.agent_socket.name, states.agent_service.name] == [AGENT_SOCKET, AGENT_SERVICE]


@pytest.mark.parametrize(
    ("told", "memory"),
    [
        ("MemoryCurrent=5000\n", 5000),
        ("MemoryCurrent=[not set]\n", 2048),
        ("MemoryCurrent=18446744073709551615\n", 2048),
        ("", 2048),
    ],
)
def test_memory_is_the_cgroups_or_else_the_main_process(tmp_path: Path, told: str, memory: int) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/status").write_text("Name:\tpython\nVmRSS:\t       2 kB\n")
    systemctl = Systemctl({}, lambda *_: JobResult(0, f"MainPID=7\n{told}", ""))
    assert read(systemctl, tmp_path).agent_service.memory == memory


@pytest.mark.parametrize("pid", [0, 8, 9])
def test_where_nobody_counts_no_memory_is_told(tmp_path: Path, pid: int) -> None:
    """No process, one that has gone, a kernel's that has none."""
    (tmp_path / "9").mkdir()
    (tmp_path / "9/status").write_text("Name:\tkthreadd\n")
    systemctl = Systemctl({}, lambda *_: JobResult(0, f"MainPID={pid}\n", ""))
    assert read(systemctl, tmp_path).service.memory is None


def starting(times: int) -> Systemctl:
    """A service that is looked at so often while it is started, and then in the pause before it is started again."""
    looks = iter(range(times))

    def answer(words: Sequence[str], *_: object) -> JobResult:
        if SERVICE not in words:
            return JobResult(0, "SubState=listening\n", "")
        return JobResult(0, "SubState=start\n" if next(looks, None) is not None else "SubState=auto-restart\n", "")

    return Systemctl({}, answer)


def test_it_waits_for_the_end_of_an_attempt_to_start() -> None:
    now = [0.0]
    states = read_after_start(starting(20), lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert states.service.sub == "auto-restart"
    assert 0 < now[0] < 1


def test_it_does_not_wait_for_longer_than_that() -> None:
    now = [0.0]
    states = read_after_start(starting(10**6), lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert states.service.is_starting
    assert START_S <= now[0] < START_S + 0.1


def test_memory_is_bound_where_the_controller_is_delegated(tmp_path: Path) -> None:
    group = "/user.slice/user@7.service/app.slice/openclaw-agent.service"
    folder = tmp_path / group[1:]
    assert memory_bound("", tmp_path) is None and memory_bound(group, tmp_path) is None
    folder.mkdir(parents=True)
    for controllers, bound in (("cpu memory pids\n", True), ("cpu pids\n", False), ("\n", False)):
        (folder / "cgroup.controllers").write_text(controllers)
        assert memory_bound(group, tmp_path) is bound


@pytest.mark.parametrize(
    ("active", "sub", "result", "pausing"),
    [
        ("activating", "auto-restart", "exit-code", True),
        ("deactivating", "stop-post", "exit-code", True),
        ("deactivating", "stop-post", "success", False),
        ("failed", "failed", "exit-code", False),
    ],
)
def test_a_service_that_waits_for_its_next_attempt_is_wanted(active: str, sub: str, result: str, pausing: bool) -> None:
    unit = UnitState("x.service", "loaded", active, sub, result)
    assert (unit.is_pausing, unit.is_active) == (pausing, pausing)
