"""The application as a whole: who answers which request. Asked over ASGI, with a core that is only looked at."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.config.schema import Config
from gateway.lifecycle.phases import Phase
from gateway.protocol.auth import AuthPolicy
from gateway.report import ConfigReport, Issue, ReloadResult, Restarts, RestartTicket, StatusReport
from gateway.web.app import create_app
from gateway.web.health import PROBES, is_local

LOCAL, REMOTE = ("127.0.0.1", 5), ("203.0.113.9", 5)


class Core:
    def __init__(self) -> None:
        self.phase = Phase.RUNNING
        self.version = "1.2.3"
        self.started = 0.0
        self.boot_id = "boot"
        self.config = Config()
        self.auth = AuthPolicy("token", token="t0k")
        self.degraded: tuple[str, ...] = ()
        self.result = ReloadResult("hot", "applied")
        self.reasons: list[str] = []

    def report(self) -> StatusReport:
        config = ConfigReport("/c", "good", "file")
        return StatusReport(
            1,
            "boot",
            "1.2.3",
            "running",
            True,
            self.degraded,
            0,
            0,
            (),
            "systemd",
            None,
            "",
            "",
            0,
            0,
            config,
            Restarts(),
        )

    async def reload(self, trigger: str) -> ReloadResult:
        self.reasons.append(trigger)
        return self.result

    def request_restart(self, reason: str) -> RestartTicket:
        self.reasons.append(reason)
        return RestartTicket("scheduled", "boot")


def ask(
    core: Core,
    path: str,
    method: str = "GET",
    *,
    client: tuple[str, int] | None = LOCAL,
    server: tuple[str, int | None] = ("127.0.0.1", 18789),
    headers: list[tuple[bytes, bytes]] | None = None,
    body: bytes = b"",
) -> SimpleNamespace:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers or [],
        "client": client,
        "server": server,
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run(create_app(core)(scope, receive, send))  # type: ignore[arg-type]
    start = sent[0]
    return SimpleNamespace(
        status=start["status"],
        headers=dict(start["headers"]),
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )


def bearer(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + secret.encode())]


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_live(path: str) -> None:
    answer = ask(Core(), path)
    assert answer.status == 200 and json.loads(answer.body) == {"ok": True, "status": "live"}


@pytest.mark.parametrize("path", ["/ready", "/readyz"])
@pytest.mark.parametrize(
    ("phase", "status", "failing"),
    [
        (Phase.STARTING, 503, ["starting"]),
        (Phase.RUNNING, 200, []),
        (Phase.DEFERRED, 200, []),
        (Phase.LEAVING, 503, ["leaving"]),
    ],
)
def test_ready_in_each_phase(path: str, phase: Phase, status: int, failing: list[str]) -> None:
    core = Core()
    core.phase = phase
    answer = ask(core, path)
    told = json.loads(answer.body)
    assert (answer.status, told["ready"], told["failing"]) == (status, status == 200, failing)


def test_ready_tells_a_local_client_that_it_runs_degraded() -> None:
    core = Core()
    core.degraded = ("config",)
    answer = ask(core, "/readyz")
    assert answer.status == 200 and json.loads(answer.body)["degraded"] == ["config"]


@pytest.mark.parametrize("path", ["/startup", "/startupz"])
@pytest.mark.parametrize(
    ("phase", "status", "word"),
    [(Phase.STARTING, 503, "starting"), (Phase.RUNNING, 200, "started"), (Phase.LEAVING, 503, "draining")],
)
def test_started_in_each_phase(path: str, phase: Phase, status: int, word: str) -> None:
    core = Core()
    core.phase = phase
    answer = ask(core, path)
    assert answer.status == status and json.loads(answer.body)["status"] == word


def test_a_remote_client_learns_yes_or_no_and_nothing_else() -> None:
    assert json.loads(ask(Core(), "/readyz", client=REMOTE).body) == {"ready": True}
    assert json.loads(ask(Core(), "/startupz", client=REMOTE).body) == {"ok": True, "status": "started"}


@pytest.mark.parametrize("header", [b"x-forwarded-for", b"x-real-ip", b"forwarded", b"x-forwarded-host"])
def test_who_comes_through_a_proxy_is_not_local(header: bytes) -> None:
    assert "version" not in json.loads(ask(Core(), "/startupz", headers=[(header, b"127.0.0.1")]).body)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("::ffff:8.8.8.8", False),
     ("10.0.0.1", False), ("", False), ("localhost", False)],
)  # fmt: skip
def test_local_is_the_address_of_the_peer(host: str, local: bool) -> None:
    assert is_local({"client": (host, 1), "headers": []}) is local


@pytest.mark.parametrize("path", list(PROBES))
def test_probes_take_head_and_refuse_the_rest(path: str) -> None:
    assert ask(Core(), path, "HEAD").status == 200
    refused = ask(Core(), path, "POST")
    assert refused.status == 405 and refused.headers[b"allow"] == b"GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/healthz/", "/control/status", "/__openclaw/control-ui-config.json"]
)
@pytest.mark.parametrize("headers", [[], bearer("wrong"), bearer(""), [(b"authorization", b"Basic dDBr")]])
def test_whatever_is_no_probe_needs_the_bearer(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    answer = ask(Core(), path, headers=headers)
    assert answer.status == 401 and answer.headers[b"www-authenticate"] == b"Bearer"
    assert json.loads(answer.body) == {"error": {"message": "Unauthorized", "type": "unauthorized"}}


def test_the_bearer_opens_what_there_is() -> None:
    answer = ask(Core(), "/__openclaw/control-ui-config.json", headers=bearer("t0k"))
    assert answer.status == 200 and json.loads(answer.body)["serverVersion"] == "1.2.3"
    assert ask(Core(), "/nothing", headers=bearer("t0k")).status == 404


def test_mode_none_needs_no_bearer_and_password_takes_the_password() -> None:
    core = Core()
    core.auth = AuthPolicy("none")
    assert ask(core, "/nothing").status == 404
    core.auth = AuthPolicy("password", token="t0k", password="pw")
    assert ask(core, "/nothing", headers=bearer("pw")).status == 404
    assert ask(core, "/nothing", headers=bearer("t0k")).status == 401


def with_base_path(path: str) -> Config:
    return msgspec.convert({"gateway": {"controlUi": {"basePath": path}}}, Config)


def test_the_base_path_moves_the_config_of_the_page() -> None:
    core = Core()
    core.config = with_base_path("/ui")
    assert json.loads(ask(core, "/ui/control-ui-config.json", headers=bearer("t0k")).body)["basePath"] == "/ui"
    assert ask(core, "/__openclaw/control-ui-config.json", headers=bearer("t0k")).status == 404


def test_a_page_that_is_disabled_has_no_config() -> None:
    core = Core()
    core.config = msgspec.convert({"gateway": {"controlUi": {"enabled": False}}}, Config)
    assert ask(core, "/__openclaw/control-ui-config.json", headers=bearer("t0k")).status == 404


UNIX: dict[str, Any] = {"client": None, "server": ("/run/control.sock", None)}


def test_status_over_the_control_socket() -> None:
    answer = ask(Core(), "/control/status", **UNIX)
    assert msgspec.json.decode(answer.body, type=StatusReport).boot_id == "boot"


def test_a_reload_over_the_control_socket_tells_its_result() -> None:
    core = Core()
    assert ask(core, "/control/reload", "POST", **UNIX).status == 200
    core.result = ReloadResult("invalid", "1 error", issues=(Issue("bad", "gateway.port"),))
    answer = ask(core, "/control/reload", "POST", **UNIX)
    assert answer.status == 422
    assert msgspec.json.decode(answer.body, type=ReloadResult) == core.result
    assert core.reasons == ["command", "command"]


def test_a_restart_over_the_control_socket() -> None:
    core = Core()
    answer = ask(core, "/control/restart", "POST", body=b'{"reason": "upgrade"}', **UNIX)
    assert answer.status == 202 and msgspec.json.decode(answer.body, type=RestartTicket).boot_id == "boot"
    assert ask(core, "/control/restart", "POST", **UNIX).status == 202
    assert core.reasons == ["upgrade", "requested"]


def test_garbage_over_the_control_socket_is_refused() -> None:
    core = Core()
    assert ask(core, "/control/restart", "POST", body=b"{", **UNIX).status == 400
    assert ask(core, "/control/restart", "GET", **UNIX).status == 405
    assert ask(core, "/healthz", **UNIX).status == 404
    assert core.reasons == []
