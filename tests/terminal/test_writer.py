"""What the writer makes of a text, for a terminal and for a pipe; and that there is no other way to print."""

import ast
import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from gateway.report import Issue
from gateway.terminal import writer
from gateway.text.visible import RED, RETURN, paint
from tests.fakes.tty import FakeTerminal

PACKAGE = Path(writer.__file__).parents[1]
PRINTING_ROOMS = sorted(path for room in ("cli", "terminal") for path in (PACKAGE / room).rglob("*.py"))
PRINTING = {"echo", "secho", "style", "unstyle", "confirm", "prompt", "echo_via_pager", "progressbar", "clear", "edit",
            "launch", "pause", "getchar", "get_text_stream", "get_binary_stream"}  # fmt: skip
WRITING = {"write", "writelines", "writev", "print_exc", "print_exception", "execvp", "execv", "system"}
PROGRAMS = {"subprocess", "pty", "curses"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
FILES = {
    "gateway/cli/config.py: files.write",
    "gateway/cli/migrate.py: files.write",
    "gateway/cli/conversation/input_history.py: file.write",
}
"""What else is written: files."""
EVIL = "a\x1b]52;c;eA==\x07\x9b2J\u202e\nb"
SHOWN = r"a\x1b]52;c;eA==\x07\x9b2J\u202e"


class Streams:
    def __init__(self, out: io.StringIO, err: io.StringIO) -> None:
        self._out, self._err = out, err

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()


def standing_in(monkeypatch: pytest.MonkeyPatch, kind: type[io.StringIO]) -> Streams:
    out, err = kind(), kind()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Streams(out, err)


@pytest.mark.parametrize(
    ("tell", "shown"),
    [
        (lambda: writer.print_line("x", EVIL), f"x{SHOWN}\\nb\n"),
        (lambda: writer.print_text(EVIL), f"{SHOWN}\nb\n"),
        (lambda: writer.write_text(EVIL), f"{SHOWN}\nb"),
        (lambda: writer.print_json([EVIL]), '["a\\u001b]52;c;eA==\\u0007\\u009b2J\\u202e\\nb"]\n'),
        (lambda: writer.print_json_line('{"a": "\x9b"}\r'), '{"a": "\\u009b"}\n'),
    ],
)
def test_a_terminal_and_a_pipe_get_the_same(
    tell: Callable[[], None], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = standing_in(monkeypatch, FakeTerminal)
    tell()
    assert terminal.out == shown
    pipe = standing_in(monkeypatch, io.StringIO)
    tell()
    assert pipe.out == shown
    assert pipe.err == ""


def test_an_error_cannot_look_like_two(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standing_in(monkeypatch, FakeTerminal)
    writer.print_error(EVIL)
    writer.print_line(EVIL, err=True)
    assert terminal.err == f"error: {SHOWN}\n  b\n{SHOWN}\\nb\n"


def test_what_was_asked_for_goes_into_a_pipe_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standing_in(monkeypatch, FakeTerminal)
    writer.print_result(EVIL)
    assert terminal.out == f"{SHOWN}\nb\n"
    pipe = standing_in(monkeypatch, io.StringIO)
    writer.print_result(EVIL)
    assert pipe.out == f"{EVIL}\n"


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standing_in(monkeypatch, FakeTerminal)
    writer.print_line(paint("x", RED))
    monkeypatch.setenv("NO_COLOR", "1")
    writer.print_line(paint("x", RED))
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    writer.write_text(RETURN + paint("x", RED))
    assert terminal.out == "\x1b[31mx\x1b[0m\nx\n\rx"


def test_an_encoding_that_lacks_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", out)
    writer.print_line("é")
    writer.print_result("日")
    writer.print_json(["é"])
    assert out.buffer.getvalue() == b'\\xe9\n\\u65e5\n["\\u00e9"]\n'  # type: ignore[attr-defined]


def test_structs_are_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = standing_in(monkeypatch, io.StringIO)
    writer.print_json([Issue(path="a", message="b", file="c", line=None, column=None)], indent=1)
    assert '"path": "a"' in pipe.out


def test_a_question_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, abort: asked.append(text))
    writer.confirm(f"Forget {EVIL}?")
    assert asked == [f"Forget {SHOWN}\\nb?"]


def test_others_are_guarded_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standing_in(monkeypatch, FakeTerminal)
    with writer.escaped_streams():
        click.echo(EVIL, color=True)
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": "\x1b]0;x\x07"}))
        writer.print_line(paint("x", RED))
    assert terminal.out == f"{SHOWN}\nb\n\x1b[31mx\x1b[0m\n"
    assert terminal.err == "\\x1b]0;x\\x07\n"
    pipe = standing_in(monkeypatch, io.StringIO)
    before = sys.stdout
    with writer.escaped_streams():
        assert sys.stdout is before
        click.echo(EVIL)
    assert pipe.out.endswith("b\n")


@pytest.mark.process
def test_what_a_program_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = standing_in(monkeypatch, FakeTerminal)
    assert writer.print_output_of("sh", "-c", r"printf 'a\033[2J\nb\377\n'; printf '\033' >&2; exit 3") == 3
    assert terminal.out == "a\\x1b[2J\nb\ufffd\n\\x1b\n"


def others(tree: ast.AST) -> Iterator[str]:
    """What prints, in a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="print" | "input" | "breakpoint" as name)):
                yield name
            case ast.Call(func=ast.Attribute(attr="exit") | ast.Name(id="SystemExit"), args=[ast.JoinedStr()]):
                yield "a text at the exit"
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if name in STREAMS:
                yield f"sys.{name}"
            case ast.Attribute(value=ast.Name(id="click"), attr=name) if name in PRINTING:
                yield f"click.{name}"
            case ast.Attribute(value=of, attr=name) if name in WRITING:
                yield f"{ast.unparse(of)}.{name}"
            case ast.ImportFrom(module=str() as module, names=names) if not module.startswith("gateway"):
                yield from (each.name for each in names if each.name in PRINTING | STREAMS | WRITING | PROGRAMS)
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name in PROGRAMS)
            case ast.Constant(value=str() as text) if "\x1b" in text:
                yield "an escape sequence"


@pytest.mark.parametrize("path", PRINTING_ROOMS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_printed_by_another_way(path: Path) -> None:
    if path == Path(writer.__file__):
        return
    name = str(path.relative_to(PACKAGE.parent))
    found = {f"{name}: {what}" for what in others(ast.parse(path.read_text()))}
    assert found - FILES == set(), "gateway/terminal/writer.py prints"


@pytest.mark.parametrize(
    "line",
    ["print(1)", "click.echo(1)", "from click import secho", "sys.stderr.flush()",
        "os.execvp(a, b)", "out.write(x)", "os.write(1, b'')",
     "x = '\\x1b[0m'", "sys.exit(f'{x}')", "from sys import stdout", "traceback.print_exc()",
     "import subprocess"],
)  # fmt: skip
def test_another_way_would_be_seen(line: str) -> None:
    assert list(others(ast.parse(line)))
