"""Whatever is no probe needs the bearer."""

import json

import msgspec
import pytest

from gateway.config.schema import Config
from gateway.protocol.auth import AuthPolicy
from tests.web.asgi import Core, ask, bearer


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
