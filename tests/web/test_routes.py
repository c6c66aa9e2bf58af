"""What the Control UI fetches: who needs the bearer, and which other origins may read the answer."""

import json
from typing import Any

import msgspec
import pytest

from gateway.config.files import Snapshot
from gateway.config.schema import Config
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.limits import MAX_FAILURES
from gateway.web.app import create_app
from tests.fakes.core import PATHS, FakeCore
from tests.web.asgi import LOCAL, REMOTE, ask, bearer

CONFIG = "/__openclaw/control-ui-config.json"
AVATAR = "/avatar/main"
UI = "https://ui.example"


def make_core(**control_ui: Any) -> FakeCore:
    core = FakeCore()
    core.config = msgspec.convert({"gateway": {"controlUi": control_ui}}, Config)
    return core


def from_page(origin: str, host: str = "127.0.0.1:18789") -> list[tuple[bytes, bytes]]:
    return [(b"host", host.encode()), (b"origin", origin.encode())]


@pytest.mark.parametrize("headers", [[], bearer("wrong"), bearer(""), [(b"authorization", b"Basic dDBr")]])
def test_the_config_of_the_page_needs_the_bearer(headers: list[tuple[bytes, bytes]]) -> None:
    answer = ask(FakeCore(), CONFIG, headers=headers)
    assert answer.status == 401 and answer.headers[b"www-authenticate"] == b"Bearer"
    assert json.loads(answer.body) == {"error": {"message": "Unauthorized", "type": "unauthorized"}}


@pytest.mark.parametrize("path", ["/nothing", "/healthz/", "/control/status", "//", "/avatar/", "/avatar/a/b", "/ui"])
@pytest.mark.parametrize("headers", [[], bearer("t0k")])
def test_what_there_is_not_is_not_found(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    answer = ask(FakeCore(), path, headers=headers)
    assert (answer.status, answer.body) == (404, b"Not Found")


def test_the_bearer_opens_it_with_every_key_of_the_captured_answer() -> None:
    answer = ask(FakeCore(version="1.2.3"), CONFIG, headers=bearer("t0k"))
    assert answer.status == 200 and answer.headers[b"content-type"] == b"application/json"
    assert json.loads(answer.body) == {
        "basePath": "",
        "assistantName": "Assistant",
        "assistantAvatar": "A",
        "assistantAvatarSource": None,
        "assistantAvatarStatus": None,
        "assistantAvatarReason": None,
        "assistantAgentId": "main",
        "serverVersion": "1.2.3",
        "serverBuildId": None,
        "embedSandbox": "scripts",
        "allowExternalEmbedUrls": False,
        "automaticallyFetchFavicons": True,
        "communityInvite": True,
        "terminalEnabled": False,
        "cliAgentsEnabled": False,
        "pluginAssetsRequireAuth": True,
        "pluginFrameGrants": [],
    }


def test_a_page_without_a_base_path_asks_at_the_root() -> None:
    assert ask(FakeCore(), "/control-ui-config.json").status == 401
    assert ask(FakeCore(), "/control-ui-config.json", headers=bearer("t0k")).status == 200


def test_the_page_is_told_of_the_agent_that_answers_it() -> None:
    core = FakeCore()
    identity = {"name": "Bea", "emoji": "🐝"}
    tree = {"agents": {"list": [{"id": "a"}, {"id": "b", "default": True, "identity": identity}]}}
    core.snapshot = Snapshot(PATHS.config, True, (), merged=tree)
    told = json.loads(ask(core, CONFIG, headers=bearer("t0k")).body)
    assert (told["assistantAgentId"], told["assistantName"], told["assistantAvatar"]) == ("b", "Bea", "🐝")


def test_mode_none_needs_no_bearer_and_password_takes_the_password() -> None:
    core = FakeCore()
    core.auth = AuthPolicy("none")
    assert ask(core, CONFIG, headers=[(b"host", b"localhost:18789")]).status == 200
    assert ask(core, CONFIG, headers=[(b"host", b"rebound.example")]).status == 401
    core.auth = AuthPolicy("password", token="t0k", password="pw")
    assert ask(core, CONFIG, headers=bearer("pw")).status == 200
    assert ask(core, CONFIG, headers=bearer("t0k")).status == 401


def test_it_is_only_read() -> None:
    answer = ask(FakeCore(), CONFIG, "POST", headers=bearer("t0k"))
    assert answer.status == 405 and set(answer.headers[b"allow"].split(b", ")) == {b"GET", b"HEAD"}


def test_the_base_path_moves_the_config_of_the_page() -> None:
    core = make_core(basePath="/ui")
    assert json.loads(ask(core, "/ui/control-ui-config.json", headers=bearer("t0k")).body)["basePath"] == "/ui"
    assert ask(core, "/ui" + CONFIG, headers=bearer("t0k")).status == 200
    assert ask(core, CONFIG, headers=bearer("t0k")).status == 404
    assert ask(core, "/ui/avatar/main", query=b"meta=1").status == 200


def test_a_page_that_is_disabled_has_nothing() -> None:
    core = make_core(enabled=False, allowedOrigins=[UI])
    assert ask(core, CONFIG, headers=bearer("t0k")).status == 404
    assert ask(core, AVATAR, query=b"meta=1").status == 404


def test_no_agent_has_a_picture_and_nobody_needs_a_secret_to_hear_it() -> None:
    answer = ask(FakeCore(), AVATAR, query=b"meta=1", client=REMOTE)
    assert (answer.status, json.loads(answer.body)) == (200, {"avatarUrl": None})
    assert ask(FakeCore(), AVATAR).status == 404
    assert ask(FakeCore(), AVATAR, "POST", query=b"meta=1").status == 405


@pytest.mark.parametrize(
    ("origin", "client", "host", "allowed", "welcome"),
    [
        (UI, REMOTE, "gw.example", [UI], True),
        (UI, LOCAL, "127.0.0.1:18789", [UI], True),
        (UI, REMOTE, "gw.example", ["*"], True),
        (UI, REMOTE, "gw.example", [], False),
        ("https://ui.example:8443", REMOTE, "gw.example", [UI], False),
        ("http://ui.example", REMOTE, "gw.example", [UI], False),
        ("https://ui.example.evil.example", REMOTE, "gw.example", [UI], False),
        ("https://evil.example", LOCAL, "127.0.0.1:18789", [UI], False),
        ("null", LOCAL, "127.0.0.1:18789", ["*"], False),
        ("http://localhost:5173", LOCAL, "127.0.0.1:18789", [], True),
        ("http://127.0.0.1:5173", LOCAL, "localhost:18789", [], True),
        ("http://localhost:5173", REMOTE, "gw.example", [], False),
        ("http://localhost:5173", LOCAL, "rebound.evil.example:18789", [], False),
    ],
)
@pytest.mark.parametrize("path", [CONFIG, AVATAR])
def test_other_origins(
    origin: str, client: tuple[str, int], host: str, allowed: list[str], welcome: bool, path: str
) -> None:
    core, headers = make_core(allowedOrigins=allowed), from_page(origin, host)
    asked = ask(core, path, "OPTIONS", client=client, headers=headers)
    got = ask(core, path, client=client, headers=headers + bearer("t0k"), query=b"meta=1")
    refused = ask(core, path, client=client, headers=headers + bearer("no"))
    assert got.status == 200
    assert asked.status == (204 if welcome else 405)
    assert asked.headers.get(b"access-control-allow-headers") == (b"Authorization" if welcome else None)
    for answer in (asked, got, refused):
        assert answer.headers[b"vary"] == b"Origin"
        assert answer.headers.get(b"access-control-allow-origin") == (origin.encode() if welcome else None)
        assert b"access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/healthz", "/nothing"])
def test_other_paths_are_closed_to_every_other_origin(path: str) -> None:
    core = make_core(allowedOrigins=[UI])
    for method in ("GET", "OPTIONS"):
        answer = ask(core, path, method, headers=from_page(UI))
        assert not [name for name in answer.headers if name.startswith(b"access-control")]


def test_an_answer_of_one_origin_is_not_left_for_the_next() -> None:
    core = make_core(allowedOrigins=[UI])
    ask(core, AVATAR, headers=from_page(UI))
    assert b"access-control-allow-origin" not in ask(core, AVATAR, headers=from_page("https://evil.example")).headers
    assert b"access-control-allow-origin" not in ask(core, AVATAR).headers


def test_guesses_of_a_stranger_are_counted_and_the_answer_stays_readable_for_the_page() -> None:
    core = make_core(allowedOrigins=[UI])
    app = create_app(core)  # type: ignore[arg-type]
    wrong, right = from_page(UI) + bearer("no"), from_page(UI) + bearer("t0k")
    for _ in range(MAX_FAILURES):
        assert ask(core, CONFIG, client=REMOTE, headers=wrong, app=app).status == 401
    locked = ask(core, CONFIG, client=REMOTE, headers=right, app=app)
    assert locked.status == 429 and locked.headers[b"access-control-allow-origin"] == UI.encode()
    assert ask(core, CONFIG, client=("198.51.100.7", 1), headers=right, app=app).status == 200
    assert ask(core, "/", client=REMOTE, app=app).status == 200
