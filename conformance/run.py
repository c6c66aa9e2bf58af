"""`make conformance`: OpenClaw's own command lines, terminals and Control UIs against this gateway.

It fails when one of them shows an error, or not what it should.

The first run installs the releases and their Node into .cache/conformance (about 3 GB). What each command printed and
how each page looked is kept in .cache/conformance/out.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Event
from typing import TextIO

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance import chats, configs, providing, tui
from conformance.clients import CLIENTS, COMMANDS, FIRST_SECONDS, Client, install, make_home, run
from conformance.gateways import OUT, Gateway, running
from conformance.pages import MODEL, PAGES, WITH_MODEL, allow, free_port, walk
from conformance.scene import Scene
from conformance.sight import Sight
from conformance.verdict import Run
from gateway.config.vocabulary import LATEST

PACE_MS = 5
"""Milliseconds between the words of an answer that a command awaits. `openai` can leave an answer of minutes."""
LOOK_SECONDS = 0.005
"""Seconds between two looks for a connection. A whole exchange of a client takes 20 ms and more."""


def main() -> int:
    options = _options()
    clients = [client for client in CLIENTS if options.version in (None, client.version)]
    for client in clients:
        print(f"openclaw {client.version} ...", file=sys.stderr, flush=True)
        install(client)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    port, done = free_port(), []
    with (
        tempfile.TemporaryDirectory(prefix="conformance-", dir="/tmp") as place,
        running(Path(place), options.foreground, allow(port)) as gateway,
    ):
        try:
            homes = {client.version: make_home(client, Path(place), gateway.port) for client in clients}
            for each in chain(
                _commands(options, clients, gateway, homes),
                _talks(options, clients, gateway, homes, port),
                _pages(options, clients, gateway, port),
                _chats(options, clients, gateway, port),
            ):
                done.append(each)
                _show(each, sys.stderr if options.json else sys.stdout)
        finally:
            (OUT / "gateway.log").write_text(gateway.log())
    bad = [each for each in done if not each.good]
    if options.json:
        print(json.dumps([_row(each) for each in done], indent=2))
    else:
        print(f"{len(done) - len(bad)} of {len(done)} good; whole outputs in {OUT}")
    return 1 if bad or not done else 0


def _commands(
    options: argparse.Namespace, clients: list[Client], gateway: Gateway, homes: dict[str, Path]
) -> Iterator[Run]:
    if options.chats or options.pages or options.page:
        return
    for client in clients:  # its files are read from the disk for the first time, and 2026.2.26 compiles its plugins
        run(client, "health", homes[client.version], limit_s=FIRST_SECONDS)
    gateway.configure(**chats.echo(PACE_MS))
    for client in clients:
        for command in client.commands:
            if not options.only or command in options.only:
                yield _one(client, command, homes[client.version], gateway, options.restart)
        if client.version == LATEST and not options.only:
            for done in configs.check(client, homes[client.version]):
                _keep(done)
                yield done


def _talks(
    options: argparse.Namespace, clients: list[Client], gateway: Gateway, homes: dict[str, Path], port: int
) -> Iterator[Run | Scene]:
    if not _with_chats(options):
        return
    gateway.configure(**chats.echo(chats.PACE_MS))
    for client in clients:
        for done in tui.talk(client, homes[client.version], gateway):
            _keep(done)
            yield done
        yield from chats.converse(client, gateway, port, chats.with_echo(client), "echo")
    gateway.configure()


def _chats(options: argparse.Namespace, clients: list[Client], gateway: Gateway, port: int) -> Iterator[Scene]:
    """Run this after the pages: what fails here on purpose would be in their log."""
    if not _with_chats(options):
        return
    for client in clients:
        with providing.provider(gateway.enter) as provider:  # it refuses once
            gateway.configure(**providing.config(provider))
            yield from chats.converse(client, gateway, port, chats.with_provider(client), "provider")


def _with_chats(options: argparse.Namespace) -> bool:
    return not (options.commands or options.only or options.pages or options.page)


def _pages(options: argparse.Namespace, clients: list[Client], gateway: Gateway, port: int) -> Iterator[Sight]:
    if options.commands or options.chats or options.only:
        return

    def seen(pages: dict[str, tuple[str, ...]], model: bool) -> Iterator[Sight]:
        for client in clients:
            chosen = tuple(page for page in pages[client.version] if not options.page or page in options.page)
            if chosen:
                yield from walk(client, gateway, port, chosen, restart=options.restart, model=model)

    yield from seen(PAGES, model=False)
    gateway.configure(**MODEL)
    yield from seen(WITH_MODEL, model=True)


def _one(client: Client, command: str, home: Path, gateway: Gateway, restart: bool) -> Run:
    if not restart:
        done = run(client, command, home, gateway.enter)
    else:
        before, ended = gateway.clients(), Event()
        with ThreadPoolExecutor(1) as aside:  # aside, because the command's output must be read meanwhile
            restarted = aside.submit(_restart_at_connection, gateway, before, ended)
            done = run(client, command, home, gateway.enter)
            ended.set()
        if not restarted.result():
            done = replace(done, note="it ended without a connection, so there was no restart in the middle")
    _keep(done)
    return done


def _keep(done: Run) -> None:
    name = f"{done.version} {done.command}".replace(" ", "_")
    (OUT / f"{name}.txt").write_text(f"{done.stdout}\n--- stderr\n{done.stderr}\n--- exit {done.exit}\n")


def _restart_at_connection(gateway: Gateway, before: set[int], ended: Event) -> bool:
    """Begins a cold restart at the moment the command has connected, the worst one for it; whether there was one."""
    while not gateway.clients() - before:
        if ended.wait(LOOK_SECONDS):
            return False
    gateway.restart()
    return True


def _show(done: Run | Scene | Sight, to: TextIO) -> None:
    mark = "good" if done.good else "BAD"
    if isinstance(done, Run):
        what = f"{done.command:22} exit {done.exit:<3} {done.seconds:5.1f} s"
    elif isinstance(done, Scene):
        what = done.sight.page
    else:
        what = f"page {done.page}{' with a model' if done.with_model else ''}"
    print(f"{mark:4}  {done.version:9} {what}", file=to, flush=True)
    for line in done.trouble:
        print(f"        {line}", file=to, flush=True)


def _row(done: Run | Scene | Sight) -> dict[str, object]:
    own: dict[str, object]
    if isinstance(done, Run):
        own = {"command": done.command, "exit": done.exit, "seconds": round(done.seconds, 2)}
    elif isinstance(done, Scene):
        own = {"chat": done.act.label, "refused": dict(done.sight.refused)}
    else:
        own = {"page": done.page, "withModel": done.with_model, "refused": dict(done.refused)}
    return {"version": done.version, **own, "good": done.good, "trouble": done.trouble}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restart", action="store_true", help="a cold restart in the middle of each command and page")
    parser.add_argument("--foreground", action="store_true", help="without systemd, from the source tree")
    parser.add_argument("--json", action="store_true", help="the table as JSON; progress goes to standard error")
    parser.add_argument("--version", choices=[client.version for client in CLIENTS], help="this release alone")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--commands", action="store_true", help="the command lines alone")
    part.add_argument("--chats", action="store_true", help="the conversations alone, in terminals and pages")
    part.add_argument("--pages", action="store_true", help="the pages alone")
    part.add_argument("--only", action="append", choices=COMMANDS, help="this command alone; may be repeated")
    every = sorted({page for pages in PAGES.values() for page in pages})
    part.add_argument("--page", action="append", choices=every, metavar="PAGE", help="this page alone; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
