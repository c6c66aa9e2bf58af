"""Texts of configs that clients send."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import json5
from gateway.protocol.frames import RpcError
from gateway.report import Issue
from gateway.rpc.config_text import Invalid, hash_on_disk, parse_raw, refusal
from tests.effort import examples

FILE = Path("/home/u/.openclaw/openclaw.json")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("{,", "SyntaxError: JSON5: invalid character ',' at 1:2"),
        ("{a: 1", "SyntaxError: JSON5: invalid end of input at 1:6"),
        ("{a:\n s3cret}", "SyntaxError: JSON5: invalid character 's' at 2:2"),
    ],
)
def test_a_syntax_error_in_the_words_of_openclaw(raw: str, message: str) -> None:
    with pytest.raises(RpcError) as caught:
        parse_raw(raw, FILE)
    assert caught.value.wire.message == message


def test_faults_that_are_known_already_are_told_instead() -> None:
    with pytest.raises(Invalid) as caught:
        parse_raw("{a: ", FILE, (Issue("known", "a"),))
    assert caught.value.issues == (Issue("known", "a"),)


@settings(max_examples=examples(200))
@given(st.text(alphabet="{}[]:,ab1'\"/* \n\\", max_size=12))
def test_a_text_has_a_value_or_is_refused(raw: str) -> None:
    try:
        value = parse_raw(raw, FILE)
    except (RpcError, Invalid):
        return
    assert json5.parse(raw, 100).root.value == value


def test_a_refusal_names_the_first_fault_from_protocol_4_on() -> None:
    faults = (Issue("no", "a.b"), Issue("nor this"))
    old, new = refusal(3, faults), refusal(4, faults)
    assert (old.message, new.message) == ("invalid config", "invalid config: a.b: no")
    assert (
        old.details
        == new.details
        == {"issues": [{"path": "a.b", "message": "no"}, {"path": faults[1].path, "message": "nor this"}]}
    )


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "openclaw.json"
    assert hash_on_disk(file) is None
    file.write_bytes(b"{}")
    assert hash_on_disk(file) == hashlib.sha256(b"{}").hexdigest()
