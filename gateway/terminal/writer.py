"""All printing of commands goes through this module; `tests/terminal/test_writer.py` holds it.

Control characters are escaped (`gateway.text.visible`) in a pipe too, because a pipe may end at a terminal:
`logs | grep`. Only a requested value or answer (`print_result`) goes into a pipe unchanged. JSON stays JSON.
Only a terminal gets colours.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import click

from gateway.text.visible import EscapingStream, Inked, hanging, one_line, visible_json


def print_line(*parts: str, err: bool = False) -> None:
    """Print one line; line ends in its parts are escaped."""
    write_text(one_line(Inked().join(parts)) + "\n", stream(err))


def print_text(text: str, err: bool = False) -> None:
    """Print several lines of our own text."""
    write_text(Inked() + text + "\n", stream(err))


def print_error(text: str) -> None:
    """Print `error: …` to stderr; lines after the first are indented."""
    write_text(Inked("error: ") + hanging(text, "  ") + "\n", sys.stderr)


def print_result(text: str) -> None:
    """Print a requested value and a line end; in a pipe the value is not escaped."""
    write_text(text + "\n") if is_terminal() else _write(text + "\n", sys.stdout)


def print_json(value: Any, indent: int | None = None) -> None:
    """Print a value or a struct as JSON, on one line unless `indent` is given."""
    import msgspec

    ascii_only = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(msgspec.to_builtins(value), indent=indent, ensure_ascii=ascii_only)
    write_text(visible_json(text) + "\n")


def print_json_line(text: str) -> None:
    """Print a line of a JSONL file, even if it is no JSON."""
    write_text(one_line(visible_json(text.rstrip("\r"))) + "\n")


def print_output_of(*command: str) -> int:
    """Run a program and print its stdout and stderr; returns its exit code. Raises OSError."""
    import subprocess

    pipe, same = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdout=pipe, stderr=same, text=True, errors="replace") as run:
        for line in run.stdout or ():
            print_text(line.rstrip("\n"))
    return run.returncode


def confirm(question: str) -> None:
    """Ask the user; raises click.Abort unless the answer is yes."""
    click.confirm(one_line(question), abort=True)


def write_text(text: str, out: TextIO | None = None) -> None:
    """Write text without a line end, to stdout by default."""
    out = out or sys.stdout
    inked = Inked(text)
    _write(inked if wants_colour(out) else inked.colourless, out)


def _write(text: str, out: TextIO) -> None:
    try:
        out.write(text)
    except UnicodeEncodeError:  # the encoding of the stream lacks a character
        out.write(text.encode(out.encoding, "backslashreplace").decode(out.encoding))
    out.flush()


def is_terminal(err: bool = False) -> bool:
    return stream(err).isatty()


def wants_colour(out: TextIO | None = None) -> bool:
    """Whether the stream is a terminal, and the environment allows colours."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and (out or sys.stdout).isatty()


@contextmanager
def escaped_streams() -> Iterator[None]:
    """Escape what other code (click, libraries, warnings) writes to a terminal."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", EscapingStream(each)) if each.isatty() else each for each in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def stream(err: bool = False) -> TextIO:
    return sys.stderr if err else sys.stdout
