"""A core whose config file names agents and models, as the captures of OpenClaw's gateways had it."""

from pathlib import Path
from typing import Any

from gateway.config.files import Snapshot
from gateway.files.paths import Paths
from tests.fakes.core import PATHS, FakeCore

MODEL = {"id": "m1", "name": "Mock 1", "reasoning": False, "input": ["text"], "contextWindow": 200000}
CONFIG: dict[str, Any] = {
    "models": {"providers": {"mock": {"baseUrl": "http://127.0.0.1:9/v1", "apiKey": "x", "models": [MODEL]}}},
    "agents": {"defaults": {"model": {"primary": "mock/m1"}, "workspace": "/home/u/ws"}},
}


def configured(tree: dict[str, Any] | None = None, folder: Path | None = None) -> FakeCore:
    """`folder`: where its state lies; without one it has no database."""
    paths = PATHS if folder is None else Paths(config=folder / "openclaw.json", state=folder, runtime=folder)
    return FakeCore(paths=paths, snapshot=Snapshot(paths.config, True, (), merged=CONFIG if tree is None else tree))
