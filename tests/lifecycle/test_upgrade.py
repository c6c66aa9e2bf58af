import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.lifecycle import upgrade as upgrade_module
from gateway.lifecycle.upgrade import UNFINISHED_S, watch_installation
from tests.files.site import BROKEN, REPLACED, installation, make_site
from tests.slack import LIMIT_S


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path)


class Looking:
    """`watch_installation`, at the pace of the test: `look` lets it look once more."""

    def __init__(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(upgrade_module, "LOOK_EVERY_S", 0)
        self.now = 0.0
        self.told: list[str] = []
        self._looks = 0
        self._installed = installation(site)
        real = self._installed.inspect

        def look() -> object:
            self._looks += 1
            return real()

        monkeypatch.setattr(self._installed, "inspect", look)

    async def __aenter__(self) -> "Looking":
        watching = watch_installation(self._installed, self.told.append, lambda: self.now)
        self._task = asyncio.create_task(watching)
        await self.look()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def look(self) -> None:
        """At least two whole looks, so that what has come to rest is seen to be."""
        until = self._looks + 4
        async with asyncio.timeout(LIMIT_S):
            while self._looks < until:
                await asyncio.sleep(0)


@pytest.mark.parametrize("how", REPLACED)
def test_a_replaced_program_is_told_once(
    site: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[Path], None]
) -> None:
    async def test() -> None:
        async with Looking(site, monkeypatch) as watched:
            assert watched.told == []
            how(site)
            await watched.look()
            assert len(watched.told) == 1
            await watched.look()
            assert len(watched.told) == 1
            upgrade_again(site)
            await watched.look()
            assert len(watched.told) == 2

    asyncio.run(test())


def upgrade_again(site: Path) -> None:
    shutil.rmtree(site / "starlette-1.0.dist-info", ignore_errors=True)
    (site / "gateway" / "__init__.py").write_text("much later")


@pytest.mark.parametrize("how", BROKEN)
def test_an_installer_has_time_to_finish(
    site: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[Path], None]
) -> None:
    async def test() -> None:
        async with Looking(site, monkeypatch) as watched:
            how(site)
            watched.now = UNFINISHED_S - 1
            await watched.look()
            watched.now += UNFINISHED_S - 1
            await watched.look()
            assert watched.told == []
            watched.now += 1
            await watched.look()
            assert len(watched.told) == 1

    asyncio.run(test())
