"""`logs`: print the JSONL log file, which has OpenClaw's format, as readable lines."""

import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gateway.cli.logline import Line, parse
from gateway.client.control import Control
from gateway.config import files
from gateway.errors import GatewayError
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.logs.files import folders, newest
from gateway.logs.reading import Follower, last_lines
from gateway.terminal.writer import print_json_line, print_output_of, print_text
from gateway.text.visible import DIM, GREY, RED, YELLOW, Inked, hanging, one_line, paint
from gateway.units import AGENT_SERVICE, SERVICE
from gateway.units.installation import service_environment

DEFAULT_LINES = 50
MARGIN = "    "
"""Stands before continued lines."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLOURS = {"fatal": RED, "error": RED, "warn": YELLOW, "debug": GREY, "trace": GREY}


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
def logs(count: int | None, follow: bool, since: datetime | None, as_json: bool, journal: bool) -> int:
    """Show and follow the log.

    Reads the running gateway's log file, else the newest one of yours in /tmp/openclaw.
    """
    if journal:
        return _relay_journal(count, follow, since)
    path = find(service_environment(os.environ))
    if path is None:
        raise GatewayError("there is no log file yet; the journal may have more: openclaw-gateway logs --journal")
    wanted = None if since and count is None else DEFAULT_LINES if count is None else count
    show = print_json_line if as_json else lambda text: print_text(render(parse(text)))
    with closing(Follower(path)) as follower:
        for text in _chosen(last_lines(path, wanted, follower.position), since):
            show(text)
        for text in follower.lines(pause=_pause) if follow else ():
            show(text)
    return ExitCode.OK


def find(env: Mapping[str, str], places: Iterable[Path] | None = None) -> Path | None:
    """The running gateway's file, else the config's, else the newest of this user's own in `places`."""
    try:
        log_file = Control.from_env(env).status().log_file
    except GatewayError:
        log_file = None
    if log_file:
        return Path(log_file)
    paths = Paths.from_env(env)
    config = files.read(paths.config, env, paths.state, access_only=True).config
    if config and config.logging.file and Path(config.logging.file).exists():
        return Path(config.logging.file)
    return newest(places or folders(paths.state))


def _chosen(texts: Iterable[str], since: datetime | None) -> Iterator[str]:
    for text in texts:
        moment = parse(text).time
        if since is None or moment is None or moment >= since:
            yield text


def render(line: Line) -> Inked:
    """`12:03:04 info  reload: config change …`; continued lines and lines without JSON are indented."""
    message = Inked(hanging(line.message, MARGIN))
    if line.time is None:
        return message
    moment = paint(line.time.astimezone().strftime("%Y-%m-%d %H:%M:%S"), DIM)
    level = paint(one_line(f"{line.level:<5}"), _COLOURS.get(line.level, ""))
    subsystem = one_line(f"{line.subsystem}: ") if line.subsystem else ""
    return Inked(" ").join((moment, level, subsystem + message))


def _pause() -> None:
    time.sleep(0.25)


def _relay_journal(count: int | None, follow: bool, since: datetime | None) -> int:
    words = ["journalctl", "--user", "-u", SERVICE, "-u", AGENT_SERVICE]
    words += ["-n", str(DEFAULT_LINES if count is None else count)]
    words += ["-f"] if follow else []
    words += ["--since", since.astimezone().strftime("%Y-%m-%d %H:%M:%S")] if since else []
    if shutil.which(words[0]) is None:
        raise GatewayError("there is no journalctl here")
    return print_output_of(*words)
