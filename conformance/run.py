"""`make conformance`: runs OpenClaw's own command lines against this gateway; fails when one of them shows an error.

The first run installs both releases and their Node into .cache/conformance (about 2 GB). What each command printed is
kept in .cache/conformance/out.
"""

import argparse
import json
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TextIO

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.clients import CLIENTS, COMMANDS, Client, install, make_home, run
from conformance.gateways import OUT, Gateway, running
from conformance.verdict import Run

LOOK_SECONDS = 0.005
"""Between two looks for a connection; a whole exchange of a client takes 20 ms and more."""


def main() -> int:
    options = _options()
    clients = [client for client in CLIENTS if options.version in (None, client.version)]
    commands = [command for command in COMMANDS if not options.only or command in options.only]
    for client in clients:
        print(f"openclaw {client.version} ...", file=sys.stderr, flush=True)
        install(client)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with (
        tempfile.TemporaryDirectory(prefix="conformance-", dir="/tmp") as place,
        running(Path(place), options.foreground) as gateway,
    ):
        homes = {client.version: make_home(client, Path(place), gateway.port) for client in clients}
        for client in clients:
            run(client, "--version", homes[client.version])  # its files are read from the disk for the first time
        runs = []
        for client in clients:
            for command in commands:
                runs.append(_one(client, command, homes[client.version], gateway, options.restart))
                _show(runs[-1], sys.stderr if options.json else sys.stdout)
        (OUT / "gateway.log").write_text(gateway.log())
    bad = [done for done in runs if not done.good]
    if options.json:
        print(json.dumps([_row(done) for done in runs], indent=2))
    else:
        print(f"{len(runs) - len(bad)} of {len(runs)} good; whole outputs in {OUT}")
    return 1 if bad else 0


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
    name = f"{client.version} {command}".replace(" ", "_")
    (OUT / f"{name}.txt").write_text(f"{done.stdout}\n--- stderr\n{done.stderr}\n--- exit {done.exit}\n")
    return done


def _restart_at_connection(gateway: Gateway, before: set[int], ended: Event) -> bool:
    """Begins a cold restart at the moment the command has connected, the worst one for it; whether there was one."""
    while not gateway.clients() - before:
        if ended.wait(LOOK_SECONDS):
            return False
    gateway.restart()
    return True


def _show(done: Run, to: TextIO) -> None:
    mark = "good" if done.good else "BAD"
    print(f"{mark:4}  {done.version:9} {done.command:22} exit {done.exit:<3} {done.seconds:5.1f} s", file=to)
    for line in done.trouble:
        print(f"        {line}", file=to, flush=True)


def _row(done: Run) -> dict[str, object]:
    return {
        "version": done.version,
        "command": done.command,
        "good": done.good,
        "exit": done.exit,
        "seconds": round(done.seconds, 2),
        "trouble": done.trouble,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restart", action="store_true", help="a cold restart in the middle of each command")
    parser.add_argument("--foreground", action="store_true", help="without systemd, from the source tree")
    parser.add_argument("--json", action="store_true", help="the table as JSON; progress goes to standard error")
    parser.add_argument("--version", choices=[client.version for client in CLIENTS], help="this release alone")
    parser.add_argument("--only", action="append", choices=COMMANDS, help="this command alone; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
