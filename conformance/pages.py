"""Walks the Control UI of both releases in a headless Chromium, against this gateway; screenshots lie in the cache.

Each is served from a place of its own, as a page on another host is: gateway.controlUi.allowedOrigins names it.
"""

import json
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.clients import CLIENTS, TOKEN, install
from conformance.gateways import OUT, running

PAGES = {
    "2026.2.1": (
        *("overview", "chat", "channels", "instances", "sessions", "cron"),
        *("skills", "nodes", "config", "debug", "logs"),
    ),
    "2026.9.6": ("chat", "sessions", "cron", "logs", "config", "settings"),
}
LIMIT_SECONDS = 150


def main() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    extra = {"controlUi": {"allowedOrigins": [f"http://127.0.0.1:{port}"]}}
    bad = 0
    with (
        tempfile.TemporaryDirectory(prefix="conformance-", dir="/tmp") as place,
        running(Path(place), foreground=True, extra=extra) as gateway,
    ):
        for client in CLIENTS:
            install(client)
            out = OUT / f"pages-{client.version}"
            out.mkdir(parents=True, exist_ok=True)
            script = Path(__file__).with_name("pages.mjs")
            words = [client.interpreter, script, client.package, port, gateway.port, TOKEN, out, *PAGES[client.version]]
            command = [str(word) for word in words]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT_SECONDS, check=True)
            for row in json.loads(done.stdout):
                good = row["connected"] and not row["trouble"]
                bad += not good
                print(f"{'good' if good else 'BAD':4}  {client.version:9} {row['page']}")
                reasons = row["trouble"] if row["connected"] else ["never connected", *row["trouble"]]
                for line in () if good else reasons:
                    print(f"        {line}", flush=True)
        (OUT / "pages-gateway.log").write_text(gateway.log())
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
