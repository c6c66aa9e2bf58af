"""The one way in which commands print; `tests/terminal/test_writer.py` holds that there is no other.

Text is made visible (`gateway.text.visible`) in a pipe too, because a pipe may end at a terminal: `logs | grep`.
Only what was asked for by itself (`deliver`: an answer, a value) goes into a pipe as it is. JSON stays JSON. Colours
are ours,
and only where a terminal shows them.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import click

from gateway.text.visible import EscapingStream, Inked, hanging, one_line, visible_json


def say(*parts: str, err: bool = False) -> None:
    """One line, whatever is in its parts."""
    put(one_line(Inked().join(parts)) + "\n", stream(err))


def page(text: str, err: bool = False) -> None:
    """Text that may have several lines, none of them said by somebody else."""
    put(Inked() + text + "\n", stream(err))


def complain(text: str) -> None:
    """`error: …` on stderr; what goes on over a line is indented."""
    put(Inked("error: ") + hanging(text, "  ") + "\n", sys.stderr)


def deliver(text: str) -> None:
    """What was asked for by itself, and a line end: in a pipe as it is."""
    put(text + "\n") if is_terminal() else _write(text + "\n", sys.stdout)


def tell_json(value: Any, indent: int | None = None) -> None:
    """A value, or a struct, as JSON: in one line, unless it is indented."""
    import msgspec

    ascii_only = "utf" not in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    text = json.dumps(msgspec.to_builtins(value), indent=indent, ensure_ascii=ascii_only)
    put(visible_json(text) + "\n")


def repeat_json(text: str) -> None:
    """A line that somebody else wrote as JSON, whether it is JSON or not."""
    put(one_line(visible_json(text.rstrip("\r"))) + "\n")


def relay(*command: str) -> int:
    """What a program prints, on both its streams; its exit code."""
    import subprocess

    pipe, same = subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, stdout=pipe, stderr=same, text=True, errors="replace") as run:
        for line in run.stdout or ():
            page(line.rstrip("\n"))
    return run.returncode


def confirm(question: str) -> None:
    """Raise click.Abort unless the user says yes."""
    click.confirm(one_line(question), abort=True)


def put(text: str, out: TextIO | None = None) -> None:
    """Text without a line end of its own. `out`: stdout, if there is none."""
    out = out or sys.stdout
    inked = Inked(text)
    _write(inked if coloured(out) else inked.colourless, out)


def _write(text: str, out: TextIO) -> None:
    try:
        out.write(text)
    except UnicodeEncodeError:  # a letter that the encoding does not have is no reason to end
        out.write(text.encode(out.encoding, "backslashreplace").decode(out.encoding))
    out.flush()


def is_terminal(err: bool = False) -> bool:
    return stream(err).isatty()


def coloured(out: TextIO | None = None) -> bool:
    """Whether a terminal reads it, and wants colours."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and (out or sys.stdout).isatty()


@contextmanager
def guarded() -> Iterator[None]:
    """What is written to a terminal by others (click, libraries, a warning) is made visible as well."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", EscapingStream(each)) if each.isatty() else each for each in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def stream(err: bool = False) -> TextIO:
    return sys.stderr if err else sys.stdout
