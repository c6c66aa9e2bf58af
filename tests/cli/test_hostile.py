"""Every command, with hostile text in all that is told to it, on a terminal: no byte of it gets there as it is."""

import dataclasses
import io
import json
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from gateway.cli import activation, cli, doctor, install, logs, service, status, upkeep
from gateway.client import control
from gateway.doctor.finding import Finding
from gateway.doctor.security import Risk
from gateway.errors import GatewayError
from gateway.report import ReloadResult, RestartTicket, StatusReport
from gateway.sessions import backup, salvage
from gateway.sessions.checkup import Checkup
from gateway.sessions.openclaw.imports import Import, ImportReport
from gateway.sessions.salvage import Salvage
from gateway.text import visible
from gateway.units import UNITS, rivals, state
from gateway.units.addresses import ListenAddress
from gateway.units.state import UnitState, UnitStates
from gateway.units.systemctl import Systemctl, SystemctlFailed
from tests.fakes.gateway import FakeGateway, beside
from tests.fakes.tty import FakeTerminal

EVIL = (
    "x\x1b]52;c;eA==\x07\x1b]0;t\x07\x1b]8;;h\x07\x1b[2J\x1b[8m\x90q\x9b2J\x85\u202e\u2066\u2028\u200b\U000e0041\rf"
    "\r\nforged"
)
"""Clipboard, title, link, screen, conceal, C1, direction, line separator, nothing, a tag, and a line of its own."""
ARRIVED = re.compile(r"x(\\x1b|\\u001b)\]52;c;")
OURS = {
    visible.RESET,
    visible.BOLD,
    visible.DIM,
    visible.RED,
    visible.GREEN,
    visible.YELLOW,
    visible.CYAN,
    visible.GREY,
}
SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r(?=\x1b\[K|[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏])")

Show = Callable[..., tuple[str, str]]
Prepare = Callable[[pytest.MonkeyPatch, Path], None]


def told(text: str) -> None:
    """Fails for what a terminal would obey, or not show, that is not ours."""
    for found in SEQUENCE.findall(text):
        assert found in OURS | {"\r", "\x1b[K"}, ascii(text)
    rest = SEQUENCE.sub("", text)
    assert "\r" not in rest and visible.visible(rest) == rest, ascii(text)


def evil(kind: Any) -> Any:
    """A value of a type, with hostile text wherever there may be any."""
    origin, words = typing.get_origin(kind), typing.get_args(kind)
    if kind is str:
        return EVIL
    if kind is ListenAddress:
        return ListenAddress("127.0.0.1", 1)
    if kind in (int, float, bool):
        return kind(1)
    if origin is typing.Literal:
        return words[-1]
    if origin in (typing.Union, types.UnionType):
        return evil(words[0])
    if origin in (tuple, list):
        return origin([evil(words[0])])
    if origin is dict:
        return {evil(words[0]): evil(words[1])}
    hints = typing.get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        return kind(**{field.name: evil(hints[field.name]) for field in dataclasses.fields(kind)})
    return kind(**{name: evil(hints[name]) for name in kind.__struct_fields__})


# -- what a gateway answers ---------------------------------------------------------------------------------

DEVICE = {"deviceId": EVIL, "displayName": EVIL, "roles": [EVIL], "scopes": [EVIL], "platform": EVIL}
MESSAGES = [
    {"role": "user", "content": EVIL, "__openclaw": {"runId": EVIL}},
    {"role": "assistant", "content": [{"type": "text", "text": EVIL}, {"type": "toolCall", "name": EVIL}]},
    {"role": "assistant", "content": [], "errorMessage": EVIL},
]
SESSION = {"key": EVIL, "updatedAt": 1, "totalTokens": 1, "modelProvider": EVIL, "model": EVIL, "label": EVIL}
ANSWERS: dict[str, Any] = {
    "health": {"ok": True, "failing": [EVIL], "degraded": [EVIL]},
    "evil": {EVIL: [EVIL, {EVIL: EVIL}]},
    "sessions.list": {"sessions": [SESSION], "totalCount": 2},
    "chat.history": {"sessionKey": EVIL, "messages": MESSAGES},
    "sessions.reset": {"key": EVIL},
    "sessions.patch": {"key": EVIL},
    "sessions.delete": {"key": EVIL, "deleted": True},
    "sessions.compact": {"key": EVIL, "kept": EVIL},
    "models.list": {"models": [{"provider": EVIL, "id": EVIL, "contextWindow": 1, "available": True, "input": [EVIL]}]},
    "device.pair.list": {
        "pending": [{**DEVICE, "requestId": EVIL, "ts": 1, "remoteIp": EVIL}],
        "paired": [{**DEVICE, "approvedAtMs": 1, "tokens": [{"role": EVIL, "revokedAtMs": 1}]}],
    },
    "device.pair.approve": {"device": DEVICE},
    "device.pair.reject": {"deviceId": EVIL},
    "device.pair.remove": {"deviceId": EVIL},
    "device.token.rotate": {"token": EVIL},
    "device.token.revoke": {"role": EVIL, "deviceId": EVIL},
    "chat.abort": {},
    "agent": {"result": {"payloads": [{"text": EVIL}], "meta": {}}},
}
WIRE = [
    "health --ws",
    "call evil",
    "chat hello",
    "agent -m hello",
    "sessions list",
    "sessions show key",
    "sessions reset key",
    "sessions delete key --yes",
    "sessions compact key",
    "sessions rename key label",
    "models list",
    "devices list",
    "devices approve r",
    "devices reject r",
    "devices remove d",
    "devices rotate d",
    "devices revoke d",
]
ITS_OWN_LINES = ("chat hello", "agent -m hello", "sessions show key", "config get x")
"""What was said is shown with the lines that it has."""


async def friendly(peer: FakeGateway) -> None:
    await peer.greet()
    async for frame in peer.ws:
        request = json.loads(frame)
        if request["method"] != "chat.send":
            await peer.answer(request, ANSWERS[request["method"]])
            continue
        run = {"runId": request["params"]["idempotencyKey"], "sessionKey": EVIL}
        await peer.answer(request, {"runId": run["runId"]})
        await peer.tell(
            "agent", {**run, "stream": "tool", "data": {"phase": "start", "name": EVIL, "args": {EVIL: EVIL}}}
        )
        said = {"content": [{"type": "text", "text": EVIL}]}
        await peer.tell("chat", {**run, "state": "error", "message": said, "errorMessage": EVIL})


async def refusing(peer: FakeGateway) -> None:
    await peer.greet()
    async for frame in peer.ws:
        await peer.refuse(json.loads(frame), code=EVIL, message=EVIL, details={EVIL: EVIL})


async def unfriendly(peer: FakeGateway) -> None:
    await peer.send({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}})
    await peer.refuse(await peer.request(), code=EVIL, message=EVIL, details={"code": EVIL, "reason": EVIL})


async def leaving(peer: FakeGateway) -> None:
    await peer.ws.close(4000, EVIL[:40])


@pytest.fixture(scope="module", params=[friendly, refusing, unfriendly, leaving], ids=lambda script: script.__name__)
def url(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    with beside(request.param) as address:
        yield request.param.__name__, address


# -- how a command is run -----------------------------------------------------------------------------------


@pytest.fixture
def shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Run a command line at a terminal; what that shows of stdout and stderr."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(*words: str) -> tuple[str, str]:
        out, err = FakeTerminal(), FakeTerminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO())
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            with pytest.raises(SystemExit):
                cli.main(list(words))
        return out.getvalue(), err.getvalue()

    return run


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("line", WIRE)
def test_what_a_gateway_says(
    shown: Callable[..., tuple[str, str]], url: tuple[str, str], line: str, as_json: bool
) -> None:
    how, address = url
    out, err = shown(*line.split(), *["--json"] * as_json, "--url", address, "--token", "t")
    told(out)
    told(err)
    assert "Traceback" not in err
    if how != "leaving":
        assert ARRIVED.search(out + err), ascii(out + err)
    if line not in ITS_OWN_LINES or how != "friendly":
        assert not re.search(r"^forged", out + err, re.MULTILINE)
    if as_json and how == "friendly":
        assert all(json.loads(each) is not None for each in out.splitlines())


# -- what the machine says ----------------------------------------------------------------------------------


class Refusing(Systemctl):
    def do(self, *words: str, limit: float = 1.0) -> None:
        raise SystemctlFailed(EVIL)


def report(monkeypatch: pytest.MonkeyPatch, home: Path, **more: Any) -> None:
    told: StatusReport = msgspec.structs.replace(evil(StatusReport), **more)
    monkeypatch.setattr(control.Control, "status", lambda self, timeout=1.0: told)
    monkeypatch.setattr(control.Control, "wait_for_boot", lambda self, before, timeout, asked=False: told)
    monkeypatch.setattr(control.Control, "reload", lambda self, timeout=1.0: evil(ReloadResult))
    monkeypatch.setattr(control.Control, "restart", lambda self, reason: evil(RestartTicket))


def broken(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    def fail(self: control.Control, *words: object, **more: object) -> Any:
        raise GatewayError(EVIL)

    for name in ("status", "reload", "restart", "wait_for_boot"):
        monkeypatch.setattr(control.Control, name, fail)


def unmanaged(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    broken(monkeypatch, home)
    states = UnitStates(*(dataclasses.replace(evil(UnitState), name=name) for name in UNITS))
    monkeypatch.setattr(service, "_manager", lambda: (Refusing({}), states))
    monkeypatch.setattr(state, "read", lambda systemctl: states)


def managed(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    report(monkeypatch, home)
    monkeypatch.setattr(service, "_manager", lambda: (Refusing({}), evil(UnitStates)))
    monkeypatch.setattr(activation, "start", lambda *words: None)
    monkeypatch.setattr(activation, "stop", lambda *words: None)


def without_manager(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    folder = home / EVIL
    folder.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setattr(Systemctl, "available", classmethod(lambda cls, env: None))
    monkeypatch.setattr(rivals, "system_units", lambda: [])
    monkeypatch.setattr(install, "lingers", lambda user: True)


def hostile_config(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    file = home / f"{EVIL}.json"
    file.write_text(json.dumps({EVIL: {EVIL: EVIL}, "gateway": {EVIL: EVIL, "port": EVIL}, "agents": {EVIL: EVIL}}))
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", str(file))


def good_config(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    file = home / f"{EVIL}.json"
    file.write_text(json.dumps({"agents": {"defaults": {EVIL: EVIL}}, "ui": {"assistant": {"name": EVIL}}}))
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", str(file))


def other_config(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    good_config(monkeypatch, home)
    (home / "new.json").write_text(json.dumps({"agents": {"defaults": {EVIL: EVIL}}, "mcp": {EVIL: {EVIL: EVIL}}}))
    monkeypatch.chdir(home)


def examined(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(doctor, "gather", lambda environ: None)
    monkeypatch.setattr(doctor, "examine", lambda evidence: [evil(Finding)])
    monkeypatch.setattr(doctor, "audit", lambda evidence: [evil(Risk)])


def database(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(home / EVIL))
    (home / EVIL / "gateway").mkdir(parents=True)
    (home / EVIL / "gateway/conversations.sqlite").touch()
    monkeypatch.setattr(Import, "run", lambda self: evil(ImportReport))
    monkeypatch.setattr(upkeep, "look", lambda path, deep: evil(Checkup))
    monkeypatch.setattr(backup, "copy", lambda source, path: 1)
    monkeypatch.setattr(salvage, "recover", lambda path, now: Salvage({"sessions": 1, "messages": 1}, EVIL))


def damaged(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    database(monkeypatch, home)
    monkeypatch.setattr(upkeep, "look", lambda path, deep: msgspec.structs.replace(evil(Checkup), problem=None))


def log_file(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    entry = {"0": json.dumps({"subsystem": EVIL}), "1": EVIL, "2": {EVIL: EVIL}, "time": "2026-01-01T00:00:00Z"}
    line = json.dumps({**entry, "_meta": {"logLevelName": EVIL}}, ensure_ascii=False)
    path = home / "evil.log"
    path.write_text("\n".join([line, EVIL.replace("\n", ""), ""]))
    monkeypatch.setattr(logs, "find", lambda environ: path)


def nothing(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    pass


MACHINE: list[tuple[str, Prepare]] = [
    ("run --bind EVIL", nothing),
    ("install", without_manager),
    ("install --now", without_manager),
    ("uninstall", without_manager),
    ("start", managed),
    ("start", unmanaged),
    ("stop", unmanaged),
    ("restart", report),
    ("restart", broken),
    ("restart --cold", unmanaged),
    ("reload", report),
    ("reload", broken),
    ("status", report),
    ("version", report),
    ("logs", log_file),
    ("config check", hostile_config),
    ("config check", good_config),
    ("config check EVIL", nothing),
    ("config migrate --dry-run", hostile_config),
    ("config migrate", good_config),
    ("config plan new.json", other_config),
    ("config get", good_config),
    ("config get ui.assistant.name", good_config),
    ("config get EVIL", good_config),
    ("config get", hostile_config),
    ("config set gateway.port EVIL", good_config),
    ("config set ui.assistant.name EVIL --dry-run", good_config),
    ("config schema EVIL", nothing),
    ("doctor", examined),
    ("doctor --security", examined),
    ("sessions import", database),
    ("sessions backup", database),
    ("sessions check", database),
    ("sessions check", damaged),
    ("sessions recover", database),
    ("completion EVIL", nothing),
    ("EVIL", nothing),
    ("status --EVIL", nothing),
    ("logs --since EVIL", nothing),
    ("health --url EVIL", nothing),
]


def command(words: list[str]) -> click.Command:
    """The command that a line means."""
    found: click.Command = cli
    for word in words:
        if not isinstance(found, click.Group):
            break
        found = found.get_command(click.Context(found), word) or found
    return found


def cases() -> Iterator[Any]:
    for line, prepare in MACHINE:
        yield pytest.param(line, prepare, False, id=f"{line}-{prepare.__name__}")
        if any("--json" in each.opts for each in command(line.split()).params):
            yield pytest.param(line, prepare, True, id=f"{line}-{prepare.__name__}-json")


SILENT = ("restart",)
"""Says numbers only, unless as JSON."""


@pytest.mark.parametrize(("line", "prepare", "as_json"), list(cases()))
def test_what_the_machine_says(
    shown: Show,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    prepare: Prepare,
    as_json: bool,
) -> None:
    monkeypatch.setattr(status, "_ask_systemd", lambda: evil(UnitStates))
    prepare(monkeypatch, home)
    words = [word.replace("EVIL", EVIL) for word in line.split()]
    out, err = shown(*words, *["--json"] * as_json)
    told(out)
    told(err)
    assert "Traceback" not in err
    assert ARRIVED.search(out + err) or (line in SILENT and not as_json), ascii(out + err)
    if line != "config get ui.assistant.name":
        assert not re.search(r"^forged", out + err, re.MULTILINE), out + err
    if as_json and out:
        json.loads(out.splitlines()[0] if line == "logs" else out)


def leaves(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        each = group.get_command(context, name)
        assert each is not None
        if isinstance(each, click.Group):
            yield from leaves(each)
        else:
            yield each


def test_no_command_is_left_out() -> None:
    tried = {id(command(line.split())) for line in [*WIRE, *(line for line, _ in MACHINE)]}
    assert [each.name for each in leaves(cli) if id(each) not in tried] == []


def test_hostile_would_be_seen() -> None:
    for sequence in re.split("(?<=.)(?=[\x1b\x90\x9b\x85\u202e\u2066\u2028\u200b\U000e0041\r])", EVIL)[1:]:
        with pytest.raises(AssertionError):
            told(sequence)
    told(f"{visible.RED}x{visible.RESET}\n\r⠋ thinking\r\x1b[K\r⠙ starting 4 s")


assert os.sep not in EVIL
