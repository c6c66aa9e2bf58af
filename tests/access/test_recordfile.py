"""A book of devices on disk, beside what other programs and other versions write into it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.access import recordfile as module
from gateway.access.recordfile import RecordFile, overlay
from gateway.protocol.admission.pairing import Device, Pending, Token

RECORD = {"deviceId": "d", "publicKey": "k", "createdAtMs": 1, "approvedAtMs": 2}
DEVICE = Device(device_id="d", public_key="k", created_at_ms=1, approved_at_ms=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "devices" / "paired.json"


def write(path: Path, records: Any) -> RecordFile[Device]:
    path.parent.mkdir(exist_ok=True)
    path.write_text(records if isinstance(records, str) else json.dumps(records))
    return RecordFile(path, Device)


def other(id: str) -> Device:
    return Device(device_id=id, public_key="k", created_at_ms=1, approved_at_ms=2)


def test_without_a_file_nobody_is_known(path: Path) -> None:
    book = RecordFile(path, Device)
    assert book.records == {} and not path.parent.exists()
    book.save({"d": DEVICE})
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    assert RecordFile(path, Device).records == {"d": DEVICE}


def test_the_file_is_read_once(path: Path) -> None:
    book = write(path, {"d": RECORD})
    assert book.records == {"d": DEVICE}
    path.write_text("{}")
    assert book.records == {"d": DEVICE}


def test_what_is_only_set_is_not_on_disk_until_the_next_save(path: Path) -> None:
    book = write(path, {"d": RECORD})
    book.records = {**book.records, "e": other("e")}
    assert RecordFile(path, Device).records == {"d": DEVICE}
    book.save(book.records)
    assert RecordFile(path, Device).records == {"d": DEVICE, "e": other("e")}


def test_what_another_program_knows_stays(path: Path) -> None:
    book = write(path, {"d": {**RECORD, "displayName": "old", "colour": "red"}, "e": {**RECORD, "deviceId": "e"}})
    book.save({"d": DEVICE, "f": other("f")})
    told = json.loads(path.read_text())
    assert told.keys() == {"d", "f"}
    assert told["d"] == {**RECORD, "tokens": {}, "colour": "red"}


def test_a_record_that_is_not_understood_stays_and_the_others_are_known(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strange = {"deviceId": 7}
    book = write(path, {"s": strange, "d": RECORD})
    assert book.records == {"d": DEVICE} and "a record is left alone" in caplog.text
    book.save({})
    assert json.loads(path.read_text()) == {"s": strange}
    book.save({"s": DEVICE})
    assert json.loads(path.read_text()) == {"s": {**RECORD, "tokens": {}}}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"d": 1}', "[" * 100_000, '{"d": {"deviceId": "\udcff"}}'])
def test_a_corrupt_file_is_set_aside(path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    book = RecordFile(path, Device)
    assert book.records == {} and "is corrupt" in caplog.text
    book.save({"d": DEVICE})
    (aside,) = path.parent.glob("paired.json.corrupt-*")
    assert aside.read_bytes() == text.encode("utf-8", "surrogateescape")
    assert RecordFile(path, Device).records == {"d": DEVICE}


def test_a_file_that_cannot_be_read_is_never_overwritten(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.mkdir(parents=True)
    book = RecordFile(path, Device)
    assert book.records == {} and "cannot read" in caplog.text
    with pytest.raises(IsADirectoryError):
        book.save({"d": DEVICE})
    assert book.records == {} and path.is_dir()
    path.rmdir()
    path.write_text(json.dumps({"e": {**RECORD, "deviceId": "e"}}))
    assert book.records == {"e": other("e")}, "it is looked at again"
    book.save({**book.records, "d": DEVICE})
    assert RecordFile(path, Device).records == {"e": other("e"), "d": DEVICE}


def test_a_corrupt_file_that_cannot_be_set_aside_is_not_overwritten_either(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = write(path, "{")

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(PermissionError):
        book.save({"d": DEVICE})
    assert path.read_text() == "{" and book.records == {}


def test_a_save_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = write(path, {"d": {**RECORD, "colour": "red"}})
    before = book.records

    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "replace_text", full)
        with pytest.raises(OSError, match="No space"):
            book.save({})
    assert book.records is before and json.loads(path.read_text())["d"]["colour"] == "red"
    book.save(before)
    assert json.loads(path.read_text())["d"]["colour"] == "red"
    assert os.listdir(path.parent) == ["paired.json"]


def test_an_overlay_takes_what_the_record_no_longer_says_and_keeps_what_it_never_could() -> None:
    raw = {**RECORD, "displayName": "old", "colour": "red", "tokens": {
        "operator": {"role": "operator", "lastUsedAtMs": 5, "kept": 1},
        "node": {"role": "node", "kept": 2},
    }}  # fmt: skip
    token = Token(role="operator", scopes=(), created_at_ms=3, token="t")
    new = overlay(
        raw, Device(device_id="d", public_key="k2", created_at_ms=1, approved_at_ms=2, tokens={"operator": token})
    )
    assert new["publicKey"] == "k2" and new["colour"] == "red" and "displayName" not in new
    assert new["tokens"] == {
        "operator": {"role": "operator", "scopes": (), "createdAtMs": 3, "token": "t", "kept": 1},
    }


def test_one_that_waits_is_a_record_too(path: Path) -> None:
    waiting = Pending(device_id="d", public_key="k", request_id="r", ts=5)
    RecordFile(path, Pending).save({"r": waiting})
    assert RecordFile(path, Pending).records == {"r": waiting}
