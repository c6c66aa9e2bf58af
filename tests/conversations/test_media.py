"""What clients call their files, what is kept of them, and what the model is told."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conversations import media
from gateway.conversations.media import (
    FOLDER,
    MAX_STEM,
    MAX_TOLD,
    UNKNOWN,
    Attachment,
    NotKept,
    id_of,
    keep,
    kind_of,
    told,
)

ID = 36
"""Characters of a UUID."""


@pytest.mark.parametrize(
    ("name", "mime", "head", "ending"),
    [
        ("a.pdf", "application/pdf", "a---", ".pdf"),
        ("../../../etc/passwd", UNKNOWN, "passwd---", ""),
        ("..\\..\\boot.ini", UNKNOWN, "boot---", ".ini"),
        ("/abs/olute.txt", "text/plain", "olute---", ".txt"),
        ("..", UNKNOWN, "", ""),
        ("", "application/pdf", "", ".pdf"),
        (".htaccess", UNKNOWN, "htaccess---", ""),
        ("a b\n[x]\0.txt", "text/plain", "a_b_x---", ".txt"),
        ("Ü\u0308bersicht — März.csv", "text/csv", "Ü_bersicht_März---", ".csv"),
        ("-rf.txt", "text/plain", "-rf---", ".txt"),
        ("x.tar.gz", UNKNOWN, "x.tar---", ".gz"),
        ("report.no ending", "application/pdf", "report.no_ending---", ".pdf"),
        ("\ud800half.txt", "text/plain", "half---", ".txt"),
        ("x" * 5000 + ".pdf", "application/pdf", "x" * MAX_STEM + "---", ".pdf"),
    ],
)
def test_a_name_on_the_disk_shows_the_clients_and_leads_nowhere(name: str, mime: str, head: str, ending: str) -> None:
    found = id_of(name, mime)
    assert (found[: len(head)], found[len(head) + ID :]) == (head, ending)
    assert id_of(name, mime) != found


@given(st.text(max_size=300), st.sampled_from(["application/pdf", UNKNOWN, "text/plain", "x/y"]))
def test_any_name_gives_one_that_every_file_system_takes(name: str, mime: str) -> None:
    found = id_of(name, mime)
    assert os.sep not in found and "\\" not in found and not found.startswith(".") and found.isprintable()
    assert len(os.fsencode(found)) <= 255


@given(st.text(max_size=400))
def test_any_name_stays_within_its_line(name: str) -> None:
    line = told("", [Attachment(name, "text/plain", "")], [Path("/state/media/inbound/x")])
    assert line.startswith("[media attached: /state/media/inbound/x (text/plain)") and line.endswith("]")
    assert line.count("]") == 1 and len(line.splitlines()) == 1 and len(line) < 2 * MAX_TOLD + 100
    line.encode()


@pytest.mark.parametrize(
    ("said", "name", "kind"),
    [
        ("application/pdf", "a.txt", "application/pdf"),
        ("text/plain; charset=utf-8", "a", "text/plain"),
        ("Image/PNG", "a", "image/png"),
        (None, "notes.txt", "text/plain"),
        (UNKNOWN, "photo.png", "image/png"),
        (None, "nothing", UNKNOWN),
        ("x) [y](", "a", UNKNOWN),
        (5, "a", UNKNOWN),
    ],
)
def test_what_kind_it_is(said: object, name: str, kind: str) -> None:
    assert kind_of(said, name) == kind


def test_several_files_are_told_one_a_line() -> None:
    files = [Attachment("a.pdf", "application/pdf", ""), Attachment("", "text/plain", "")]
    assert told("look", files, [Path("/m/1"), Path("/m/2")]).split("\n") == [
        "look",
        '[media attached: /m/1 (application/pdf) "a.pdf"]',
        "[media attached: /m/2 (text/plain)]",
    ]


def test_they_are_the_users_alone(tmp_path: Path) -> None:
    (path,) = keep(tmp_path, [Attachment("a.txt", "text/plain", "aGk=")])
    assert path.parent == tmp_path / FOLDER and path.read_bytes() == b"hi"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_on_a_full_disk_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        if len(os.listdir(tmp_path / FOLDER)) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotKept, match=f"cannot be kept in {tmp_path / FOLDER}: No space left on device"):
        keep(tmp_path, [Attachment("a", UNKNOWN, "aGk="), Attachment("b", UNKNOWN, "aGk=")])
    assert os.listdir(tmp_path / FOLDER) == []


@pytest.mark.parametrize(("bound", "value"), [("MAX_KEPT", 6), ("MAX_KEPT_FILES", 2)])
def test_there_is_room_up_to_a_bound_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(media, bound, value)
    three_bytes = Attachment("a", UNKNOWN, "YWJj")
    keep(tmp_path, [three_bytes, three_bytes])
    with pytest.raises(NotKept, match=f"may have {value}: delete some"):
        keep(tmp_path, [three_bytes])
    assert len(os.listdir(tmp_path / FOLDER)) == 2


def test_a_file_that_goes_while_they_are_counted_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    @contextmanager
    def emptied(folder: Path) -> Iterator[Iterable[os.DirEntry[str]]]:
        with scandir(folder) as found:
            entries = list(found)
        for entry in entries:
            Path(entry).unlink()
        yield entries

    keep(tmp_path, [Attachment("a", UNKNOWN, "aGk=")])
    monkeypatch.setattr(os, "scandir", emptied)
    (kept,) = keep(tmp_path, [Attachment("b", UNKNOWN, "aGk=")])
    assert kept.read_bytes() == b"hi"
