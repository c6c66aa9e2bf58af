import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.config.schema import Config
from gateway.errors import ConfigInvalid
from gateway.process.listening import listen, listen_for_commands
from gateway.process.startup import Options
from gateway.systemd.descriptors import Inherited


def start(options: Options, inherited: Inherited | None = None) -> Any:
    paths = SimpleNamespace(config=Path("/config"))
    return SimpleNamespace(options=options, inherited=inherited or Inherited(), paths=paths)


def configuration(*, nobody_can_connect: bool = False, reachable: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(config=Config(), nobody_can_connect=nobody_can_connect, reachable=reachable)


def test_the_listeners_of_the_unit_are_taken_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        inherited = Inherited(listeners=(held,), held_by_systemd=True)
        assert listen(start(Options(), inherited), configuration()) == (held,)
        assert caplog.text == ""
        assert listen(start(Options(port=1), inherited), configuration()) == (held,)
    assert "--port and --bind are not used" in caplog.text


def test_a_gateway_that_lets_nobody_in_is_not_opened_to_others() -> None:
    with pytest.raises(ConfigInvalid, match="gateway to lan without auth"):
        listen(start(Options(bind="lan")), configuration(nobody_can_connect=True, reachable=("lan",)))


def test_the_options_decide_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    (sock,) = listen(start(Options(port=port, bind="127.0.0.1")), configuration())
    with sock:
        assert sock.getsockname() == ("127.0.0.1", port)


def test_the_control_socket_is_the_users_alone_and_takes_the_place_of_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "run" / "control"
    problems: dict[Any, str] = {}
    (sock,) = listen_for_commands(path, problems)
    with sock:
        assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    (sock,) = listen_for_commands(path, problems)
    with sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert problems == {}


def test_there_is_no_control_socket_in_a_folder_that_others_can_enter(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    problems: dict[Any, str] = {}
    assert listen_for_commands(tmp_path / "control", problems) == []
    assert "the folder is not private to this user" in problems["control"]
