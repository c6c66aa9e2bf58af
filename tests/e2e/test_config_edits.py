"""What the user does to the config file, with the programs that users edit with."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.exits import ExitCode
from tests.e2e.conftest import tell
from tests.e2e.gateway import CONFIG, SERVICE, TOKEN, Gateway, installed_on
from tests.e2e.load import load
from tests.e2e.manager import SCRIPTS, UID, VENV, UserManager, until
from tests.effort import daily

NEW_TOKEN = "a-token-from-an-editor"
SWAP = f"s/{TOKEN}/{NEW_TOKEN}/"
DETECTED = "config change detected"
BAD = '{"gateway": {"port": "eighteen", "auth": {"token": ""}, "reload": {"mode": "often"}}}'
BAD_PATHS = {"gateway.port", "gateway.auth.token", "gateway.reload.mode"}
DEBOUNCE = 0.3


def text(token: str = TOKEN, **gateway: Any) -> str:
    return json.dumps({"gateway": {"auth": {"token": token}, **gateway}}, indent=2)


@pytest.fixture(scope="module")
def shared(installation: Path, units: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with installed_on(UserManager(tmp_path_factory.mktemp("edits"), installation, uid=UID + 2), units) as gateway:
        yield gateway.begin()


@pytest.fixture
def edited(shared: Gateway, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A gateway for many edits: its file is as at first, and its journal begins here."""
    shared.manager.run("rm", "-f", "new", "old")
    shared.manager.forget_journal(SERVICE)
    yield shared
    tell(shared.manager, request)
    shared.configure()
    shared.reload()


def applied(gateway: Gateway) -> list[str]:
    return [message for message in gateway.manager.messages(SERVICE) if message.startswith("config hot reload applied")]


def until_applied(gateway: Gateway, times: int = 1) -> None:
    until(lambda: len(applied(gateway)) >= times, f"{times} hot reload(s)")
    assert len(applied(gateway)) == times


EDITORS = {
    "vim, renaming": f"vim -es -u NONE -N +'set backup backupcopy=no' +'%{SWAP}' +wq {CONFIG}",
    "vim, writing in place": f"vim -es -u NONE -N +'set backupcopy=yes' +'%{SWAP}' +wq {CONFIG}",
    "vim, without a backup": f"vim -es -u NONE -N +'set nowritebackup' +'%{SWAP}' +wq {CONFIG}",
    # Replace all, write out, exit; nano forgets what is typed before it has set up its terminal.
    "nano": rf"(sleep 1; printf '\034{TOKEN}\r{NEW_TOKEN}\ra\017\r\030'; sleep 1)"
    f" | TERM=xterm script -qec 'nano {CONFIG}' /dev/null",
    "sed -i": f"sed -i {SWAP} {CONFIG}",
    "truncate and write": f"sed {SWAP} {CONFIG} > new && cat new > {CONFIG}",
    "cp over": f"sed {SWAP} {CONFIG} > new && cp new {CONFIG}",
    "mv over": f"sed {SWAP} {CONFIG} > new && mv new {CONFIG}",
    "delete, then write": f"sed {SWAP} {CONFIG} > new && rm {CONFIG} && sleep 0.05 && cp new {CONFIG}",
    "two writes": f"sed {SWAP} {CONFIG} > new && head -c 20 new > {CONFIG} && sleep 0.1 && tail -c +21 new >> {CONFIG}",
    "move aside, then write": f"mv {CONFIG} old && sed {SWAP} old > {CONFIG}",
    "config set": f"openclaw-gateway config set gateway.auth.token {NEW_TOKEN}",
}


@pytest.mark.parametrize("editor", EDITORS)
def test_editor(edited: Gateway, editor: str) -> None:
    boot = edited.report()["boot_id"]
    edited.manager.run("sh", "-c", EDITORS[editor])
    until_applied(edited)
    assert edited.lets_in(NEW_TOKEN)
    assert not edited.lets_in(TOKEN)
    assert edited.report()["boot_id"] == boot


LINKED = {
    "target, by sed": f"sed -i {SWAP} dotfiles/openclaw.json",
    "target, in place": f"sed {SWAP} dotfiles/openclaw.json > new && cat new > dotfiles/openclaw.json",
    "link switched": f"sed {SWAP} dotfiles/openclaw.json > dotfiles/b && ln -sfn ../dotfiles/b {CONFIG}",
    "folder switched": f"cp -r dotfiles-1 dotfiles-2 && sed -i {SWAP} dotfiles-2/openclaw.json && "
    "ln -sfn dotfiles-2 dotfiles-new && mv -T dotfiles-new dotfiles",
}


@pytest.mark.parametrize("edit", LINKED)
def test_config_that_is_a_link(gateway: Gateway, edit: str) -> None:
    move = f"mkdir dotfiles-1 && ln -s dotfiles-1 dotfiles && mv {CONFIG} dotfiles/openclaw.json"
    gateway.manager.run("sh", "-c", f"{move} && ln -s ../dotfiles/openclaw.json {CONFIG}")
    gateway.manager.systemctl("restart", SERVICE)
    gateway.manager.run("sh", "-c", LINKED[edit])
    until_applied(gateway)
    assert gateway.lets_in(NEW_TOKEN)


def test_included_file(edited: Gateway) -> None:
    edited.manager.write(".openclaw/auth.json5", f"{{ token: '{TOKEN}' }} // included")
    edited.configure('{"gateway": {"auth": {"$include": "./auth.json5"}}}')
    edited.reload()
    edited.manager.run("sed", "-i", SWAP, ".openclaw/auth.json5")
    until_applied(edited)
    assert edited.lets_in(NEW_TOKEN)


def touch(gateway: Gateway) -> None:
    gateway.manager.run("touch", CONFIG)


def read(gateway: Gateway) -> None:
    gateway.manager.run("cat", CONFIG)


def save_the_same(gateway: Gateway) -> None:
    gateway.manager.run("sh", "-c", f"cp {CONFIG} new && mv new {CONFIG}")


def reformat(gateway: Gateway) -> None:
    gateway.configure(f"// mine\n{{ gateway: {{ auth: {{ token: '{TOKEN}', }}, }}, }}")


def touch_meta(gateway: Gateway) -> None:
    gateway.configure(f'{{"meta": {{"lastTouchedAt": "now"}}, "gateway": {{"auth": {{"token": "{TOKEN}"}}}}}}')


def add_unused_section(gateway: Gateway) -> None:
    gateway.configure(f'{{"channels": {{"telegram": {{}}}}, "gateway": {{"auth": {{"token": "{TOKEN}"}}}}}}')


NOTHING = (touch, read, save_the_same, reformat, touch_meta, add_unused_section)


@pytest.mark.parametrize("edit", NOTHING, ids=lambda edit: edit.__name__)
def test_edit_that_means_nothing_does_nothing(edited: Gateway, edit: Callable[[Gateway], None]) -> None:
    before = edited.report()
    edit(edited)
    time.sleep(3 * DEBOUNCE)
    assert applied(edited) == []
    after = edited.report()
    assert (after["boot_id"], after["config"]["state"]) == (before["boot_id"], "good")
    assert edited.restarts() == 0


def test_ten_saves_in_a_second_are_one_reload(edited: Gateway) -> None:
    for number in range(10):
        edited.configure(text(f"token-{number}"))
        time.sleep(0.08)
    until_applied(edited)
    assert sum(message.startswith(DETECTED) for message in edited.manager.messages(SERVICE)) == 1
    assert edited.lets_in("token-9")


def test_change_that_needs_a_restart_gets_one_that_nobody_notices(gateway: Gateway) -> None:
    before = gateway.report()
    with load(gateway.manager, "fresh") as clients:
        gateway.configure(text(controlUi={"basePath": "/openclaw"}))
        gateway.until_boot(other_than=before["boot_id"])
    after = gateway.report()
    assert (after["pid"], after["restarts"]["hot"]) == (before["pid"], 1)
    assert clients.lost == {}
    assert gateway.restarts() == 0


def test_change_of_the_port_is_for_the_socket_unit(gateway: Gateway) -> None:
    before = gateway.report()
    gateway.configure(text(port=18800))
    until(lambda: any("openclaw-gateway install" in line for line in gateway.manager.messages(SERVICE)), "the way out")
    after = gateway.report()
    assert (after["boot_id"], after["listeners"]) == (before["boot_id"], before["listeners"])


def test_bad_config_at_run_time(edited: Gateway) -> None:
    before = edited.report()
    with load(edited.manager, "fresh") as clients:
        edited.configure(BAD)
        until(lambda: edited.report()["degraded"], "the error to be seen")
        assert edited.get("/readyz").json()["degraded"] == ["config"]
        assert edited.lets_in(TOKEN)
    report = edited.report()
    assert {issue["path"] for issue in report["config"]["issues"]} == BAD_PATHS
    assert all(issue["line"] for issue in report["config"]["issues"])
    assert "config" in edited.manager.show(SERVICE, "StatusText")["StatusText"].lower()
    assert edited.command("status", check=False).returncode == ExitCode.UNHEALTHY
    assert (report["boot_id"], edited.restarts(), clients.lost) == (before["boot_id"], 0, {})
    assert (edited.manager.home / CONFIG).read_text() == BAD
    edited.configure()
    until(lambda: not edited.report()["degraded"], "the good file to be taken")


def test_bad_config_at_start_runs_on_the_last_good_one(gateway: Gateway) -> None:
    until(
        lambda: gateway.manager.home.joinpath(".openclaw/gateway/last-good.json").exists(),
        "the last good config to be kept",
    )
    gateway.configure(BAD)
    gateway.manager.systemctl("restart", SERVICE)
    report = gateway.report()
    assert (report["config"]["source"], report["degraded"]) == ("last-good", ["config"])
    assert gateway.lets_in(TOKEN)
    assert gateway.restarts() == 0
    assert (gateway.manager.home / CONFIG).read_text() == BAD
    gateway.configure(text(NEW_TOKEN))
    until(lambda: gateway.lets_in(NEW_TOKEN), "the good file to be taken")


@pytest.mark.parametrize("content", daily([BAD, "{", "\0\1\2", ""], BAD, ""))
def test_bad_config_at_the_very_first_start(installed: Gateway, content: str) -> None:
    installed.manager.write(CONFIG, content)
    installed.start()
    assert installed.get("/healthz").status == 200
    assert installed.get("/readyz").json()["degraded"] == ["config"]
    assert not installed.lets_in(TOKEN)
    assert installed.report()["config"]["source"] == "defaults"
    assert installed.restarts() == 0
    installed.configure()
    until(lambda: installed.lets_in(TOKEN), "the good file to be taken")


def test_systemctl_reload_waits_and_tells(gateway: Gateway) -> None:
    gateway.configure(text(NEW_TOKEN))
    gateway.manager.systemctl("reload", SERVICE)
    assert gateway.lets_in(NEW_TOKEN)
    gateway.configure(BAD)
    assert gateway.manager.systemctl("reload", SERVICE, check=False).returncode != 0
    assert any("gateway.port" in message for message in gateway.manager.messages(SERVICE))
    assert gateway.state() == "active"
    assert gateway.command("reload", check=False).returncode == ExitCode.CONFIG_INVALID


def test_sighup_reloads(gateway: Gateway) -> None:
    gateway.configure(text(TOKEN, reload={"mode": "off"}))
    gateway.command("reload")
    gateway.configure(text(NEW_TOKEN, reload={"mode": "off"}))
    time.sleep(3 * DEBOUNCE)
    assert gateway.lets_in(TOKEN), "mode off leaves an edit alone"
    gateway.kill("HUP")
    until(lambda: gateway.lets_in(NEW_TOKEN), "the reload that was asked for")


def test_sigusr1_restarts(gateway: Gateway) -> None:
    before = gateway.report()
    gateway.kill("USR1")
    gateway.until_boot(other_than=before["boot_id"])
    assert gateway.report()["pid"] == before["pid"]


@pytest.fixture
def crowded(venv: Path, units: Path, tmp_path: Path) -> Iterator[Gateway]:
    """Has a user of its own, because inotify instances are counted for each user of the machine."""
    with installed_on(UserManager(tmp_path, venv, uid=UID + 1), units) as gateway:
        greedy = gateway.manager.popen(f"{VENV}/bin/python", f"{SCRIPTS}/inject/greedy.py")
        assert greedy.stdout is not None
        assert greedy.stdout.readline() == "none left\n"
        yield gateway


def test_without_inotify_it_polls(crowded: Gateway) -> None:
    crowded.start()
    assert crowded.get().status == 200
    until(lambda: crowded.report()["watching"] == "polling", "polling")
    crowded.manager.run("sed", "-i", SWAP, CONFIG)
    until_applied(crowded)
    assert sum("inotify" in message for message in crowded.manager.messages(SERVICE)) == 1
