"""The model provider of the tests, where the gateway can reach it, and a config that names its models."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conformance.clients import PROJECT
from conformance.pages import free_port

MODEL, NAME = "m1", "Swift"
OTHER_MODEL, OTHER_NAME = "m2", "Thorough"


def config(port: int) -> dict[str, Any]:
    """Sections of a config whose default model is `MODEL`; a second one can be chosen."""
    rows = [_model(MODEL, NAME), _model(OTHER_MODEL, OTHER_NAME)]
    local = {"baseUrl": f"http://127.0.0.1:{port}/v1", "apiKey": "a-key", "api": "openai-completions", "models": rows}
    return {
        "models": {"providers": {"mock": local}},
        "agents": {"defaults": {"model": {"primary": f"mock/{MODEL}"}}},
    }


@contextmanager
def provider(enter: tuple[str, ...] = ()) -> Iterator[int]:
    """`enter` are words before the command that lead to where the gateway is. Its port, once it serves."""
    port = free_port()
    words = [*enter, sys.executable, "-u", "-m", "tests.agent.provider", "--port", str(port)]
    with subprocess.Popen(words, cwd=PROJECT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"the model provider of the tests does not start on port {port}")
            yield port
        finally:
            process.terminate()


def _model(id: str, name: str) -> dict[str, Any]:
    costs = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
    return {
        "id": id,
        "name": name,
        "reasoning": False,
        "input": ["text"],
        "cost": costs,
        "contextWindow": 200_000,
        "maxTokens": 4_096,
    }
