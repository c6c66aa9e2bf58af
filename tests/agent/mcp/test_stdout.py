"""Messages in what an MCP server writes to stdout, whatever else it writes there."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.mcp import stdout
from gateway.agent.mcp.stdout import FRAMED, MAX_LOGGED, MAX_SHOWN, NotMcp, Stdout
from gateway.text import lines

ONE = b'{"jsonrpc":"2.0","method":"one"}'
TWO = b'{"jsonrpc":"2.0","id":2,"result":{"text":"{\\"a\\""}}'


def heard(*pieces: bytes, of: Stdout | None = None) -> list[Any]:
    reading = of or Stdout("s")
    found = [message for piece in pieces for message in reading.feed(piece)]
    reading.end()
    return [message.model_dump(exclude_unset=True, by_alias=True) for message in found]


def plain(*messages: bytes) -> list[Any]:
    return [json.loads(each) for each in messages]


BANNER = b"Windows PowerShell\nCopyright (C)\n\nInstall the latest\n\nloaded\n"


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(BANNER, id="six lines of a banner"),
        pytest.param(b"\n\r\n  \n", id="empty lines"),
        pytest.param("gestartet für Jürgen\n".encode("latin-1"), id="Latin-1"),
        pytest.param(b"x" * 5_000_000 + b"\n", id="a line of 5 MB"),
        pytest.param(b"[INFO] ready ", id="a log line without its end"),
        pytest.param(b'{"level":"info","msg":"ready"} ', id="a log line in JSON without its end"),
        pytest.param(b'{"jsonrpc": ', id="half a message"),
        pytest.param(b"\xef\xbb\xbf", id="a byte order mark"),
        pytest.param(b"\x1b[32m> \x1b[0m", id="a prompt"),
    ],
)
def test_a_message_is_found_behind(noise: bytes) -> None:
    assert heard(noise + ONE + b"\n" + noise + TWO + b"\r\n") == plain(ONE, TWO)


def test_several_messages_on_one_line() -> None:
    assert heard(ONE + TWO + b" done\n") == plain(ONE, TWO)


def test_half_a_character_and_bytes_that_are_none_are_replaced() -> None:
    (message,) = heard(b'{"jsonrpc":"2.0","method":"x","params":{"a":"ok \\ud83d","b":"\\ud83d\\ude00","c":"\xfc"}}\n')
    assert message["params"] == {"a": "ok �", "b": "😀", "c": "�"}


def test_a_million_lines_are_a_few_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reading = Stdout("s", lambda text: text.replace("secret", "***"))
    assert heard(b"my secret " + b"y" * 5000 + b"\n", b"x\n" * 20_000, ONE + b"\n", of=reading) == plain(ONE)
    assert len(caplog.records) == MAX_LOGGED + 2
    assert "my *** y" in caplog.text and "20001 lines to stdout that are no messages" in caplog.text
    assert all(len(record.getMessage()) < MAX_SHOWN + 100 for record in caplog.records)


def test_at_the_bound_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    heard(b"x\n" * (MAX_LOGGED - 1))
    assert len(caplog.records) == MAX_LOGGED - 1


def test_headers_before_a_message_are_named() -> None:
    with pytest.raises(NotMcp, match="Content-Length headers"):
        heard(b"Content-Length: 31\r\n\r\n", ONE)
    assert FRAMED.endswith("one line of JSON for each message")
    assert heard(ONE + b"\nContent-Length: 31\r\n") == plain(ONE), "who has spoken well may write that to its log"


def test_a_line_that_is_too_long_is_passed_over_and_a_message_that_is_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdout, "MAX_LINE", 100)
    assert heard(b"x" * 60, b"x" * 60, b"x" * 1000 + b"\n" + ONE + b"\n") == plain(ONE)
    assert heard(b" " * 67 + ONE + b"\n") == plain(ONE)
    with pytest.raises(NotMcp, match="a message of more than 100 bytes"):
        heard(b'{"jsonrpc":"2.0","id":1,"result":"' + b"x" * 100)
    reading = lines.LineSplitter(10, skip=True)
    assert reading.feed(b"x" * 11 + b"\nabc\n") == [b"", b"abc"][1:] and reading.skipped == [b"x" * 11]


def test_a_line_of_beginnings_costs_no_more_than_its_length() -> None:
    assert heard(b'{"jsonrpc"' * 100_000 + b"\n") == []
    assert heard(b'{"jsonrpc":' * 100_000 + b"\n") == []


@given(
    st.lists(st.sampled_from([ONE + b"\n", TWO + b"\n", b"noise\n", b"\xff\xfe\n", b"\n", b"[x] " + ONE + b"\n"])),
    st.data(),
)
def test_it_does_not_matter_how_the_bytes_are_cut(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert heard(*pieces) == heard(whole) == [each for part in parts for each in heard(part)]


@given(st.binary(max_size=200), st.sampled_from([b"", ONE, b'{"jsonrpc":"2.0","id":']))
def test_nothing_that_is_written_can_break_it(noise: bytes, message: bytes) -> None:
    try:
        heard(noise + message + noise + b"\n")
    except NotMcp:
        pass
