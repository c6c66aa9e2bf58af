"""A disk that is full, a folder that cannot be written to or read, a clock that jumps: it serves all the same."""

import pytest

from tests.e2e.gateway import CONFIG, SERVICE, TOKEN, Gateway
from tests.e2e.load import load
from tests.e2e.manager import SCRIPTS, until
from tests.effort import pairs

STATE = "/home/gateway/.openclaw"
OUTSIDE = ".config/openclaw.json"


def make_read_only(gateway: Gateway) -> None:
    gateway.manager.root_run("mount", "--bind", STATE, STATE)
    gateway.manager.root_run("mount", "-o", "remount,bind,ro", STATE)


def make_full(gateway: Gateway) -> None:
    uid = gateway.manager.uid
    gateway.manager.root_run("mount", "-t", "tmpfs", "-o", f"size=64k,uid={uid},gid={uid}", "tmpfs", STATE)
    fill = f"printf '%s' '{CONTENT}' > {CONFIG}; cat /dev/zero > .openclaw/filler"
    assert "No space left" in gateway.manager.run("sh", "-c", fill, check=False).stderr


CONTENT = f'{{"gateway": {{"auth": {{"token": "{TOKEN}"}}}}}}'
BREAKAGES = {"read-only": make_read_only, "full": make_full}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_broken_state_folder_at_start(installed: Gateway, breakage: str) -> None:
    BREAKAGES[breakage](installed)
    installed.start()
    assert installed.get().status == 200
    assert installed.get("/readyz").status == 200
    installed.command("call", "health", "--token", TOKEN)
    assert installed.restarts() == 0


@pytest.mark.parametrize(("breakage", "how"), pairs(BREAKAGES, ["hot", "cold"]))
def test_restart_on_a_broken_state_folder(gateway: Gateway, breakage: str, how: str) -> None:
    gateway.command("stop")  # a folder with a file in it that is open for writing cannot become read-only
    BREAKAGES[breakage](gateway)
    gateway.start()
    gateway.get()
    with load(gateway.manager, "fresh") as clients:
        gateway.command("restart", *(["--cold"] if how == "cold" else []))
    assert clients.lost == {}
    assert gateway.report()["restarts"][how] == 1
    gateway.command("call", "health", "--token", TOKEN)


def test_read_only_state_folder_is_told(installed: Gateway) -> None:
    make_read_only(installed)
    installed.start()
    installed.get()
    assert "state" in installed.report()["degraded"]
    assert any("not writable" in message for message in installed.manager.messages(SERVICE))


def test_config_is_reloaded_while_the_state_folder_is_full(installed: Gateway) -> None:
    make_full(installed)
    installed.manager.write(OUTSIDE, CONTENT)
    path = f"{installed.manager.inner_home}/{OUTSIDE}"
    installed.drop_in(SERVICE, f"[Service]\nEnvironment=OPENCLAW_CONFIG_PATH={path}\n")
    installed.start()
    installed.get()
    installed.manager.write(OUTSIDE, CONTENT.replace(TOKEN, "another-token"))
    called = ("call", "health", "--token", "another-token")
    until(lambda: installed.command(*called, check=False).returncode == 0, "the new token in force")
    assert installed.restarts() == 0


def test_state_folder_of_somebody_else(installed: Gateway) -> None:
    installed.manager.root_run("chown", "-R", "root:root", STATE)
    installed.manager.root_run("chmod", "700", STATE)
    installed.start()
    assert installed.get().status == 200
    assert installed.restarts() == 0
    assert installed.get("/readyz").json()["degraded"]


@pytest.mark.parametrize("jump", ["RTMIN+4", "RTMIN+5"], ids=["a day forth", "a day back"])
def test_clock_jump(installed: Gateway, jump: str) -> None:
    """The wall clock of the process moves by a day; monotonic time, as in a real jump, does not."""
    installed.drop_in(SERVICE, f"[Service]\nEnvironment=PYTHONPATH={SCRIPTS}/inject\nWatchdogSec=2\n")
    gateway = installed.begin()
    pid = gateway.pid()
    with load(gateway.manager, "fresh") as fresh, load(gateway.manager, "ws", token=TOKEN) as ws:
        gateway.kill(jump)
        gateway.configure(CONTENT.replace("}}", ', "mode": "token"}}'))
        gateway.command("reload")
        gateway.manager.run("sleep", "3")
        assert (gateway.pid(), gateway.restarts()) == (pid, 0), "no watchdog, no restart"
        assert ws.process.poll() is None
        # Cold: until it is ready again no watchdog of two seconds judges a machine that may be busy.
        gateway.manager.systemctl("restart", SERVICE)
    assert fresh.lost == {}, fresh.failures
    assert ws.closes == {} and set(ws.statuses) == {"ok"}
