"""Who answers in bench/answers.py: the model provider itself, the gateway, and beside it LiteLLM's proxy and OpenClaw.

All of them with the fake provider of the tests behind them, which is a process of its own.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bench.launcher import Launched
from bench.programs import CONFIG, PROJECT, Installation, Program, openclaw

TOKEN = "bench"
MODEL = "m1"
LITELLM = "litellm[proxy]"
LITELLM_VENV = PROJECT / ".cache" / "bench" / "litellm"
INSTALL_S = 600.0
START_S = 90.0
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
    """Of the questions that the others get, for who takes longer."""

    def processes(self) -> list[int]:
        """Of the program: its first one, then its children and theirs."""
        return [] if self.process is None else _family(self.process.pid)


WEBSOCKET = Way("WebSocket", ("--via=ws",))


def over_http(token: str = TOKEN, model: str = MODEL) -> Way:
    return Way("HTTP", ("--via=http", f"--token={token}", f"--model={model}"))


@contextmanager
def provider(installation: Installation) -> Iterator[Answerer]:
    command = [str(installation.python), "-m", "tests.agent.provider", "--port=0"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline().rpartition(":")[2])
            yield Answerer("provider itself", port, [over_http()])
        finally:
            process.kill()


@contextmanager
def gateway(installation: Installation, model: Answerer | None, cpu: int | None) -> Iterator[Answerer]:
    """Without a model it is the built-in echo that answers."""
    ways = [WEBSOCKET]
    with Launched(installation.gateway(), lambda folder: _config(folder, model), cpu) as process:
        process.take_everything()
        yield Answerer("gateway", process.port, ways, process)


@contextmanager
def litellm(model: Answerer, cpu: int | None) -> Iterator[Answerer | str]:
    """Why it is not there, if it is not."""
    try:
        version = _install_litellm()
    except (OSError, subprocess.SubprocessError) as error:
        yield f"LiteLLM could not be installed: {error}"
        return
    parameters = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{model.port}/v1", "api_key": "none"}
    config = json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": parameters}]})
    port = _free_port()
    command = [str(LITELLM_VENV / "bin" / "python"), "-c", "from litellm import run_server; run_server()"]
    options = ["--config", CONFIG, "--host", "127.0.0.1", "--port", str(port)]
    # It asks its authors' server for prices at each start unless told not to.
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": f"sk-{TOKEN}"}
    program = Program(f"LiteLLM {version}", [*command, *options], environment)
    with Launched(program, lambda folder: config, cpu) as process:
        _until_up(port, "/health/liveliness", process)
        yield Answerer(program.name, port, [over_http(f"sk-{TOKEN}")], process)


@contextmanager
def real(model: Answerer, cpu: int | None) -> Iterator[Answerer | str]:
    """OpenClaw's own gateway; why it is not there, if it is not."""
    program = openclaw()
    if program is None:
        yield "OpenClaw is not installed: make conformance does that"
        return
    port = _free_port()
    program = replace(program, words=[word.replace("$PORT", str(port)) for word in program.words])
    with Launched(program, lambda folder: json.dumps(_real_config(port, model)), cpu) as process:
        _until_up(port, "/readyz", process)
        yield Answerer(program.name, port, [WEBSOCKET, over_http(model="openclaw")], process, share=0.15)


def _config(folder: Path, model: Answerer | None) -> str:
    logging = {"file": str(folder / "gateway.log")}
    config = {"gateway": {"auth": {"token": TOKEN}}, "logging": logging}
    return json.dumps(config | (asking(f"http://127.0.0.1:{model.port}/v1") if model else {}))


def asking(base_url: str) -> dict[str, object]:
    """What both gateways' configs say of a model behind this address."""
    fake = {"baseUrl": base_url, "apiKey": "none", "api": "openai-completions", "models": [_LISTED]}
    return {
        "models": {"providers": {"fake": fake}},
        "agents": {"defaults": {"model": {"primary": f"fake/{MODEL}"}}},
    }


_LISTED = {
    "id": MODEL,
    "name": MODEL,
    "reasoning": False,
    "input": ["text"],
    "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
    "contextWindow": 200_000,
    "maxTokens": 8192,
}


def _real_config(port: int, model: Answerer) -> dict[str, object]:
    config = asking(f"http://127.0.0.1:{model.port}/v1")
    auth = {"mode": "token", "token": TOKEN}
    http = {"endpoints": {"chatCompletions": {"enabled": True}}}
    return {**config, "gateway": {"mode": "local", "port": port, "auth": auth, "http": http}}


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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _until_up(port: int, path: str, process: Launched) -> None:
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
