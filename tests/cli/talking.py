"""A gateway to talk to: a real process with the built-in echo, its commands, and a terminal for them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.program import Program
from tests.terminal import ENVIRON, Terminal

ECHO = "You said: "
PACE_MS = 10
LONG = " ".join(f"w{number}" for number in range(2000))
"""A question whose answer takes longer than a test."""


class Talking(Program):
    """Commands find it by themselves."""

    def __init__(self, folder: Path, pace_ms: int = PACE_MS) -> None:
        super().__init__(folder)
        self.environ["OPENCLAW_GATEWAY_URL"] = f"ws://127.0.0.1:{self.port}"
        self.environ.pop("NO_COLOR", None)
        self.write({"models": {"providers": {"builtin": {"paceMs": pace_ms}}}})

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gateway", *words]

    def cli(self, *words: str, input: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.words(*words), input=input, env={**self.environ, **environ}, capture_output=True, text=True, timeout=60
        )

    def open(self, *words: str) -> "subprocess.Popen[str]":
        """A command that goes on; nothing comes from its pipe."""
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        return subprocess.Popen(
            self.words(*words), stdin=nothing, stdout=pipe, stderr=pipe, env=self.environ, text=True
        )

    def terminal(self, *words: str, **environ: str) -> Terminal:
        env = {**self.environ, **ENVIRON, **environ}
        return Terminal(lambda **options: subprocess.Popen(self.words(*words), env=env, **options))

    def call(self, method: str, **params: Any) -> Any:
        done = self.cli("call", method, json.dumps(params))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def said(self, session: str) -> list[str]:
        """The transcript: `role: text` of each message."""
        messages = self.call("chat.history", sessionKey=session)["messages"]
        return [f"{each['role']}: {''.join(b.get('text', '') for b in each['content'])}" for each in messages]

    def busy(self, session: str) -> bool:
        """An answer is being written."""
        return bool(self.call("chat.history", sessionKey=session)["sessionInfo"]["hasActiveRun"])

    def crash(self) -> None:
        """And come again."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.start()
