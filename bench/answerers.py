"""Who answers in bench/answers.py: the model provider itself, the gateway, and beside it LiteLLM's proxy and OpenClaw.

All of them with the fake provider of the tests behind them, which is a process of its own.
"""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.launcher import Launched
from bench.programs import CONFIG, PROJECT, Installation, Program, openclaw
from conformance import providing
from conformance.pages import free_port

TOKEN = "bench"
READY = "/readyz"
LITELLM = "litellm[proxy]"
LITELLM_VENV = PROJECT / ".cache" / "bench" / "litellm"
INSTALL_S = 600.0
START_S = 120.0
"""LiteLLM and OpenClaw take 5 to 20 s."""


@dataclass(frozen=True)
class Way:
    """How an answer is asked for: options of answers_load.py."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Answerer:
    name: str
    port: int
    ways: Sequence[Way]
    process: Launched | None = None
    """None for the provider: what it costs is nobody's concern."""
    share: float = 1.0
    """Share of the others' questions that this answerer gets, because it takes longer."""

    def processes(self) -> list[int]:
        """The pids of the program: the first process, then its descendants."""
        return [] if self.process is None else _family(self.process.pid)


WEBSOCKET = Way("WebSocket", ("--via=ws",))


def over_http(token: str = TOKEN, model: str = providing.MODEL) -> Way:
    return Way("HTTP", ("--via=http", f"--token={token}", f"--model={model}"))


@contextmanager
def provider() -> Iterator[Answerer]:
    with providing.provider() as port:
        yield Answerer("the provider", port, [over_http()])


@contextmanager
def gateway(installation: Installation, model: Answerer | None, cpu: int | None) -> Iterator[Answerer]:
    """Without a model the built-in echo answers."""

    def config(folder: Path) -> str:
        return json.dumps({**_config(model), "logging": {"file": str(folder / "gateway.log")}})

    with Launched(installation.gateway(), config, cpu) as process:
        process.take_everything()
        yield Answerer("gateway", process.port, [WEBSOCKET, over_http(model="openclaw")], process)


@contextmanager
def litellm(model: Answerer, cpu: int | None) -> Iterator[Answerer | str]:
    """Why it is not there, if it is not."""
    try:
        version = _install_litellm()
    except (OSError, subprocess.SubprocessError) as error:
        yield f"LiteLLM could not be installed: {error}"
        return
    parameters = {
        "model": f"openai/{providing.MODEL}",
        "api_base": f"http://127.0.0.1:{model.port}/v1",
        "api_key": "none",
    }
    config = json.dumps({"model_list": [{"model_name": providing.MODEL, "litellm_params": parameters}]})
    port = free_port()
    command = [str(LITELLM_VENV / "bin" / "python"), "-c", "from litellm import run_server; run_server()"]
    options = ["--config", CONFIG, "--host", "127.0.0.1", "--port", str(port)]
    # It asks its authors' server for prices at each start unless told not to.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": f"sk-{TOKEN}"}
    program = Program(f"LiteLLM {version}", [*command, *options], environment)
    with Launched(program, lambda folder: config, cpu) as process:
        until_up(process, port, "/health/liveliness")
        yield Answerer(program.name, port, [over_http(f"sk-{TOKEN}")], process)


@contextmanager
def real(model: Answerer, cpu: int | None) -> Iterator[Answerer | str]:
    """OpenClaw's own gateway; why it is not there, if it is not."""
    program = openclaw()
    if program is None:
        yield "OpenClaw is not installed: make conformance does that"
        return
    port = free_port()
    program = replace(program, words=[word.replace("$PORT", str(port)) for word in program.words])
    config = _config(model, mode="local", port=port, bind="loopback")
    config["agents"]["defaults"]["maxConcurrent"] = 100  # sessions that are answered at once; ours has 256
    with Launched(program, lambda folder: json.dumps(config), cpu) as process:
        until_up(process, port, READY)
        yield Answerer(program.name, port, [WEBSOCKET, over_http(model="openclaw")], process, share=0.15)


def _config(model: Answerer | None, **more: object) -> dict[str, Any]:
    """The config's sections that both gateways understand."""
    endpoints = {"chatCompletions": {"enabled": True}}
    sections = {"gateway": {"auth": {"mode": "token", "token": TOKEN}, "http": {"endpoints": endpoints}, **more}}
    return sections | (providing.config(model.port) if model else {})


def _install_litellm() -> str:
    """Its version. Raises OSError or SubprocessError where it is not there and cannot be brought."""
    if not LITELLM_VENV.exists():
        print(f"installing {LITELLM} for comparison ...", file=sys.stderr, flush=True)
        partial = LITELLM_VENV.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _call(sys.executable, "-m", "venv", str(partial))
        _call(str(partial / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", LITELLM)
        partial.rename(LITELLM_VENV)
    code = "import importlib.metadata as m; print(m.version('litellm'))"
    return _call(str(LITELLM_VENV / "bin" / "python"), "-c", code).strip()


def _call(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=INSTALL_S)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise OSError(f"{' '.join(command[:4])} failed: {last}")
    return done.stdout


def until_up(process: Launched, port: int, path: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}"):
            return
        time.sleep(0.2)
    raise TimeoutError(f"{process.program.name} did not start within {START_S:g} s")


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(each for child in children for each in _family(int(child)))]
