"""`call` and `health` as a user types them, against a small server on a thread."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import call as module
from gateway.cli import cli
from gateway.client import handshake
from gateway.client.errors import Disconnected
from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.lifecycle import peer
from tests.fakes.gateway import CHALLENGE, FakeGateway, answering, beside


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OPENCLAW_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def invoke(command: click.Command, *args: str) -> Result:
    return CliRunner().invoke(command, args, standalone_mode=False)


@contextmanager
def probes(**answers: tuple[int, bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = answers[self.path.removeprefix("/")]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"ws://127.0.0.1:{listener.getsockname()[1]}"


LIVE = (200, b'{"ok":true,"status":"live"}')


def test_call_prints_what_is_answered() -> None:
    with answering(lambda request: {"ok": True, "payload": {"a": [1, "é"]}}) as (url, seen):
        result = invoke(module.call, "some.method", "{probe: true, /* JSON5 */}", "--url", url, "--token", "t")
    assert result.return_value == ExitCode.OK, result.exception
    assert json.loads(result.stdout) == {"a": [1, "é"]}
    assert result.stdout == '{\n  "a": [\n    1,\n    "é"\n  ]\n}\n'
    assert (seen[1]["method"], seen[1]["params"]) == ("some.method", {"probe": True})
    assert seen[0]["params"]["auth"] == {"token": "t"}
    assert seen[0]["params"]["client"]["id"] == "cli"


def test_call_in_json_is_one_line() -> None:
    with answering(lambda request: {"ok": True, "payload": {"a": 1}}) as (url, _):
        result = invoke(module.call, "m", "--url", url, "--json")
    assert result.stdout == '{"ok": true, "payload": {"a": 1}}\n'


async def following(gateway: FakeGateway) -> None:
    """It has two events to tell, and then closes."""
    for payload in ({"protocol": 4}, {"ts": 1}):
        await gateway.answer(await gateway.request(), payload)
    for seq in (1, 2):
        await gateway.tell("tick", {"ts": "é"}, seq=seq)
    await gateway.ws.close(1012, "service restart")


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["--json"], ['{"ok": true, "payload": {"ts": 1}}',
                      *(f'{{"event": "tick", "payload": {{"ts": "é"}}, "seq": {seq}}}' for seq in (1, 2))]),
        ([], ["{", '  "ts": 1', "}", *['tick {"ts": "é"}'] * 2]),
    ],
)  # fmt: skip
def test_follow_prints_events_until_the_gateway_closes(words: list[str], lines: list[str]) -> None:
    with beside(following) as url:
        result = invoke(module.call, "health", "--follow", *words, "--url", url)
    assert result.stdout.splitlines() == lines
    assert isinstance(result.exception, Disconnected)
    assert str(result.exception) == "the gateway closed the connection: 1012 service restart"


def test_follow_ends_with_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(event: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_tell_event", interrupt)
    with beside(following) as url:
        result = CliRunner().invoke(cli, ["call", "health", "-f", "--url", url])
    assert result.exit_code == 130


def test_a_call_from_elsewhere_shows_this_machines_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how it is approved."""
    monkeypatch.setattr(handshake, "is_loopback_url", lambda url: False)
    seen: list[dict[str, Any]] = []

    async def script(gateway: FakeGateway) -> None:
        await gateway.send(CHALLENGE)
        seen.append(await gateway.request())
        details = {"requestId": "r1"}
        await gateway.refuse(seen[-1], code="NOT_PAIRED", message="pairing required", details=details)

    with beside(script) as url:
        result = invoke(module.call, "health", "--url", url, "--token", "t")
        assert str(result.exception) == (
            "pairing required (NOT_PAIRED); on the gateway's machine: openclaw-gateway devices approve r1"
        )
        result = invoke(module.call, "health", "--url", url, "--json")
        assert json.loads(result.stdout)["error"]["details"] == {"requestId": "r1"}
    held = json.loads((tmp_path / ".openclaw" / "gateway" / "device.json").read_text())
    assert [each["params"]["device"]["id"] for each in seen] == [held["deviceId"]] * 2


def test_a_call_on_this_machine_writes_nothing_and_needs_no_key(tmp_path: Path) -> None:
    with answering(lambda request: {"ok": True, "payload": {}}) as (url, seen):
        invoke(module.call, "health", "--url", url, "--token", "t")
    assert "device" not in seen[0]["params"]
    assert list(tmp_path.iterdir()) == []


ERROR = {"ok": False, "error": {"code": "FORBIDDEN", "message": "missing scope: x", "details": {"a": 1}}}


def test_a_refusal_is_a_sentence() -> None:
    with answering(lambda request: ERROR) as (url, _):
        result = invoke(module.call, "m", "--url", url)
    assert isinstance(result.exception, GatewayError)
    assert str(result.exception) == "missing scope: x (FORBIDDEN)"
    assert result.exception.exit_code == ExitCode.FAILURE


def test_a_refusal_in_json_keeps_its_code() -> None:
    with answering(lambda request: ERROR) as (url, _):
        result = invoke(module.call, "m", "--url", url, "--json")
    assert result.return_value == ExitCode.FAILURE
    assert json.loads(result.stdout) == ERROR


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ("[1]", "PARAMS must be an object"),
        ("{a: }", "PARAMS:1:5: not valid JSON5"),
        ("{", "PARAMS:1:2: not valid JSON5"),
    ],
)
def test_bad_params_name_the_place(params: str, fault: str, nobody: str) -> None:
    result = invoke(module.call, "m", params, "--url", nobody)
    assert isinstance(result.exception, click.UsageError)
    assert fault in str(result.exception.message)


@pytest.mark.parametrize("arguments", [("call", "m"), ("health",), ("health", "--ws")])
def test_nobody_answers(arguments: tuple[str, ...], nobody: str) -> None:
    result = invoke(getattr(module, arguments[0]), *arguments[1:], "--url", nobody)
    assert isinstance(result.exception, NotRunning)
    assert f"no gateway answers at {nobody}" in str(result.exception)


@pytest.mark.parametrize("arguments", [("call", "m"), ("health",)])
def test_a_gateway_that_does_not_answer(arguments: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        result = invoke(getattr(module, arguments[0]), *arguments[1:], "--url", url, "--timeout", "0.05")
    assert isinstance(result.exception, TimedOut), result.exception


@pytest.mark.parametrize(
    ("ready", "code", "text"),
    [
        ((200, b'{"ready":true,"failing":[],"degraded":[],"uptimeMs":5}'), ExitCode.OK, "ok"),
        ((200, b'{"ready":true,"failing":[],"degraded":["config"]}'), ExitCode.UNHEALTHY, "unhealthy: config"),
        ((503, b'{"ready":false,"failing":["leaving"],"degraded":["watch"]}'), ExitCode.UNHEALTHY,
         "unhealthy: leaving, watch"),
        ((503, b'{"ready":false}'), ExitCode.UNHEALTHY, "unhealthy: not ready"),
    ],
)  # fmt: skip
def test_health_from_the_probes(ready: tuple[int, bytes], code: ExitCode, text: str) -> None:
    with probes(healthz=LIVE, readyz=ready) as url:
        result = invoke(module.health, "--url", url)
        assert (result.return_value, result.stdout) == (code, text + "\n")
        result = invoke(module.health, "--url", url.replace("ws", "http"), "--json")
        assert json.loads(result.stdout) == {"ok": True, "status": "live", **json.loads(ready[1])}
        assert result.return_value == code


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"x" * 100_000])
def test_another_server_is_not_taken_for_a_gateway(body: bytes) -> None:
    with probes(healthz=(200, body), readyz=(200, body)) as url:
        result = invoke(module.health, "--url", url)
    assert isinstance(result.exception, GatewayError)
    assert "is no gateway" in str(result.exception)


@pytest.mark.parametrize(
    ("payload", "code", "text"),
    [
        ({"ok": True, "degraded": []}, ExitCode.OK, "ok"),
        ({"ok": True, "degraded": ["state"]}, ExitCode.UNHEALTHY, "unhealthy: state"),
        ({"ok": True}, ExitCode.OK, "ok"),
        ({"ok": False}, ExitCode.UNHEALTHY, "unhealthy: not ready"),
    ],
)
def test_health_over_the_websocket(payload: dict[str, Any], code: ExitCode, text: str) -> None:
    with answering(lambda request: {"ok": True, "payload": payload}) as (url, seen):
        result = invoke(module.health, "--ws", "--url", url)
    assert (result.return_value, result.stdout) == (code, text + "\n")
    assert seen[1]["method"] == "health"


def test_an_address_that_is_none() -> None:
    result = invoke(module.health, "--url", "localhost:18789")
    assert isinstance(result.exception, click.UsageError)


@pytest.mark.parametrize("command", [module.call, module.health])
def test_help_names_the_exit_codes(command: click.Command) -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert "not running" in result.stdout and "14" in result.stdout


def test_to_another_users_socket_only_with_openclaws_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "owners", lambda near, far, proc: {54321})
    with answering(lambda request: {"ok": True, "payload": {}}) as (url, seen):
        result = invoke(module.call, "health", "--url", url, "--token", "t")
        assert isinstance(result.exception, peer.Untrusted)
        assert seen == []
        monkeypatch.setenv(peer.PLAINTEXT, "1")
        assert invoke(module.call, "health", "--url", url, "--token", "t").exit_code == 0
