"""The group itself: every command is there, imported late, and errors become exit codes."""

import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import Result

from gateway import __main__ as program
from gateway import __version__
from gateway.cli import COMMANDS, INTERRUPTED, cli
from gateway.errors import PortBusy
from gateway.exits import ExitCode

Invoke = Callable[..., Result]


def raising(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_in_the_list_is_the_commands_own(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    summary = (command.help or "").strip().splitlines()[0]
    assert COMMANDS[name][1] == summary


@pytest.mark.process
def test_help_lists_every_command_and_imports_none(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"  {name} " in result.stdout
    script = (
        "import sys, gateway.cli\n"
        "try: gateway.cli.cli(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*[name for name in sys.modules if name.startswith(('gateway.cli.', 'gateway.terminal.'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "gateway.terminal.writer"


def test_version_option(invoke: Invoke) -> None:
    assert invoke("--version").stdout == f"openclaw-gateway {__version__}\n"


def test_an_unknown_command_is_a_usage_error(invoke: Invoke) -> None:
    result = invoke("statsu")
    assert result.exit_code == ExitCode.USAGE
    assert "No such command 'statsu'" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PortBusy("port 1 is taken"), ExitCode.PORT_BUSY, "error: port 1 is taken\n"),
        (PermissionError(13, "Permission denied", "/x"), ExitCode.FAILURE, "error: /x: Permission denied\n"),
        (KeyboardInterrupt(), INTERRUPTED, None),
        (click.UsageError("no"), ExitCode.USAGE, None),
        (click.exceptions.Exit(4), 4, ""),
    ],
)
def test_how_a_command_ends(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str | None
) -> None:
    monkeypatch.setattr(type(cli), "get_command", lambda *_: raising(error))
    result = invoke("status")
    assert result.exit_code == code
    assert said is None or result.stderr == said
    assert "Traceback" not in result.output


def test_an_unexpected_error_keeps_its_traceback(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(cli), "get_command", lambda *_: raising(ValueError("a\x1b]52;c;eA==\x07b")))
    result = invoke("status")
    assert result.exit_code == ExitCode.FAILURE
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.endswith("\nValueError: a\\x1b]52;c;eA==\\x07b\n")


@pytest.mark.process
def test_a_closed_pipe_is_quiet() -> None:
    script = "import sys, gateway.cli\nsys.stdin.read()\ngateway.cli.cli(['--help'])"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.FAILURE


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_what_a_command_writes_is_its_user_s_alone_whatever_the_umask(
    monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """With 000 others could read it, with 777 nobody."""
    before = os.umask(umask)
    monkeypatch.setattr(sys, "argv", ["openclaw-gateway", "--version"])
    try:
        with pytest.raises(SystemExit):
            program.main()
        assert os.umask(umask) == 0o077
    finally:
        os.umask(before)
