"""What an upgrade, an uninstall and a killed installer do to the files below a running process."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gateway
from gateway.files.installed import ImportGuard, Installation
from gateway.process import background
from gateway.process.background import UNFINISHED_S, watch_installation

OURS = "openclaw_gateway-0.1.0.dist-info"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as pip leaves it."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text('__version__ = "0.1.0"')
    for name in (OURS, "starlette-1.0.dist-info"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "RECORD").write_text(name)
    return tmp_path


def installation(site: Path) -> Installation:
    (site / "python").touch()
    return Installation(site / "gateway", str(site / "python"))


def upgrade(site: Path) -> None:
    (site / OURS).rename(site / "openclaw_gateway-0.2.0.dist-info")
    (site / "new").write_text('__version__ = "0.2.0"')
    os.replace(site / "new", site / "gateway" / "__init__.py")


def reinstall_the_same(site: Path) -> None:
    (site / "new").write_text(OURS)
    os.replace(site / "new", site / OURS / "RECORD")


def upgrade_a_library(site: Path) -> None:
    (site / "starlette-1.0.dist-info").rename(site / "starlette-1.1.dist-info")


def another_python(site: Path) -> None:
    (site / "python").unlink()
    (site / "python").symlink_to(sys.executable)


def kill_the_installer(site: Path) -> None:
    (site / OURS / "RECORD").unlink()


def remove_everything(site: Path) -> None:
    shutil.rmtree(site)


REPLACED: list[Callable[[Path], None]] = [upgrade, reinstall_the_same, upgrade_a_library, another_python]
BROKEN: dict[Callable[[Path], None], str] = {kill_the_installer: "it has no RECORD", remove_everything: "is gone"}


@pytest.mark.parametrize("how", [*REPLACED, *BROKEN])
def test_what_replaces_files_is_seen(site: Path, how: Callable[[Path], None]) -> None:
    installed = installation(site)
    assert not installed.stale
    how(site)
    look = installed.inspect()
    assert installed.replaced(look)
    problem = installed.problem(look)
    assert (BROKEN[how] in str(problem)) if how in BROKEN else problem is None


def test_what_is_installed_beside_us_is_nothing_to_us(site: Path) -> None:
    installed = installation(site)
    (site / "six-1.0.dist-info").mkdir()
    (site / "__pycache__").mkdir()
    assert not installed.stale


def test_a_checkout_has_no_record_and_misses_none(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").touch()
    installed = installation(tmp_path)
    look = installed.inspect()
    assert look.version == "" and not installed.replaced(look) and installed.problem(look) is None


def test_the_version_that_is_installed_is_told(site: Path) -> None:
    installed = installation(site)
    assert installed.inspect().version == "0.1.0"
    upgrade(site)
    assert installed.inspect().version == "0.2.0"


def test_more_of_this_program_is_imported_only_while_it_is_the_same(site: Path) -> None:
    guard = ImportGuard(installation(site))
    guard.find_spec("gateway.agent.providers.source", None)
    upgrade(site)
    guard.find_spec("openai", None)
    with pytest.raises(ImportError, match=r"gateway\.agent\.providers\.source is not imported: .* replaced or removed"):
        guard.find_spec("gateway.agent.providers.source", None)


class Looking:
    """`watch_installation`, at the pace of the test: `look` lets it look once more."""

    def __init__(self, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(background, "LOOK_S", 0)
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
        async with asyncio.timeout(10):
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


def test_what_is_looked_at_is_the_whole_package() -> None:
    package = Path(gateway.__file__).parent
    assert Installation().inspect() == Installation(package).inspect()
    assert Installation().inspect().package is not None
