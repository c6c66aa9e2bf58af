"""The control socket: who asks over it is the user."""

from pathlib import Path

import msgspec
import pytest

from gateway.files.paths import Paths
from gateway.protocol.admission.auth import AuthPolicy
from gateway.reload.answers import AccessPoint, SeenConfig
from gateway.report import Issue, ReloadResult, RestartTicket, StatusReport
from tests.fakes.core import FakeCore
from tests.web.asgi import UNIX, ask


def test_status_over_the_control_socket() -> None:
    answer = ask(FakeCore(boot_id="boot"), "/control/status", **UNIX)
    assert msgspec.json.decode(answer.body, type=StatusReport).boot_id == "boot"


def test_a_reload_over_the_control_socket_tells_its_result() -> None:
    core = FakeCore()
    assert ask(core, "/control/reload", "POST", **UNIX).status == 200
    core.reloaded = ReloadResult("invalid", "1 error", issues=(Issue("bad", "gateway.port"),))
    answer = ask(core, "/control/reload", "POST", **UNIX)
    assert answer.status == 422
    assert msgspec.json.decode(answer.body, type=ReloadResult) == core.reloaded
    assert core.asked == ["reload command", "reload command"]


def test_a_restart_over_the_control_socket() -> None:
    core = FakeCore(boot_id="boot")
    answer = ask(core, "/control/restart", "POST", body=b'{"reason": "upgrade"}', **UNIX)
    assert answer.status == 202 and msgspec.json.decode(answer.body, type=RestartTicket).boot_id == "boot"
    assert ask(core, "/control/restart", "POST", **UNIX).status == 202
    assert core.asked == ["restart upgrade", "restart requested"]


def test_a_config_over_the_control_socket_is_read_in_the_services_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "openclaw.json"
    core = FakeCore(paths=Paths(file, tmp_path, tmp_path))
    text = '{"gateway": {"auth": {"token": "${ONLY_THE_UNIT_HAS_IT}"}}}'
    body = msgspec.json.encode({"path": str(file), "text": text})
    seen = msgspec.json.decode(ask(core, "/control/config", "POST", body=body, **UNIX).body, type=SeenConfig)
    assert not seen.valid and seen.plan is None and "ONLY_THE_UNIT_HAS_IT is not set" in seen.issues[0].message
    monkeypatch.setenv("ONLY_THE_UNIT_HAS_IT", "s3cret")
    answer = ask(core, "/control/config", "POST", body=body, **UNIX)
    seen = msgspec.json.decode(answer.body, type=SeenConfig)
    assert seen.valid and seen.plan is not None and [each.path for each in seen.plan.changes] == ["gateway.auth.token"]
    assert b"s3cret" not in answer.body and not file.exists()
    assert ask(core, "/control/config", "POST", body=b"{}", **UNIX).status == 400


def test_the_door_over_the_control_socket() -> None:
    core = FakeCore(auth=AuthPolicy("token", token="t0k", generation=1))
    door = msgspec.json.decode(ask(core, "/control/door", **UNIX).body, type=AccessPoint)
    assert door == AccessPoint(18789, "t0k") and "t0k" not in repr(door)
    assert ask(core, "/control/door").status == 404


def test_garbage_over_the_control_socket_is_refused() -> None:
    core = FakeCore()
    assert ask(core, "/control/restart", "POST", body=b"{", **UNIX).status == 400
    assert ask(core, "/control/restart", "GET", **UNIX).status == 405
    assert ask(core, "/healthz", **UNIX).status == 404
    assert core.asked == []
