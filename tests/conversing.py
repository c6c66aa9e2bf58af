"""Agents in the loop of a test, for whatever converses: what they say is the test's (`Scripted`)."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.runs.world import Agents


@asynccontextmanager
async def agents() -> AsyncIterator[Agents]:
    with tempfile.TemporaryDirectory(prefix="oc-") as folder:  # the address of a Unix socket is short (unix(7))
        made = Agents(Path(folder) / "agent.sock")
        await made.listen()
        try:
            yield made
        finally:
            await made.close()
