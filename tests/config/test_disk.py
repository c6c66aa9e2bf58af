"""Where files of a config may lie, and what is remembered of them."""

from pathlib import Path

import pytest

from gateway.config.disk import Disk
from gateway.config.files import Snapshot, read


def save(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def only(found: Snapshot) -> str:
    [issue] = found.issues
    return str(issue)


def test_a_file_of_secrets_is_noted_and_counted() -> None:
    disk, other = Disk(), Disk()
    disk.record_secret_file("/s", None)
    assert disk.files == [Path("/s")] and disk.digest.digest() == other.digest.digest() and disk.total == 0
    disk.record_secret_file("/s", b"x")
    assert disk.digest.digest() != other.digest.digest() and disk.total == 0


@pytest.fixture
def apart(tmp_path: Path) -> tuple[Path, Path]:
    """A config's folder, and one beside it whose name begins alike, with a file of another program's."""
    home, other = tmp_path / "home", tmp_path / "home-of-another"
    home.mkdir()
    other.mkdir()
    save(other / "more.json", "{secret: 'theirs'}")
    return home, other


OUTSIDE = "does not lie in the folder of the config (move it there, or add its folder to OPENCLAW_INCLUDE_ROOTS)"


@pytest.mark.parametrize("name", ["{other}/more.json", "../home-of-another/more.json", "link.json", "d/more.json",
                                  "../home/../home-of-another/more.json", "{other}/none.json"])  # fmt: skip
def test_an_included_file_lies_where_the_config_does(apart: tuple[Path, Path], name: str) -> None:
    """OC-06, CVE-2026-32061."""
    home, other = apart
    (home / "link.json").symlink_to(other / "more.json")
    (home / "d").symlink_to(other)
    text = "{\n gateway: {$include: '" + name.format(other=other) + "'}}"
    found = read(save(home / "openclaw.json", text), {})
    (issue,) = found.issues
    assert str(issue).endswith(OUTSIDE) and (issue.line, issue.path) == (2, "gateway.$include")
    assert str(issue).startswith(f"{home}/openclaw.json:2:22: gateway.$include: ")
    assert "theirs" not in str(found.merged)
    # The message stays the same whether the file is there or not.
    assert "cannot be read" not in issue.message


@pytest.mark.parametrize("roots", ["{other}", "/nowhere:{other}", "relative:{other}/", "{link}", "/", ":{other}:"])
@pytest.mark.parametrize("by_dotenv", [False, True])
def test_folders_that_somebody_names_are_read_too(apart: tuple[Path, Path], roots: str, by_dotenv: bool) -> None:
    home, other = apart
    link = home.parent / "link"
    link.symlink_to(other)
    named = roots.format(other=other, link=link)
    if by_dotenv:
        (home / ".env").write_text(f"OPENCLAW_INCLUDE_ROOTS={named}\n")
    config = save(home / "openclaw.json", f"{{$include: '{other}/more.json'}}")
    assert read(config, {} if by_dotenv else {"OPENCLAW_INCLUDE_ROOTS": named}).merged == {"secret": "theirs"}


@pytest.mark.parametrize("roots", ["", ".", "..", "home-of-another", "/nowhere"])
def test_what_is_no_absolute_folder_opens_nothing(
    apart: tuple[Path, Path], roots: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = apart
    monkeypatch.chdir(home.parent)
    config = save(home / "openclaw.json", f"{{$include: '{other}/more.json'}}")
    assert OUTSIDE in only(read(config, {"OPENCLAW_INCLUDE_ROOTS": roots}))


def test_a_config_that_is_a_link_brings_the_files_beside_it(apart: tuple[Path, Path]) -> None:
    home, other = apart
    (home / "openclaw.json").symlink_to(save(other / "openclaw.json", "{$include: './more.json'}"))
    (home / "more.json").symlink_to(other / "more.json")
    assert read(home / "openclaw.json", {}).merged == {"secret": "theirs"}
