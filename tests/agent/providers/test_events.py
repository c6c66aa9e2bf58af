import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agent.providers.events import DONE, EventReader, ServerEvent

A, B = ServerEvent("", b'{"a":1}'), ServerEvent("", b'{"b":2}')


def read(*pieces: bytes) -> list[ServerEvent]:
    events = EventReader()
    return [event for piece in pieces for event in events.feed(piece)] + list(events.finish())


ODD = {
    "as it should be": (b'data: {"a":1}\n\ndata: {"b":2}\n\n', [A, B]),
    "CRLF": (b'data: {"a":1}\r\n\r\ndata: {"b":2}\r\n\r\n', [A, B]),
    "CR": (b'data: {"a":1}\r\rdata: {"b":2}\r\r', [A, B]),
    "mixed ends": (b'data: {"a":1}\n\r\ndata: {"b":2}\r\n\r', [A, B]),
    "empty lines between CRLF": (b'data: {"a":1}\r\n\n\n\r\n\rdata: {"b":2}\r\n\n', [A, B]),
    "a CRLF and an LF in data": (b'data: {"a":\r\n\ndata: 1}', [ServerEvent("", b'{"a":'), ServerEvent("", b"1}")]),
    "a BOM": (b'\xef\xbb\xbfdata: {"a":1}\n\ndata: {"b":2}\n\n', [A, B]),
    "empty lines first": (b'\n\r\n \ndata: {"a":1}\n\n\n\n\ndata: {"b":2}\n\n', [A, B]),
    "no space": (b'data:{"a":1}\n\ndata:{"b":2}\n\n', [A, B]),
    "comments": (b': keepalive\n\n:\n\ndata: {"a":1}\n: x\n\ndata: {"b":2}\n\n: bye', [A, B]),
    "names without data": (b'event: ping\n\ndata: {"a":1}\n\nevent: x\nid: 3\nretry: 5\n\ndata: {"b":2}\n\n', [A, B]),
    "empty data": (b'data\n\ndata:\n\ndata: \n\ndata: {"a":1}\n\ndata:\ndata: {"b":2}\n\n', [A, B]),
    "no end": (b'data: {"a":1}\n\ndata: {"b":2}', [A, B]),
    "no blank lines": (b'data: {"a":1}\ndata: {"b":2}\ndata: [DONE]\n', [A, B, ServerEvent("", DONE)]),
    "data in lines": (b'data: {"a":\ndata: 1}\n\ndata: {"b":2}\n\n', [ServerEvent("", b'{"a":\n1}'), B]),
    "a document between": (b': x\ndata: {"a":1}\n\n{"b":2}\n', [A, B]),
    "names": (b'event: a\ndata: {"a":1}\n\ndata: {"b":2}\n\n', [ServerEvent("a", A.data), B]),
    "one document": (b'{"a":1}', [A]),
    "one document in lines": (b'{\n "a": 1\n}\n', [ServerEvent("", b'{\n "a": 1\n}')]),
    "a document a line": (b'\xef\xbb\xbf{"a":1}\n\n {"b":2}', [A, B]),
    "an array": (b'[{"a": 1}\n,\r\n{"b": 2}]', [ServerEvent("", b'{"a": 1}'), ServerEvent("", b'{"b": 2}')]),
    "half a document": (b'{"a":1', [ServerEvent("", b'{"a":1')]),
    "a web page": (b"<!doctype html><html>\n\n</html>", []),
    "nothing": (b"", []),
    "white space": (b"\xef\xbb\xbf \r\n\n", []),
}


@pytest.mark.parametrize("name", ODD)
def test_a_body_is_cut_into_its_events(name: str) -> None:
    body, events = ODD[name]
    assert read(body) == events


@pytest.mark.parametrize("name", ODD)
def test_byte_by_byte_it_is_the_same(name: str) -> None:
    body, events = ODD[name]
    assert read(*(bytes([byte]) for byte in body)) == events


STREAMS = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"event: x", b": c", b"\n", b"\r", b"\r\n", b"\n\n", b"[DONE]", b"\xef\xbb\xbf"]
    )
    | st.sampled_from([b'{"a":1}', b'{"t":"\xf0\x9f\x98\x80"}', b"{", b"}", b"[", b"]", b",", b" ", b"x", b"\xff"]),
    max_size=24,
).map(b"".join)


@given(body=STREAMS, data=st.data())
def test_any_split_gives_the_same_events(body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(*pieces) == read(*(bytes([byte]) for byte in body)) == read(body)


@given(
    st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5)), max_size=4),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_is_written_as_events_is_read_as_written(documents: list[dict[str, str]], end: str) -> None:
    body = "".join(f"data: {json.dumps(each)}{end}{end}" for each in documents).encode()
    assert [json.loads(event.data) for event in read(body)] == documents


def test_events_come_before_the_body_ends() -> None:
    events = EventReader()
    assert list(events.feed(b'data: {"a":1}\n')) == []
    assert list(events.feed(b"\n")) == [A]
    documents = EventReader()
    assert list(documents.feed(b'{"a":1}\n{"b"')) == [A]
