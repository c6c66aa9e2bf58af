"""Gathering against a made-up home; what systemd and the gateway say has its own tests."""

import os
import socket
from pathlib import Path

import pytest

from gateway.client.control import Control
from gateway.doctor.evidence import gather
from gateway.errors import TimedOut
from gateway.sessions.schema import MIGRATIONS
from gateway.sessions.sqlite import writable
from gateway.units import AGENT_SOCKET, SERVICE, SOCKET, installation
from gateway.units.addresses import ListenAddress, resolve
from gateway.units.places import unit_folder


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """No systemctl on the path, no control socket."""
    return {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": str(tmp_path)}


def test_an_empty_home(env: dict[str, str]) -> None:
    found = gather(env)
    assert (found.report, found.frozen, found.units, found.installed, found.outdated) == (None, False, None, False, ())
    assert found.listen == resolve("loopback", 18789)
    assert found.storage is None
    assert found.database is None
    assert found.inotify.max_instances is not None


def test_what_install_wrote_and_what_changed_since(env: dict[str, str]) -> None:
    installation.plan({**env, "OPENCLAW_STATE_DIR": "/srv/claw"}, resolve("loopback", 19000)).apply()
    found = gather(env)
    assert found.installed
    assert found.outdated == ()
    assert found.listen == resolve("loopback", 19000)
    assert found.paths.state == Path("/srv/claw")
    path = unit_folder(env) / SERVICE
    path.write_text(path.read_text() + "# edited\n")
    assert [change.path for change in gather(env).outdated] == [path]


def test_an_older_versions_two_units_are_an_installation_that_lacks_something(env: dict[str, str]) -> None:
    installation.plan(env, resolve("loopback", 18789)).apply()
    path = unit_folder(env) / AGENT_SOCKET
    path.unlink()
    found = gather(env)
    assert found.installed
    assert [(change.path, change.kind) for change in found.outdated] == [(path, "write")]


def test_a_shell_that_means_other_files_is_no_sign_of_age(env: dict[str, str]) -> None:
    installation.plan(env, resolve("loopback", 18789)).apply()
    found = gather({**env, "OPENCLAW_STATE_DIR": "/elsewhere"})
    assert found.outdated == ()
    assert found.paths.state == Path("/elsewhere")
    assert found.service_paths is not None
    assert found.service_paths.state == Path(env["HOME"]) / ".openclaw"


def test_a_drop_in_of_the_user_says_where_it_listens(env: dict[str, str]) -> None:
    installation.plan(env, resolve("loopback", 18789)).apply()
    theirs = unit_folder(env) / f"{SOCKET}.d/override.conf"
    theirs.parent.mkdir()
    theirs.write_text("[Socket]\nListenStream=\nListenStream=203.0.113.9:5\n")
    found = gather(env)
    assert found.listen == found.absent == resolve("203.0.113.9", 5)
    [issue] = found.config.issues
    assert issue.message == "Refusing to bind to 203.0.113.9:5 without auth"
    assert gather(env | {"OPENCLAW_GATEWAY_TOKEN": "t"}).config.issues == ()


def test_who_has_the_port(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        installation.plan(env, resolve("loopback", address[1])).apply()
        found = gather(env)
    assert [holder.pid for holder in found.holders] == [os.getpid()]
    assert found.silent == (ListenAddress("::1", address[1]),)


def test_a_frozen_gateway(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def status(self: Control) -> None:
        raise TimedOut("no answer")

    monkeypatch.setattr(Control, "status", status)
    found = gather(env)
    assert found.frozen
    assert found.report is None


def test_the_database_that_the_gateway_has(env: dict[str, str]) -> None:
    path = Path(env["HOME"]) / ".openclaw" / "gateway" / "conversations.sqlite"
    writable(path, MIGRATIONS).close()
    found = gather(env).database
    assert found is not None
    assert (found.path, found.form, found.problem, found.damages) == (str(path), len(MIGRATIONS), None, ())
    assert os.listdir(path.parent) == [path.name]
