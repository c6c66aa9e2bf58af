"""The page at `/`, as a stranger and as its owner see it."""

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser
from types import SimpleNamespace

import msgspec
import pytest

from gateway.config.schema import Config
from gateway.lifecycle.phases import Phase
from tests.fakes.core import FakeCore
from tests.web.asgi import REMOTE, ask


def visit(core: FakeCore | None = None, host: str = "gw.example:18789", **more: object) -> SimpleNamespace:
    return ask(core or FakeCore(), "/", headers=[(b"host", host.encode())], **more)  # type: ignore[arg-type]


def text(answer: SimpleNamespace) -> str:
    body: bytes = answer.body
    return body.decode()


def test_everyone_may_see_it() -> None:
    answer = visit(client=REMOTE)
    assert answer.status == 200 and answer.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert "<title>OpenClaw gateway</title>" in text(answer)
    assert visit(method="HEAD").status == 200


def test_the_policy_allows_its_own_style_and_nothing_else() -> None:
    answer = visit()
    style = re.findall(r"<style>(.*?)</style>", text(answer), re.S)
    assert len(style) == 1
    digest = b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert answer.headers[b"content-security-policy"].decode() == (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    expected = {
        b"x-frame-options": b"DENY", b"x-content-type-options": b"nosniff", b"referrer-policy": b"no-referrer",
        b"cache-control": b"no-cache",
    }  # fmt: skip
    assert expected.items() <= answer.headers.items() and b"camera=()" in answer.headers[b"permissions-policy"]


def test_it_needs_nothing_that_the_policy_forbids() -> None:
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Reader().feed(text(visit()))
    assert len(seen) > 20
    assert not {tag for tag, _ in seen} & {"script", "link", "img", "iframe", "form", "base", "object"}
    assert not [name for _, attrs in seen for name in attrs if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_only_read(method: str) -> None:
    answer = visit(method=method)
    assert (answer.status, answer.headers[b"allow"]) == (405, b"GET, HEAD")


@pytest.mark.parametrize(
    ("phase", "degraded", "local", "remote"),
    [
        (Phase.RUNNING, (), ("good", "Ready", "It serves."), ("good", "Ready", "It serves.")),
        (Phase.DEFERRED, (), ("good", "Ready", "It serves."), ("good", "Ready", "It serves.")),
        (
            Phase.RUNNING, ("config", "state"),
            ("warn", "Degraded", "It serves, but look at: config, state. See openclaw-gateway status."),
            ("good", "Ready", "It serves."),
        ),
        (Phase.LEAVING, (), ("bad", "Not ready", "It is leaving."), ("bad", "Not ready", "Try again in a moment.")),
        (
            Phase.STARTING, ("config",),
            ("bad", "Not ready", "It is starting."), ("bad", "Not ready", "Try again in a moment."),
        ),
    ],
)  # fmt: skip
def test_health(phase: Phase, degraded: tuple[str, ...], local: tuple[str, ...], remote: tuple[str, ...]) -> None:
    core = FakeCore()
    core.phase, core.degraded = phase, degraded
    for client, expected in ((("127.0.0.1", 1), local), (REMOTE, remote)):
        found = re.search(
            r'<p class="health (\w+)"><strong>(.*)</strong> <span>(.*)</span></p>',
            text(visit(core, "localhost:18789", client=client)),
        )
        assert found and found.groups() == expected


def test_a_stranger_learns_nothing_of_the_machine() -> None:
    core = FakeCore(version="1.2.3")
    core.degraded = ("config",)
    page = text(visit(core, client=REMOTE)).split("</style>")[1]
    assert not [word for word in ("t0k", "1.2.3", "boot", "Degraded", "/home", ".json") if word in page]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("gw.example", "ws://gw.example"),
        ("127.0.0.1:9", "ws://127.0.0.1:9"),
        ("[::1]:18789", "ws://[::1]:18789"),
        ("<script>", "ws://127.0.0.1:18789"),
        ("a b", "ws://127.0.0.1:18789"),
        ("x$(id)", "ws://127.0.0.1:18789"),
        ("u@evil.example", "ws://127.0.0.1:18789"),
        ("x\n", "ws://127.0.0.1:18789"),
        ("", "ws://127.0.0.1:18789"),
    ],
)
def test_the_address_is_the_one_that_was_used_if_it_is_one(host: str, url: str) -> None:
    page = text(visit(host=host))
    assert f"websocat {url}</code>" in page and (host == "" or host in url or host not in page)


def test_every_blank_is_filled_and_a_shell_variable_stays() -> None:
    page = text(visit()).split("</style>")[1]
    assert set(re.findall(r"\$\w+", page)) == {"$OPENCLAW_GATEWAY_TOKEN"}


def test_the_base_path_has_it_too() -> None:
    core = FakeCore()
    core.config = msgspec.convert({"gateway": {"controlUi": {"basePath": "/ui"}}}, Config)
    assert ask(core, "/ui/").body == ask(core, "/").body
    there = ask(core, "/ui")
    assert (there.status, there.headers[b"location"]) == (302, b"/ui/")


def test_it_can_be_turned_off() -> None:
    core = FakeCore()
    core.config = msgspec.convert({"gateway": {"controlUi": {"enabled": False}}}, Config)
    assert visit(core).status == 404
