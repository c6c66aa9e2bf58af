import os
from pathlib import Path

import pytest

from gateway.files.paths import SUN_PATH_MAX, NoHome, Paths, expand


@pytest.mark.parametrize(
    ("env", "config", "state"),
    [
        ({"HOME": "/h"}, "/h/.openclaw/openclaw.json", "/h/.openclaw"),
        ({"HOME": "/h", "OPENCLAW_STATE_DIR": "/s"}, "/s/openclaw.json", "/s"),
        ({"HOME": "/h", "OPENCLAW_CONFIG_PATH": "/c.json"}, "/c.json", "/h/.openclaw"),
        ({"HOME": "/h", "OPENCLAW_HOME": "/o"}, "/o/.openclaw/openclaw.json", "/o/.openclaw"),
        (
            {"HOME": "/h", "OPENCLAW_STATE_DIR": "", "OPENCLAW_CONFIG_PATH": ""},
            "/h/.openclaw/openclaw.json",
            "/h/.openclaw",
        ),
    ],
)
def test_config_and_state_lie_where_openclaw_looks(env: dict[str, str], config: str, state: str) -> None:
    paths = Paths.from_env(env)
    assert (paths.config, paths.state) == (Path(config), Path(state))


def test_relative_paths_are_those_of_the_working_folder() -> None:
    assert Paths.from_env({"HOME": "/h", "OPENCLAW_STATE_DIR": "here"}).state == Path.cwd() / "here"


def test_the_control_socket_is_one_for_each_state_folder(tmp_path: Path) -> None:
    one = Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7", "OPENCLAW_STATE_DIR": str(tmp_path / "a")})
    two = Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7", "OPENCLAW_STATE_DIR": str(tmp_path / "b")})
    assert one.control.parent == two.control.parent == Path("/run/user/7/openclaw-gateway")
    assert one.control != two.control
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    same = Paths.from_env(
        {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7", "OPENCLAW_STATE_DIR": str(tmp_path / "link")}
    )
    assert same.control == one.control


def test_a_runtime_folder_at_the_bound_of_an_address_is_used_and_a_longer_one_is_not() -> None:
    name = len("/openclaw-gateway/control-xxxxxxxxxxxx.sock")
    fits = "/" + "r" * (SUN_PATH_MAX - name - 1)
    assert len(str(Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": fits}).control)) == SUN_PATH_MAX
    longer = Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": fits + "r"})
    assert longer.runtime == Path(f"/tmp/openclaw-gateway-{os.getuid()}")


def test_without_a_runtime_folder_there_is_still_a_private_one() -> None:
    runtime = Paths.from_env({"HOME": "/h"}).runtime
    assert str(os.getuid()) in str(runtime)


def test_the_agents_socket_is_where_systemd_listens() -> None:
    place = Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"}).agent_socket
    assert place == Path("/run/user/7/openclaw-agent/agent.sock")


def test_an_agents_socket_that_no_address_can_name_is_none() -> None:
    fits = "/" + "r" * (SUN_PATH_MAX - len("/openclaw-agent/agent.sock") - 1)
    place = Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": fits}).agent_socket
    assert place is not None
    assert len(str(place)) == SUN_PATH_MAX
    assert Paths.from_env({"HOME": "/h", "XDG_RUNTIME_DIR": fits + "r"}).agent_socket is None


def test_without_a_runtime_folder_no_agent_is_looked_for_where_anybody_could_be_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "is_dir", lambda self: False)
    paths = Paths.from_env({"HOME": "/h"})
    assert (paths.runtime, paths.agent_socket) == (Path(f"/tmp/openclaw-gateway-{os.getuid()}"), None)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 56_800)  # nobody's, as in a container that runs as any number
    for env in ({}, {"HOME": ""}, {"OPENCLAW_CONFIG_PATH": "/c.json"}):
        with pytest.raises(NoHome, match=r"user id 56800 has no home folder.*OPENCLAW_STATE_DIR=DIR"):
            Paths.from_env(env)
    assert Paths.from_env({"OPENCLAW_STATE_DIR": "/s"}).config == Path("/s/openclaw.json")
    assert expand("~/logs/x") == Path("~/logs/x")  # taken as it is, and no error
    assert expand("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


def test_nothing_asks_for_a_home_that_may_not_be_there() -> None:
    """`Path.expanduser` and `Path.home` raise RuntimeError there."""
    package = Path(__file__).parents[2] / "gateway"
    texts = {path: path.read_text() for path in package.rglob("*.py")}
    assert [path for path, text in texts.items() if ".expanduser()" in text or "Path.home()" in text] == []
