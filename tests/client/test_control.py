"""The control socket's client, against a real Unix socket that plays the gateway."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.client import control
from gateway.client.control import AWAY_LIMIT, Control
from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.report import ReloadResult, RestartTicket, StatusReport
from tests.fakes.clock import Clock
from tests.fakes.report import make_report

HANG_UP = b""


def report(boot_id: str = "one", ready: bool = True, **more: Any) -> StatusReport:
    return make_report(pid=7, boot_id=boot_id, ready=ready, **more)


def answer(value: Any, status: int = 200) -> bytes:
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


class ControlSocket:
    """A gateway that gives one prepared answer to each connection, and keeps what was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread: threading.Thread | None = None

    def will_answer(self, *answers: bytes) -> None:
        self._thread = threading.Thread(target=self._serve, args=(answers,), daemon=True)
        self._thread.start()

    def _serve(self, answers: tuple[bytes, ...]) -> None:
        for data in answers:
            connection, _ = self._listener.accept()
            with connection:
                self.requests.append(self._read(connection))
                connection.sendall(data)

    def _read(self, connection: socket.socket) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        for name, _, value in (field.partition(b":") for field in head.lower().splitlines()):
            while name == b"content-length" and len(body) < int(value):
                body += connection.recv(65536)
        return f"{head.split(b' HTTP')[0].decode()} {body.decode()}".strip()

    def close(self) -> None:
        if self._thread:
            self._thread.join(5)
            assert not self._thread.is_alive(), "not all answers were asked for"
        self._listener.close()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[ControlSocket]:
    server = ControlSocket(tmp_path / "control.sock")
    yield server
    server.close()


def test_status(gateway: ControlSocket) -> None:
    gateway.will_answer(answer(report()))
    assert Control(gateway.path).status() == report()
    assert gateway.requests == ["GET /control/status"]


def test_the_place_comes_from_the_environment() -> None:
    env = {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/77"}
    assert Control.from_env(env).path.parent == Path("/run/user/77/openclaw-gateway")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no gateway answers at"):
        Control(tmp_path / "control.sock").status()


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    left_behind = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left_behind))
    with pytest.raises(NotRunning, match="Connection refused"):
        Control(left_behind).status()


def test_the_moment_between_two_images_is_bridged(gateway: ControlSocket) -> None:
    gateway.will_answer(HANG_UP, HANG_UP, answer(report("two")))
    clock = Clock()
    assert Control(gateway.path, clock=clock, sleep=clock.sleep).steady_status().boot_id == "two"


def test_a_gateway_that_was_stopped_is_not_waited_for(tmp_path: Path) -> None:
    clock = Clock()
    with pytest.raises(NotRunning):
        Control(tmp_path / "control.sock", clock=clock, sleep=clock.sleep).steady_status()
    assert clock.now == 0


def test_a_socket_that_a_dead_gateway_left_behind_is_waited_for_a_moment(tmp_path: Path) -> None:
    left_behind = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left_behind))
    clock = Clock()
    with pytest.raises(NotRunning):
        Control(left_behind, clock=clock, sleep=clock.sleep).steady_status()
    assert AWAY_LIMIT <= clock.now < AWAY_LIMIT + 1


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="cannot be used"):
        Control(tmp_path / ("x" * 200)).status()


def test_a_frozen_gateway(gateway: ControlSocket) -> None:
    with pytest.raises(TimedOut, match="frozen"):
        Control(gateway.path).status(timeout=0.05)


def test_a_config_with_errors_is_an_answer(gateway: ControlSocket) -> None:
    invalid = ReloadResult(outcome="invalid", message="kept the old one")
    gateway.will_answer(answer(invalid, 422))
    assert Control(gateway.path).reload() == invalid


def test_a_reload_that_a_restart_cuts_off_is_asked_again(gateway: ControlSocket) -> None:
    gateway.will_answer(HANG_UP, HANG_UP, answer(ReloadResult(outcome="nothing", message="same")))
    clock = Clock()
    result = Control(gateway.path, clock=clock, sleep=clock.sleep).reload()
    assert result.outcome == "nothing"
    assert len(gateway.requests) == 3


def test_a_reload_gives_up_where_no_gateway_comes(tmp_path: Path) -> None:
    clock = Clock()
    with pytest.raises(NotRunning):
        Control(tmp_path / "none", clock=clock, sleep=clock.sleep).reload(timeout=60)
    assert clock.now == pytest.approx(AWAY_LIMIT, abs=0.05)


def test_a_reload_that_is_cut_off_for_ever_times_out(gateway: ControlSocket) -> None:
    gateway.will_answer(*[HANG_UP] * 6)
    clock = Clock()
    with pytest.raises(TimedOut, match="no answer to the reload within 0.1 s"):
        Control(gateway.path, clock=clock, sleep=clock.sleep).reload(timeout=0.1)


def test_restart(gateway: ControlSocket) -> None:
    ticket = RestartTicket(state="scheduled", boot_id="one")
    gateway.will_answer(answer(report()), answer(ticket, 202))
    assert Control(gateway.path).restart("because") == ticket
    assert json.loads(gateway.requests[1].removeprefix("POST /control/restart ")) == {"reason": "because"}


def test_a_gateway_that_leaves_before_it_answers_was_leaving(gateway: ControlSocket) -> None:
    gateway.will_answer(answer(report("old")), HANG_UP)
    ticket = Control(gateway.path).restart("because")
    assert (ticket.state, ticket.boot_id) == ("leaving", "old")


def test_waiting_for_another_boot(gateway: ControlSocket) -> None:
    gateway.will_answer(answer(report("one")), HANG_UP, answer(report("two", ready=False)), answer(report("two")))
    clock = Clock()
    assert Control(gateway.path, clock=clock, sleep=clock.sleep).wait_for_boot("one", 10).boot_id == "two"


def test_waiting_for_any_boot(gateway: ControlSocket) -> None:
    gateway.will_answer(answer(report("one")))
    assert Control(gateway.path).wait_for_boot(None, 1).boot_id == "one"


def test_waiting_ends_when_the_restart_that_was_asked_for_does_not_happen(gateway: ControlSocket) -> None:
    unfit = report("one", restart_problem="ImportError: half installed")
    gateway.will_answer(answer(report("one", phase="deferred")), answer(unfit))
    clock = Clock()
    with pytest.raises(GatewayError, match="did not happen, pid 7 goes on: ImportError: half installed") as caught:
        Control(gateway.path, clock=clock, sleep=clock.sleep).wait_for_boot("one", 60, asked=True)
    assert (type(caught.value), clock.now < 1) == (GatewayError, True)


@pytest.mark.parametrize(
    ("asked", "before"),
    [
        # systemd was asked, and the process still says why an earlier restart failed
        (False, report("one", restart_problem="old")),
        # our restart is on its way
        (True, report("one", phase="deferred", restart_problem="old")),
        (True, report("one", phase="leaving", ready=False, restart_problem="old")),
        # the restart happened, and the next one failed before the new process was ready
        (True, report("two", ready=False, restart_problem="next")),
    ],
)
def test_a_problem_of_another_restart_is_not_this_ones(
    gateway: ControlSocket, asked: bool, before: StatusReport
) -> None:
    gateway.will_answer(answer(before), answer(report("two")))
    clock = Clock()
    control = Control(gateway.path, clock=clock, sleep=clock.sleep)
    assert control.wait_for_boot("one", 10, asked=asked).boot_id == "two"


def test_waiting_has_an_end_and_says_what_was_seen(gateway: ControlSocket) -> None:
    gateway.will_answer(*[answer(report("one", phase="deferred"))] * 6)
    clock = Clock()
    with pytest.raises(TimedOut, match=r"not ready again after 0.1 s: pid 7 is deferred"):
        Control(gateway.path, clock=clock, sleep=clock.sleep).wait_for_boot("one", 0.1)


def test_a_newer_gateways_fields_are_ignored(gateway: ControlSocket) -> None:
    known = json.loads(msgspec.json.encode(report()))
    gateway.will_answer(answer({**known, "invented_later": 1}))
    assert Control(gateway.path).status() == report()


@pytest.mark.parametrize(("data", "status", "sentence"), [(b"{}", 200, "another version"), (b"oops", 500, "500: oops")])
def test_an_answer_that_makes_no_sense(gateway: ControlSocket, data: bytes, status: int, sentence: str) -> None:
    gateway.will_answer(answer(data, status))
    with pytest.raises(GatewayError, match=sentence):
        Control(gateway.path).status()


def test_a_socket_in_a_folder_of_others_is_not_asked(gateway: ControlSocket) -> None:
    gateway.path.parent.chmod(0o777)
    with pytest.raises(NotRunning, match="others may write it"):
        Control(gateway.path).status()


def test_another_user_who_answers_is_not_asked(gateway: ControlSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.getuid()
    monkeypatch.setattr(control, "folder_refusal", lambda path, owner: None)
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    with pytest.raises(NotRunning, match=rf"another user \(uid {uid}\) answers there"):
        Control(gateway.path).status()
