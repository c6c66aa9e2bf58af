"""Which agent is asked: systemd's, where it has one for this gateway, else a child of our own."""

from collections.abc import Mapping
from pathlib import Path

from gateway.link.child import Child
from gateway.link.client import Stream, by_path


class Dialer:
    def __init__(self, unit: Path | None, environ: Mapping[str, str], inherited: Mapping[str, int]) -> None:
        """`unit`: where systemd listens for an agent, if it is there; `inherited`: descriptors by name."""
        self._unit = unit
        self._child = Child(environ, inherited)

    async def __call__(self) -> Stream:
        """Raises OSError."""
        if self._unit is not None and self._unit.exists():
            return await by_path(str(self._unit))
        return await self._child.dial()

    @property
    def passed(self) -> list[tuple[str, int]]:
        """What the next image in this process gets."""
        return self._child.passed
