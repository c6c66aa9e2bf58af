"""The control socket: who asks over it is the user."""

import msgspec

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


def test_garbage_over_the_control_socket_is_refused() -> None:
    core = FakeCore()
    assert ask(core, "/control/restart", "POST", body=b"{", **UNIX).status == 400
    assert ask(core, "/control/restart", "GET", **UNIX).status == 405
    assert ask(core, "/healthz", **UNIX).status == 404
    assert core.asked == []
