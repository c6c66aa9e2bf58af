"""The pages of the Control UI of each release, and one walk over them in a headless Chromium.

A page is reached in one of two ways: at one address with the gateway, behind the same proxy; or at a place of its own
from which it goes to the gateway, as a page on another host does, and then gateway.controlUi.allowedOrigins names it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import Any

from conformance.clients import TOKEN, Client
from conformance.gateways import OUT, Gateway
from conformance.sight import Sight

PAGES = {
    "2026.2.1": (
        *("overview", "chat", "channels", "instances", "sessions", "cron"),
        *("skills", "nodes", "config", "debug", "logs"),
    ),
    "2026.2.26": (
        *("overview", "chat", "channels", "instances", "sessions", "usage", "cron"),
        *("agents", "skills", "nodes", "config", "debug", "logs"),
    ),
    "2026.9.6": (
        *("chat", "new", "dashboard", "dashboards", "agents", "systems", "automations", "tasks", "plugins", "plugin"),
        *("sessions", "activity", "usage", "logs", "debug", "skills", "skills/workshop", "worktrees", "workboard"),
        *("apps", "meetings", "portals", "terminal", "custodian", "memory-import"),
        *("settings/profile", "settings/appearance", "settings/lobsterdex", "settings/notifications"),
        *("settings/connection", "settings/channels", "settings/communications", "settings/talk", "settings/devices"),
        *("settings/device", "settings/device/permissions", "settings/cloud-workers"),
        *("settings/agents", "settings/model-providers", "settings/search", "settings/plugins", "settings/skills"),
        *("settings/mcp", "settings/memory", "settings/automation", "settings/approvals", "settings/security"),
        *("settings/secrets", "settings/ai-agents", "settings/infrastructure", "settings/labs", "settings/updates"),
        *("settings/advanced", "settings/about"),
    ),
}
WITH_MODEL = {
    "2026.2.1": ("overview", "chat"),
    "2026.2.26": ("overview", "chat"),
    "2026.9.6": ("chat", "new", "custodian", "settings/model-providers"),
}
"""Seen a second time, from elsewhere, when the config names a model."""
MODEL: dict[str, Any] = {
    "models": {
        "providers": {
            "local": {
                "baseUrl": "http://127.0.0.1:9/v1",
                "apiKey": "a-key-of-the-conformance-run",
                "api": "openai-completions",
                "models": [{"id": "small", "name": "Small", "contextWindow": 32_000, "maxTokens": 4_000}],
            }
        }
    },
    "agents": {"defaults": {"model": {"primary": "local/small"}}},
}
_SESSIONS = ("chat/", "dashboard/")
"""Paths below which every session shows the same page."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LIMIT_SECONDS = 40.0
"""Seconds for one page on average, its restart included."""


def find_browser() -> str:
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise RuntimeError("there is no Chromium: apt-get install chromium, or put one on PATH")


def free_port() -> int:
    """A free port of this machine; it is hardly ever taken in the network of a user manager."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def allow(port: int) -> dict[str, Any]:
    """The keys of the config's `gateway` section for pages that are served from a port of their own."""
    return {"controlUi": {"allowedOrigins": [f"http://127.0.0.1:{port}"]}}


def walk(
    client: Client, gateway: Gateway, port: int, pages: tuple[str, ...], *, restart: bool = False, model: bool = False
) -> Iterator[Sight]:
    """The pages in their order, in one browser. With `restart`, the gateway restarts cold while each is open."""
    out = OUT / f"pages-{client.version}{'-model' if model else ''}"
    out.mkdir(parents=True, exist_ok=True)
    job = {
        "package": str(client.package),
        "browser": find_browser(),
        "port": port,
        "gateway": gateway.port,
        "token": TOKEN,
        "out": str(out),
        "elsewhere": model,
        "restart": restart,
        "pages": pages,
    }
    links: set[str] = set()
    with closing(played("pages.mjs", client, gateway, job, LIMIT_SECONDS * (len(pages) + 1))) as rows:
        for row in rows:
            links |= {path.strip("/") for path in row["links"]} | {row["at"].strip("/")}
            yield replace(Sight.of(client.version, row["page"], row), with_model=model, elsewhere=model)
    if pages == PAGES[client.version]:
        yield from (
            Sight(client.version, link, False, faults=("a page links to it, and nothing walks it",))
            for link in sorted(links - set(pages) - {""})
            if not link.startswith(_SESSIONS)
        )


def played(
    script: str, client: Client, gateway: Gateway, job: dict[str, Any], seconds: float
) -> Iterator[dict[str, Any]]:
    """The rows that a script beside this file prints, run by the client's Node where the gateway can be reached."""
    place = Path(__file__).with_name(script)
    return _rows([*gateway.enter, str(client.interpreter), str(place), json.dumps(job)], seconds, gateway.restart)


def _rows(words: list[str], seconds: float, restart: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The lines that the script prints. Its requests for a restart are answered. Its process group ends with this."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(words, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]
    watchdog = Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        with process:
            for line in process.stdout:
                row = json.loads(line)
                if "restart" in row:
                    restart()
                    process.stdin.write("\n")
                    process.stdin.flush()
                else:
                    yield row
        if process.returncode:
            raise RuntimeError(f"the walk ended with {process.returncode}")
    finally:
        watchdog.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
