"""What an upgrade, an uninstall and a killed installer do to the files below a running process."""

from collections.abc import Callable
from pathlib import Path

import pytest

import gateway
from gateway.files.installed import ImportGuard, Installation
from tests.files.site import BROKEN, REPLACED, installation, make_site, upgrade


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path)


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


def test_what_is_looked_at_is_the_whole_package() -> None:
    package = Path(gateway.__file__).parent
    assert Installation().inspect() == Installation(package).inspect()
    assert Installation().inspect().package is not None
