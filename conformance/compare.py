"""What OpenClaw's own gateway says in a conversation and this one does not, or the other way round.

    .venv/bin/python conformance/compare.py 2026.9.6  # the fields of every step; --order: the frames in their order
    .venv/bin/python conformance/compare.py 2026.2.1 --step send

It is a tool for developers and judges nothing. Both gateways run here, with the model provider of the tests.
"""

import argparse
import difflib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.clients import CLIENTS, PROJECT, TOKEN, Client, install, make_home
from conformance.gateways import running
from conformance.pages import free_port
from conformance.providing import config, provider
from conformance.wire import Frame, converse, order, shape

START_SECONDS = 90.0
SLOW = "please !words=20 !slow=150"


def main() -> None:
    options = _options()
    client = next(each for each in CLIENTS if each.version == options.version)
    install(client)
    with tempfile.TemporaryDirectory(prefix="compare-", dir="/tmp") as place:
        with provider() as port, _real(client, Path(place), config(port)) as theirs:
            first = converse(theirs, TOKEN, client.protocol, SLOW)
        with provider() as port, running(Path(place), foreground=True) as gateway:
            gateway.configure(**config(port))
            second = converse(gateway.port, TOKEN, client.protocol, SLOW)
    for step in first:
        if not options.step or step in options.step:
            _show(step, first[step], second.get(step, []), options)


def _show(step: str, theirs: list[Frame], ours: list[Frame], options: argparse.Namespace) -> None:
    if options.frames:
        for name, frames in (("theirs", theirs), ("ours", ours)):
            print(f"== {step}, {name}", *(json.dumps(each, ensure_ascii=False) for each in frames), sep="\n")
        return
    what = order if options.order else shape
    lines = difflib.unified_diff(what(theirs), what(ours), "theirs", "ours", n=999 if options.order else 0, lineterm="")
    shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    if shown:
        print(f"== {step}", *shown, sep="\n")


@contextmanager
def _real(client: Client, folder: Path, models: dict[str, Any]) -> Iterator[int]:
    """OpenClaw's own gateway; its port."""
    port = free_port()
    home = make_home(client, folder, port)
    path = home / "openclaw.json"
    agents = {"defaults": {**models["agents"]["defaults"], "workspace": str(home / "workspace")}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **models, "agents": agents}))
    environment = {"HOME": str(home), "OPENCLAW_STATE_DIR": str(home), "PATH": os.defpath, "LANG": "C.UTF-8"}
    environment |= {"OPENCLAW_NO_RESPAWN": "1", "OPENCLAW_SKIP_CHANNELS": "1"}
    with (home / "output").open("wb") as output:
        words = client.words("gateway run")
        process = subprocess.Popen(words, cwd=PROJECT, env=environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"openclaw {client.version} does not start:\n{(home / 'output').read_text()}")
            time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", choices=[client.version for client in CLIENTS])
    parser.add_argument("--step", action="append", help="this step alone; may be repeated")
    parser.add_argument("--order", action="store_true", help="the frames in their order, in place of their fields")
    parser.add_argument("--frames", action="store_true", help="the frames themselves")
    return parser.parse_args()


if __name__ == "__main__":
    main()
