"""What is taken over from this machine's apt and pip, and what is not."""

from pathlib import Path

import pytest

from tests.distros import sources
from tests.distros.root import NESTED, Unavailable, hold


def said(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sources, "_said", lambda *command: text)


def test_the_archive_is_debians_own_and_not_its_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    said(
        monkeypatch,
        "Docker Docker CE http://a.invalid/\nDebian Debian-Security http://s.invalid/\nDebian Debian http://d.invalid/\n",
    )
    assert sources.mirror() == "http://d.invalid/"


def test_of_apt_it_takes_how_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ['Acquire::http::Proxy "http://p.invalid:1/";', 'Acquire::Check-Valid-Until "false";']
    left = ['Acquire::https "";', 'Acquire::cdrom::mount "/media/cdrom/";', 'Acquire::IndexTargets::deb "x";']
    said(monkeypatch, "\n".join([*left, *kept]))
    assert sources.apt_options().splitlines() == kept


def test_of_pip_it_takes_the_indexes_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    said(
        monkeypatch,
        ":env:.index-url='https://e.invalid'\nglobal.constraint='/c.txt'\nglobal.find-links='/a\\n/b'\n"
        "global.index-url='https://g.invalid'\nfreeze.find-links='/c'\n",
    )
    assert sources.pip_options() == {"index-url": "https://e.invalid", "find-links": "/a\n/b"}


def test_folders_that_are_an_index_are_seen_from_inside(tmp_path: Path) -> None:
    for name in ("index/simple", "wheels"):
        (tmp_path / name).mkdir(parents=True)
    options = {
        "index-url": "https://i.invalid/simple",
        "extra-index-url": f"file://{tmp_path}/index/simple file:///nonexistent/x/simple",
        "find-links": f"{tmp_path}/wheels https://w.invalid/ file:///",
    }
    assert sources.pip_folders(options) == [tmp_path / "index", tmp_path / "wheels"]


def test_a_release_that_no_archive_has_is_told() -> None:
    assert "unknown url type" in str(sources.silence("nowhere", "trixie"))


def test_it_does_not_run_within_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NESTED, "sid")
    with pytest.raises(Unavailable, match="already"), hold("trixie"):
        pass
