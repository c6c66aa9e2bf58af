"""The words of the link, which two versions of the program speak to each other."""

from typing import Any

import msgspec
import pytest

from gateway.link import messages as module
from gateway.link.messages import (
    Abort,
    Ack,
    Discarded,
    Ended,
    Event,
    Failure,
    Happening,
    Hello,
    Lost,
    Said,
    Start,
    Started,
    StartRefused,
    Text,
    Thinking,
    ToAgent,
    ToGateway,
    ToolEnded,
    ToolStarted,
    Usage,
    Waiting,
    Welcome,
    decode_to_agent,
    decode_to_gateway,
    encode,
)
from gateway.link.spec import Model, Spec

SPEC = Spec("agent:main:main", "main", {"role": "user", "content": "é\n\u2028"}, [Model("builtin", "echo", "builtin")])
FAILURE = Failure("rate_limit", "later", retryable=True, status=429)
TO_AGENT = [Hello(1, {"r": 7}, "0.1"), Start("r", SPEC), Ack("r", 7), Abort("r")]
HAPPENINGS: list[Happening] = [
    Started("builtin", "echo", 1),
    Text("a"),
    Thinking("b"),
    Discarded("broke off"),
    Said({"role": "assistant", "content": []}),
    ToolStarted("1", "look", {"at": [1, None]}),
    ToolEnded("1", "look", False, "no"),
    Waiting(500, FAILURE),
    Ended("failed", "error", FAILURE, Usage(1, 2, 3, 4)),
]
TO_GATEWAY = [
    Welcome(1, 5, "0.1", ["r"]),
    Lost("r"),
    StartRefused("r", FAILURE),
    *(Event("r", 1, 2, w) for w in HAPPENINGS),
]


@pytest.mark.parametrize("message", TO_AGENT, ids=repr)
def test_what_the_gateway_says_comes_back_as_it_was(message: ToAgent) -> None:
    line = encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode_to_agent(line) == message


@pytest.mark.parametrize("message", TO_GATEWAY, ids=repr)
def test_what_the_agent_says_comes_back_as_it_was(message: ToGateway) -> None:
    line = encode(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert decode_to_gateway(line) == message


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (Hello(1), b'{"type":"hello","version":1,"runs":{},"program":""}'),
        (Ack("r", 3), b'{"type":"ack","run":"r","seq":3}'),
        (Lost("r"), b'{"type":"lost","run":"r"}'),
        (Event("r", 1, 2, Text("a")), b'{"type":"event","run":"r","seq":1,"ts":2,"what":{"kind":"text","delta":"a"}}'),
    ],
)
def test_the_lines_are_those_of_the_other_versions(message: Any, line: bytes) -> None:
    assert encode(message) == line + b"\n"


def test_a_newer_peer_may_say_more() -> None:
    assert decode_to_agent(b'{"type":"ack","run":"r","seq":3,"more":{}}') == Ack("r", 3)
    assert decode_to_gateway(b'{"more":1,"type":"lost","run":"r"}') == Lost("r")


NONSENSE = [b"", b"{", b"[]", b"{}", b'{"type":"ack"}', b'{"type":"ack","run":1,"seq":2}', b'{"type":"new"}']
NONSENSE += [b'{"type":"lost","run":"r"}', b'{"type":"ack","run":"\xff","seq":1}']


@pytest.mark.parametrize("line", NONSENSE)
def test_what_cannot_be_understood_is_an_error(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_to_agent(line)


DEEP = b"[" * 5000 + b"]" * 5000


@pytest.mark.parametrize(
    ("decode", "line"),
    [
        (
            decode_to_agent,
            b'{"type":"start","run":"r","spec":{"session":"s","agent":"a","models":[],"prompt":{"x":%b}}}',
        ),
        (decode_to_agent, b'{"type":"ack","run":"r","seq":1,"more":%b}'),
        (decode_to_gateway, b'{"type":"event","run":"r","seq":1,"ts":1,"what":{"kind":"said","message":{"x":%b}}}'),
        (decode_to_gateway, b'{"type":"lost","run":"r","more":%b}'),
    ],
)
def test_values_within_values_without_end_are_an_error_as_any_other(decode: Any, line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(line % DEEP)


def test_a_line_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(encode(Ack("r", 1)))
    monkeypatch.setattr(module, "MAX_LINE", size)
    assert encode(Ack("r", 1))
    with pytest.raises(ValueError, match=f"a message of {size + 1} bytes is longer than the link's {size}"):
        encode(Ack("rr", 1))


def test_all_tokens_count() -> None:
    assert Usage().total == 0 and Usage(1, 20, 300, 4000).total == 4321
