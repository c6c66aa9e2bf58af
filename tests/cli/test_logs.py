import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gateway.cli import logs as module
from gateway.cli.logline import Line
from gateway.cli.logs import DEFAULT_LINES, MARGIN, find, render
from gateway.config.secretsources import Sources
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.report import StatusReport

Invoke = Callable[..., Result]
Report = Callable[..., StatusReport]


@pytest.fixture
def log(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One line for each of the last 100 minutes."""
    path = tmp_path / "openclaw-2026-11-22.log"
    now = datetime.now(UTC)
    with path.open("w") as file:
        for minute in range(100, 0, -1):
            moment = (now - timedelta(minutes=minute, seconds=-30)).isoformat()
            entry = {"0": '{"subsystem":"x"}', "1": f"m{minute}", "_meta": {"logLevelName": "INFO"}, "time": moment}
            file.write(json.dumps(entry) + "\n")
    monkeypatch.setattr(module, "find", lambda env: path)
    return path


def messages(result: Result) -> list[str]:
    return [line.rpartition(" ")[2] for line in result.stdout.splitlines()]


def test_the_last_lines(invoke: Invoke, log: Path) -> None:
    assert len(messages(invoke("logs"))) == DEFAULT_LINES
    assert messages(invoke("logs", "-n", "2")) == ["m2", "m1"]
    assert messages(invoke("logs", "-n", "0")) == []


def test_since(invoke: Invoke, log: Path) -> None:
    assert messages(invoke("logs", "--since", "3m")) == ["m3", "m2", "m1"]
    assert messages(invoke("logs", "--since", "3m", "-n", "2")) == ["m2", "m1"]
    assert len(messages(invoke("logs", "--since", "2h"))) == 100
    moment = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    assert messages(invoke("logs", "--since", moment)) == ["m1"]


@pytest.mark.parametrize("when", ["", "soon", "m", "-3m"])
def test_a_moment_that_is_none(invoke: Invoke, log: Path, when: str) -> None:
    result = invoke("logs", "--since", when)
    assert result.exit_code == ExitCode.USAGE
    assert "give 10m, 2h, 1d" in result.stderr


def test_json_is_the_file_as_it_is(invoke: Invoke, log: Path) -> None:
    assert invoke("logs", "--json").stdout.splitlines() == log.read_text().splitlines()[-DEFAULT_LINES:]


def test_following_goes_on_where_the_last_lines_end(invoke: Invoke, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[int] = []

    def pause() -> None:
        pauses.append(1)
        if len(pauses) == 2:
            raise KeyboardInterrupt
        with log.open("a") as file:
            file.write("something new\n")

    monkeypatch.setattr(module, "_pause", pause)
    result = invoke("logs", "-n", "1", "-f")
    assert messages(result) == ["m1", "new"]
    assert result.exit_code == 130


def test_no_file_yet(invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find", lambda env: None)
    result = invoke("logs")
    assert result.exit_code == ExitCode.FAILURE
    assert "logs --journal" in result.stderr


def test_the_journal_takes_over(invoke: Invoke, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def relay(*words: str) -> int:
        started.append(list(words))
        return 7

    monkeypatch.setattr(module, "print_output_of", relay)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert invoke("logs", "--journal", "-f", "-n", "7").exit_code == 7
    assert started == [
        ["journalctl", "--user", "-u", "openclaw-gateway.service", "-u", "openclaw-agent.service", "-n", "7", "-f"]
    ]
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "no journalctl" in invoke("logs", "--journal").stderr


def test_an_error_is_red() -> None:
    assert "\x1b[31merror" in render(Line("broken", datetime(2026, 11, 22, tzinfo=UTC), "error", "gateway"))


def test_a_log_line_cannot_steer_the_terminal() -> None:
    assert render(Line("a\x1b]0;title\x07b\tc")) == "a\\x1b]0;title\\x07b\tc"
    evil = "x\x1b[2J\n\u202e"
    shown = render(Line(evil, datetime(2026, 11, 22, tzinfo=UTC), evil, evil)).colourless
    assert shown.endswith(r" x\x1b[2J\n\u202e x\x1b[2J\n\u202e: x\x1b[2J" + f"\n{MARGIN}\\u202e")


def test_the_running_gateways_file_is_the_one(home: Path, gateway: Any, report: Report) -> None:
    gateway.report = report(log_file="/var/x.log")
    assert find(os.environ, []) == Path("/var/x.log")


def test_else_the_configs_else_the_newest(home: Path, gateway: Any, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    assert find(os.environ, [folder]) is None
    for name, age in (("openclaw-2026-11-22.log", 100), ("openclaw-2026-11-21.log", 50), ("other.log", 1)):
        (folder / name).touch()
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    assert find(os.environ, [folder]) == folder / "openclaw-2026-11-21.log"
    own = tmp_path / "own.log"
    own.touch()
    (home / ".openclaw").mkdir()
    (home / ".openclaw/openclaw.json").write_text(f'{{"logging": {{"file": "{own}"}}}}')
    assert find(os.environ, [folder]) == own


def test_no_program_is_asked_for_secrets_of_models(
    home: Path, gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.log").touch()
    text = "{models: {providers: {p: {apiKey: {source: 'exec', provider: 'v', id: 'a'}}}}, secrets: {providers: {v: "
    text += "{source: 'exec', command: '/bin/true'}}}, logging: {file: '" + str(tmp_path / "x.log") + "'}}"
    config = Paths.from_env(os.environ).config
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)
    monkeypatch.setattr(Sources, "_program", None)
    assert find(os.environ, []) == tmp_path / "x.log"


def test_the_log_of_another_user_that_an_answer_names_is_not_opened(
    home: Path,
    gateway: Any,
    report: Report,
    invoke: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    theirs = tmp_path / "theirs.log"
    theirs.write_text("evil\n")
    gateway.report = report(log_file=str(theirs))
    assert invoke("logs").stdout == "evil\n"
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    result = invoke("logs")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert f"{theirs}: not read: it belongs to another user (uid {owner})" in result.stderr
