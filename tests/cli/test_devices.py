import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli.devices import devices
from gateway.errors import GatewayError, NotRunning
from gateway.exits import ExitCode
from tests.fakes.gateway import answering

ROW = {"deviceId": "abc", "publicKey": "k", "clientId": "cli", "roles": ["operator"], "scopes": ["operator.admin"]}
LISTING = {
    "pending": [{**ROW, "requestId": "r1", "ts": 0, "displayName": "Evil\x1b[2J", "remoteIp": "192.0.2.7"}],
    "paired": [{**ROW, "approvedAtMs": 0, "createdAtMs": 0, "tokens": [{"role": "operator", "revokedAtMs": 5}]}],
}
TOKEN = {"deviceId": "abc", "role": "operator"}
REFUSAL = {"code": "INVALID_REQUEST", "message": "unknown requestId"}


class Answering:
    """A gateway; what it answers is set by the test."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"payload": {}}
        self.url = ""
        self.seen: list[dict[str, Any]] = []


@pytest.fixture
def fake(home: Path) -> Iterator[Answering]:
    fake = Answering()
    with answering(lambda request: fake.answer) as (fake.url, fake.seen):
        yield fake


def run(fake: Answering, *words: str) -> Result:
    result = CliRunner().invoke(devices, [*words, "--url", fake.url], standalone_mode=False)
    assert isinstance(result, Result)
    return result


@pytest.mark.parametrize(
    ("words", "method", "params", "payload", "text"),
    [
        ("approve r1", "device.pair.approve", {"requestId": "r1"}, {"requestId": "r1", "device": ROW},
         "approved abc; it may connect now"),
        ("reject r1", "device.pair.reject", {"requestId": "r1"}, {"requestId": "r1", "deviceId": "abc"},
         "rejected abc"),
        ("remove abc", "device.pair.remove", {"deviceId": "abc"}, {"deviceId": "abc"}, "removed abc"),
        ("rotate abc", "device.token.rotate", TOKEN, {**TOKEN, "token": "f00", "scopes": []}, "f00"),
        ("rotate abc --role node --scope a --scope b", "device.token.rotate",
         {"deviceId": "abc", "role": "node", "scopes": ["a", "b"]}, {"token": "f00"}, "f00"),
        ("revoke abc", "device.token.revoke", TOKEN, {**TOKEN, "revokedAtMs": 1},
         "revoked the operator token of abc"),
    ],
)  # fmt: skip
def test_each_command_is_one_call(
    fake: Answering, words: str, method: str, params: dict[str, Any], payload: dict[str, Any], text: str
) -> None:
    fake.answer = {"ok": True, "payload": payload}
    result = run(fake, *words.split())
    assert result.return_value == ExitCode.OK, result.exception
    assert result.stdout == text + "\n"
    assert (fake.seen[1]["method"], fake.seen[1]["params"]) == (method, params)
    assert json.loads(run(fake, *words.split(), "--json").stdout) == fake.answer


def test_list(fake: Answering) -> None:
    fake.answer = {"ok": True, "payload": LISTING}
    lines = run(fake, "list").stdout.splitlines()
    assert lines[0] == "waiting  request r1"
    assert "abc Evil\\x1b[2J (operator, operator.admin) from 192.0.2.7, " in lines[1]
    assert lines[2].startswith("paired   abc cli (operator, operator.admin), ")
    assert lines[2].endswith("tokens: operator (revoked)")
    fake.answer = {"ok": True, "payload": {"pending": [], "paired": []}}
    assert run(fake, "list").stdout == "no device waits or is paired\n"


def test_a_refusal(fake: Answering) -> None:
    fake.answer = {"ok": False, "error": REFUSAL}
    result = run(fake, "approve", "r1")
    assert isinstance(result.exception, GatewayError)
    assert str(result.exception) == "unknown requestId (INVALID_REQUEST)"
    result = run(fake, "approve", "r1", "--json")
    assert result.return_value == ExitCode.FAILURE
    assert json.loads(result.stdout) == {"ok": False, "error": {**REFUSAL, "details": None}}


def test_nobody_answers(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    result = CliRunner().invoke(devices, ["list", "--url", url], standalone_mode=False)
    assert isinstance(result.exception, NotRunning)


@pytest.mark.parametrize("words", [("approve",), ("rotate",), ("list", "more")])
def test_wrong_arguments(home: Path, words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(devices, list(words), standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
