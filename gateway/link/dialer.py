"""Chooses the agent: systemd's, where it has one for this gateway, otherwise a child of our own."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from gateway.link.child import Child
from gateway.link.messages import MAX_LINE
from gateway.link.stream import Stream


class Dialer:
    def __init__(self, unit: Path | None, environ: Mapping[str, str], inherited: Mapping[str, int]) -> None:
        """`unit`: the socket on which systemd listens for an agent; it may not exist. `inherited`: descriptors by
        name."""
        self._unit = unit
        self._child = Child(environ, inherited)

    async def __call__(self) -> Stream:
        """Connect to the agent. Raises OSError."""
        if self._unit is not None and self._unit.exists():
            return await by_path(str(self._unit))
        return await self._child.dial()

    @property
    def passed(self) -> list[tuple[str, int]]:
        """Names and descriptors for the next image in this process."""
        return self._child.passed


async def by_path(path: str) -> Stream:
    """Connect to the agent of a socket unit. Raises OSError."""
    return await asyncio.open_unix_connection(path, limit=MAX_LINE)
