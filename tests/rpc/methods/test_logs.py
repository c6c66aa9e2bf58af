"""`logs.tail` against real files."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.hub.connection import Connection
from gateway.logs.handlers import JsonlHandler
from gateway.protocol.frames import decode_request
from gateway.protocol.scopes import READ
from gateway.rpc.dispatch import Dispatcher
from gateway.rpc.methods.logs import logs_tail
from gateway.rpc.registry import Call, Registry
from tests.carrier import FakeCarrier
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer


def make_core(file: Path | None) -> FakeCore:
    """It logs to `file`."""
    return FakeCore(shown={"log_file": str(file) if file else None})


def ask(file: Path | None, protocol: int = 4, **params: Any) -> dict[str, Any]:
    frame = call(make_core(file), make_peer(protocol, READ), "logs.tail", params, (logs_tail,))
    assert frame["ok"], frame
    answer: dict[str, Any] = frame["payload"]
    return answer


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "x.log"
    file.write_text("one\ntwo\nthree\n")
    return file


def test_the_end_of_the_file_then_what_has_come_since(log: Path) -> None:
    first = ask(log)
    assert first == {
        "file": str(log), "cursor": 14, "size": 14, "lines": ["one", "two", "three"], "truncated": False,
        "reset": False,
    }  # fmt: skip
    assert ask(log, cursor=14)["lines"] == []
    with log.open("a") as file:
        file.write("four\n")
    again = ask(log, cursor=14)
    assert (again["lines"], again["cursor"], again["reset"], again["truncated"]) == (["four"], 19, False, False)


def test_an_unfinished_line_is_left_for_the_next_call(log: Path) -> None:
    with log.open("a") as file:
        file.write("fo")
    first = ask(log)
    assert (first["lines"][-1], first["cursor"], first["size"]) == ("three", 14, 16)
    with log.open("a") as file:
        file.write("ur\n")
    assert ask(log, cursor=first["cursor"])["lines"] == ["four"]


def test_a_line_cut_in_two_by_max_bytes_is_dropped(log: Path) -> None:
    assert ask(log, maxBytes=8)["lines"] == ["three"]
    assert ask(log, maxBytes=10)["lines"] == ["two", "three"]
    assert ask(log, maxBytes=8)["truncated"] and not ask(log, maxBytes=14)["truncated"]
    assert ask(log, maxBytes=8)["reset"] is False


def test_a_cursor_that_is_left_behind_is_reset_and_says_what_is_missing(log: Path) -> None:
    answer = ask(log, cursor=0, maxBytes=8)
    assert (answer["lines"], answer["truncated"], answer["reset"]) == (["three"], True, True)
    assert answer["skippedBytes"] == 8
    assert "skippedBytes" not in ask(log, protocol=3, cursor=0, maxBytes=8)


def test_a_shorter_file_resets(log: Path) -> None:
    answer = ask(log, cursor=1000)
    assert (answer["lines"], answer["reset"], answer["truncated"]) == (["one", "two", "three"], True, False)
    assert ask(log, cursor=1000, maxBytes=6)["truncated"]


def test_a_longer_file_in_its_place_resets(log: Path, tmp_path: Path) -> None:
    """Also when the cursor happens to be the beginning of a line there: the client's connection is remembered."""
    who = Call(make_core(log), Connection("c", "r", FakeCarrier(), peer=make_peer(4, READ)), make_peer(4, READ))
    dispatcher = Dispatcher(Registry((logs_tail,)))

    def tail(**params: Any) -> dict[str, Any]:
        import asyncio

        request = {"type": "req", "id": "1", "method": "logs.tail", "params": params}
        later = dispatcher.answer(who, decode_request(json.dumps(request)))
        assert not isinstance(later, str)
        payload: dict[str, Any] = json.loads(asyncio.run(later()))["payload"]
        return payload

    assert tail()["cursor"] == 14
    fresh = tmp_path / "fresh"
    fresh.write_text("ONE\nTWO\nTHREE\nFOUR\n")
    fresh.rename(log)
    assert tail(cursor=14)["lines"] == ["ONE", "TWO", "THREE", "FOUR"]
    assert tail(cursor=14)["reset"] is False


def test_a_cursor_inside_a_line_is_of_another_file(log: Path) -> None:
    answer = ask(log, cursor=5)
    assert answer["reset"] and answer["lines"] == ["one", "two", "three"]


def test_limit_keeps_the_newest_at_first_and_loses_nothing_afterwards(log: Path) -> None:
    assert ask(log, limit=2)["lines"] == ["two", "three"]
    assert ask(log, limit=2)["cursor"] == 14
    onward = ask(log, limit=2, cursor=0)
    assert (onward["lines"], onward["cursor"]) == (["one", "two"], 8)
    assert ask(log, limit=2, cursor=8)["lines"] == ["three"]


def test_a_line_without_end_is_bounded_and_found_again_when_it_ends(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"x" * 1000)
    assert ask(log, maxBytes=100)["lines"] == []
    with log.open("ab") as file:
        file.write(b"x\nnext\n")
    answer = ask(log, maxBytes=100, cursor=1000)
    assert answer["lines"] == ["next"] and answer["reset"]


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"a\xff\xed\xa0\x80\nb\x00\r\n")
    assert ask(log)["lines"] == ["a\ufffd\ufffd\ufffd\ufffd", "b\x00\r"]


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "under a file"])
@pytest.mark.timeout(10)
def test_what_is_no_file_is_empty(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.log"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "under a file":
        path.touch()
        path /= "y"
    empty = {"file": str(path), "cursor": 0, "size": 0, "lines": [], "truncated": False}
    assert ask(path) == {**empty, "reset": False}
    assert ask(path, cursor=7) == {**empty, "reset": True}


def test_no_log_file_at_all() -> None:
    assert ask(None)["file"] == "" and ask(None)["lines"] == []


def test_what_cannot_be_read_is_said_without_a_traceback(tmp_path: Path) -> None:
    link = tmp_path / "x.log"
    link.symlink_to("/etc/passwd")
    frame = call(make_core(link), make_peer(4, READ), "logs.tail", {}, (logs_tail,))
    assert frame["error"]["code"] == "UNAVAILABLE"
    assert frame["error"]["message"].startswith("log read failed: ")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "x.log").touch()
    assert ask(tmp_path / "x.log", cursor=0)["lines"] == []


@pytest.mark.parametrize(
    "params", [{"cursor": -1}, {"limit": 0}, {"limit": 5001}, {"maxBytes": 0}, {"maxBytes": 1_000_001}, {"file": "x"}]
)
def test_bounds(log: Path, params: dict[str, Any]) -> None:
    frame = call(make_core(log), make_peer(4, READ), "logs.tail", params, (logs_tail,))
    assert frame["error"]["message"].startswith("invalid logs.tail params: at ")


def test_reading_needs_the_scope(log: Path) -> None:
    frame = call(make_core(log), make_peer(4), "logs.tail", {}, (logs_tail,))
    assert frame["error"]["message"] == "missing scope: operator.read"


def test_our_lines_are_what_the_command_line_parses(tmp_path: Path) -> None:
    """OpenClaw's `logs` takes time, `_meta.logLevelName`, the subsystem in "0", and the message in "1"."""
    handler = JsonlHandler(tmp_path, str(tmp_path / "x.log"))
    handler.emit(logging.LogRecord("gateway.ws", logging.WARNING, "f", 1, "a %s", ("word\n\x1b",), None))
    handler.close()
    entry = json.loads(ask(tmp_path / "x.log")["lines"][0])
    assert json.loads(entry["0"]) == json.loads(entry["_meta"]["name"]) == {"subsystem": "gateway/ws"}
    assert entry["1"] == "a word\n\\x1b" and entry["_meta"]["logLevelName"] == "WARN"
    assert entry["time"] == entry["_meta"]["date"] and entry["time"].endswith("Z")
