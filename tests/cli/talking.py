"""A gateway to talk to: a real process with the built-in echo, its commands, and a terminal for them."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.client.client import GatewayClient
from tests.cli.forked import Forked, run
from tests.program import Program
from tests.pty_screen import ENVIRON, Terminal

if TYPE_CHECKING:
    from subprocess import CompletedProcess

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

    def cli(self, *words: str, input: str = "", **environ: str) -> "CompletedProcess[str]":
        return run(words, {**self.environ, **environ}, input)

    def open(self, *words: str) -> Forked:
        """A command that goes on; nothing comes from its pipe."""
        return Forked(words, self.environ)

    def terminal(self, *words: str, **environ: str) -> Terminal:
        env = {**self.environ, **ENVIRON, **environ}
        return Terminal(partial(Forked, words, env))

    def call(self, method: str, **params: Any) -> Any:
        return asyncio.run(self._call(method, params))

    async def _call(self, method: str, params: dict[str, Any]) -> Any:
        token = (self.state / "gateway" / "token").read_text().strip()
        async with GatewayClient(self.environ["OPENCLAW_GATEWAY_URL"], token=token) as client:
            return await client.call(method, params)

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
