import sys
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.units import AGENT_SERVICE, GONE, LISTEN_DROP_IN, MARK, PROGRAMS, SANDBOX_DROP_IN, SERVICE, SOCKET, UNITS
from gateway.units.addresses import ListenAddress, resolve
from gateway.units.installation import (
    installed_addresses,
    installed_environment,
    listening,
    plan,
    program,
    remove,
    service_environment,
    shipped_addresses,
    written_files,
)
from gateway.units.places import unit_folder
from gateway.units.syntax import environment, merged


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    for script in ("openclaw-gateway", "openclaw-agent"):
        (tmp_path / "bin" / script).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python3"))
    return {"HOME": str(tmp_path)}


def kinds(env: dict[str, str], addresses: tuple[ListenAddress, ...]) -> list[str]:
    return [change.kind for change in plan(service_environment(env), addresses).apply()]


def test_a_second_time_changes_nothing(env: dict[str, str]) -> None:
    assert kinds(env, shipped_addresses()) == ["write"] * 6
    assert kinds(env, shipped_addresses()) == []


@pytest.mark.parametrize(("name", "words"), [(SERVICE, "openclaw-gateway run"), (AGENT_SERVICE, "openclaw-agent")])
def test_the_command_is_the_script_beside_the_interpreter(
    env: dict[str, str], tmp_path: Path, name: str, words: str
) -> None:
    plan(env, shipped_addresses()).apply()
    text = (unit_folder(env) / name).read_text()
    assert merged([text], "Service", "ExecStart") == [f"{tmp_path}/bin/{words}"]


@pytest.mark.parametrize("name", [SERVICE, AGENT_SERVICE])
def test_the_command_is_the_script_beside_the_one_that_runs(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin/openclaw-gateway"), "install"])
    assert program(name) == (str(tmp_path / "bin" / PROGRAMS[name]),)


def test_without_a_script_the_module_runs_and_a_checkout_is_on_the_path(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "other/python3"))
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert program(SERVICE) == (str(tmp_path / "other/python3"), "-P", "-m", "gateway")
    assert program(AGENT_SERVICE) == (str(tmp_path / "other/python3"), "-P", "-m", "gateway.agent")
    plan(env, shipped_addresses()).apply()
    for name in (SERVICE, AGENT_SERVICE):
        assert "PYTHONPATH" in environment((unit_folder(env) / name).read_text())


def test_a_port_of_ones_own_comes_and_goes_with_its_drop_in(env: dict[str, str]) -> None:
    folder = unit_folder(env)
    chosen = resolve("lan", 19000)
    assert kinds(env, chosen) == ["write"] * 7
    assert installed_addresses(folder) == chosen
    assert kinds(env, shipped_addresses()) == ["remove"]
    assert not (folder / LISTEN_DROP_IN).parent.exists()
    assert installed_addresses(folder) == shipped_addresses()


def test_drop_ins_of_the_user_stay(env: dict[str, str]) -> None:
    folder = unit_folder(env)
    theirs = folder / f"{SOCKET}.d/override.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Socket]\nListenStream=\nListenStream=19001\n")
    own_listen = folder / LISTEN_DROP_IN
    own_listen.write_text("[Socket]\n# of the user, by chance under our name\n")
    plan(env, shipped_addresses()).apply()
    remove(written_files(folder))
    assert theirs.exists()
    assert own_listen.exists()
    assert not (folder / SOCKET).exists()


def test_variables_come_from_here_and_then_stay(env: dict[str, str]) -> None:
    folder = unit_folder(env)
    kinds({**env, "OPENCLAW_STATE_DIR": "/a b", "OPENCLAW_GATEWAY_TOKEN": "s"}, shipped_addresses())
    assert installed_environment(folder)["OPENCLAW_STATE_DIR"] == "/a b"
    assert "OPENCLAW_GATEWAY_TOKEN" not in installed_environment(folder)
    assert "OPENCLAW_STATE_DIR" not in (folder / AGENT_SERVICE).read_text()
    assert kinds(env, shipped_addresses()) == []
    kinds({**env, "OPENCLAW_STATE_DIR": ""}, shipped_addresses())
    assert "OPENCLAW_STATE_DIR" not in installed_environment(folder)


def test_a_shell_that_says_nothing_means_the_services_files(env: dict[str, str]) -> None:
    kinds({**env, "OPENCLAW_STATE_DIR": "/srv/claw"}, shipped_addresses())
    assert service_environment(env)["OPENCLAW_STATE_DIR"] == "/srv/claw"
    assert "PYTHONUNBUFFERED" not in service_environment(env)
    assert service_environment({**env, "OPENCLAW_STATE_DIR": "/mine"})["OPENCLAW_STATE_DIR"] == "/mine"


def test_an_outdated_file_is_a_change(env: dict[str, str]) -> None:
    plan(env, shipped_addresses()).apply()
    path = unit_folder(env) / SERVICE
    path.write_text(f"{MARK} of an older version\n")
    assert [(change.path, change.kind) for change in plan(env, shipped_addresses()).changes()] == [(path, "update")]


@pytest.mark.parametrize("name", [*UNITS, LISTEN_DROP_IN, SANDBOX_DROP_IN])
def test_a_directory_in_the_place_of_a_file_is_named_before_anything_is_written(env: dict[str, str], name: str) -> None:
    folder = unit_folder(env)
    (folder / name).mkdir(parents=True)
    wanted = plan(env, resolve("lan", 19000))
    assert folder / name in [change.path for change in wanted.changes()]
    with pytest.raises(GatewayError) as caught:
        wanted.apply()
    assert f"{folder / name} is a directory" in str(caught.value)
    assert str(caught.value).endswith(f"mv {folder / name} {folder / name}.aside")
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_directory_where_no_file_is_wanted_is_none_of_our_business(env: dict[str, str]) -> None:
    (unit_folder(env) / LISTEN_DROP_IN).mkdir(parents=True)
    assert kinds(env, shipped_addresses()) == ["write"] * 6


def test_a_socket_unit_of_somebody_else_says_nothing(env: dict[str, str]) -> None:
    folder = unit_folder(env)
    folder.mkdir(parents=True)
    (folder / SOCKET).write_text("[Socket]\nListenStream=1\n")
    assert installed_addresses(folder) is None
    assert listening([(folder / SOCKET).read_text()])[0].port == 1


def test_each_change_knows_its_unit(env: dict[str, str]) -> None:
    changes = plan(env, resolve("lan", 19000)).changes()
    assert sorted(change.unit for change in changes) == sorted([*UNITS, GONE, SERVICE, SOCKET])


def test_all_that_was_written_is_found_again_the_gateway_first(env: dict[str, str]) -> None:
    plan(env, resolve("lan", 19000)).apply()
    folder = unit_folder(env)
    assert written_files(folder) == [folder / name for name in (LISTEN_DROP_IN, SANDBOX_DROP_IN, *UNITS, GONE)]
