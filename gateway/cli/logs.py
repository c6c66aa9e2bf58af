"""`logs`: the JSONL log file, as OpenClaw writes it, in lines that a person reads."""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import click

from gateway.cli.logfile import Follower, find, last_lines
from gateway.cli.logline import Line, parse
from gateway.errors import GatewayError
from gateway.units import AGENT_SERVICE, SERVICE
from gateway.units.installation import service_environment

DEFAULT_LINES = 50
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOURS = {"fatal": "red", "error": "red", "warn": "yellow", "debug": "bright_black", "trace": "bright_black"}


class When(click.ParamType[datetime]):
    """A moment: `10m`, `2h`, `1d`, or an ISO time."""

    name = "when"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        number, unit = value[:-1], value[-1:]
        if unit in _UNITS and number.isdigit():
            return datetime.now(UTC) - timedelta(**{_UNITS[unit]: int(number)})
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            self.fail(f"{value}: give 10m, 2h, 1d, or a time such as 2026-01-31T12:00", param, ctx)


@click.command()
@click.option("-n", "count", type=click.IntRange(0), help=f"The last N lines; default {DEFAULT_LINES}.", metavar="N")
@click.option("-f", "--follow", is_flag=True, help="Wait for more, also when the file is rotated or truncated.")
@click.option("--since", type=When(), metavar="WHEN", help="From then on: 10m, 2h, 1d, or an ISO time.")
@click.option("--json", "as_json", is_flag=True, help="The lines of the file as they are.")
@click.option("--journal", is_flag=True, help="The units' journal instead of the file (journalctl).")
def logs(count: int | None, follow: bool, since: datetime | None, as_json: bool, journal: bool) -> None:
    """Show and follow the log.

    Reads the running gateway's log file, else the newest one in /tmp/openclaw.
    """
    if journal:
        _exec_journalctl(count, follow, since)
    path = find(service_environment(os.environ))
    if path is None:
        raise GatewayError("there is no log file yet; the journal may have more: openclaw-gateway logs --journal")
    wanted = None if since and count is None else DEFAULT_LINES if count is None else count
    show = _printer(as_json)
    with closing(Follower(path)) as follower:
        for text in _chosen(last_lines(path, wanted, follower.position), since):
            show(text)
        for text in follower.lines(pause=_pause) if follow else ():
            show(text)


def _chosen(texts: Iterable[str], since: datetime | None) -> Iterator[str]:
    for text in texts:
        moment = parse(text).time
        if since is None or moment is None or moment >= since:
            yield text


def _printer(as_json: bool) -> Callable[[str], None]:
    if as_json:
        return lambda text: click.echo(text)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return lambda text: click.echo(render(parse(text), colour))


def render(line: Line, colour: bool) -> str:
    """`12:03:04 info  reload: config change …`; what is no log line comes out as it is."""
    # Whoever writes into a log must not be able to steer the terminal of the one who reads it.
    message = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", line.message)
    if line.time is None:
        return message
    moment = line.time.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    level = f"{line.level:<5}"
    if colour:
        moment = click.style(moment, dim=True)
        level = click.style(level, fg=_COLOURS.get(line.level))
    return f"{moment} {level} {f'{line.subsystem}: ' if line.subsystem else ''}{message}"


def _pause() -> None:
    sys.stdout.flush()
    time.sleep(0.25)


def _exec_journalctl(count: int | None, follow: bool, since: datetime | None) -> None:
    words = ["journalctl", "--user", "-u", SERVICE, "-u", AGENT_SERVICE]
    words += ["-n", str(DEFAULT_LINES if count is None else count)]
    words += ["-f"] if follow else []
    words += ["--since", since.astimezone().strftime("%Y-%m-%d %H:%M:%S")] if since else []
    if shutil.which(words[0]) is None:
        raise GatewayError("there is no journalctl here")
    os.execvp(words[0], words)
