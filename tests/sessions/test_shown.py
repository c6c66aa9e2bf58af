"""Rows and entries; what the methods answer with them is in their own tests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.models import ModelRef
from gateway.sessions import shown
from gateway.sessions.records import MessageRow, Run, RunRequest, Session, Summary
from gateway.sessions.shown import TITLE, RowContext
from tests.sessions.talk import MAIN, NOW, assistant, user

ROWS = [{"id": "m1", "reasoning": True, "contextWindow": 5000}, {"id": "m2"}]
TREE: dict[str, Any] = {"models": {"providers": {"mock": {"baseUrl": "http://127.0.0.1:9/v1", "models": ROWS}}}}


def session(key: str = MAIN, **entry: Any) -> Session:
    return Session(key, "12345678-9abc", "main", NOW, NOW, entry, messages=2)


def moment(**more: Any) -> RowContext:
    return RowContext(TREE, MAIN, NOW, **more)


@pytest.mark.parametrize(
    ("entry", "first", "title"),
    [
        ({"displayName": " Trip "}, "hello", "Trip"),
        ({"label": "Lbl"}, "hello", "Lbl"),
        ({"subject": "S"}, "", "S"),
        ({"label": " "}, " a\n b ", "a b"),
        ({}, "x" * TITLE, "x" * TITLE),
        ({}, "x" * (TITLE + 1), "x" * (TITLE - 1) + "…"),
        ({}, "word " * 20, "word " * 10 + "word…"),
        ({}, "", "12345678 (2026-11-22)"),
        ({"label": 5}, "hello", "hello"),
    ],
)
def test_what_a_list_calls_a_session(entry: dict[str, Any], first: str, title: str) -> None:
    assert shown.title(session(**entry), Summary(first, "")) == title


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("global", "global"),
        ("unknown", "unknown"),
        (MAIN, "direct"),
        ("agent:main:discord:group:1", "group"),
        ("agent:main:slack:channel:1", "group"),
    ],
)
def test_kinds(key: str, kind: str) -> None:
    assert shown.kind(key) == kind
    assert shown.kind(MAIN, {"chatType": "group"}) == "group"


@pytest.mark.parametrize(
    ("key", "classification"),
    [
        (MAIN, "main"),
        ("agent:main:work", "direct"),
        ("agent:main:dashboard:1", "dashboard"),
        ("agent:main:cron:1", "cron"),
        ("agent:main:dashboard", "direct"),
    ],
)
def test_classifications(key: str, classification: str) -> None:
    assert shown.row(session(key), moment(), 4)["classification"] == classification


def test_a_session_with_a_model_of_its_own() -> None:
    for protocol in (3, 4):
        row = shown.row(session(model="mock/m2"), moment(), protocol)
        assert (row["modelProvider"], row["model"], row["contextTokens"]) == ("mock", "m2", None)
        row = shown.row(session(), moment(), protocol)
        assert (row["modelProvider"], row["model"], row["contextTokens"]) == ("mock", "m1", 5000)
    assert shown.row(session(model="mock/m2"), moment(), 4)["modelOverrideSource"] == "user"


def test_how_it_goes() -> None:
    assert shown.row(session(), moment(), 4)["status"] == "done"
    going = shown.row(session(), moment(active=["r1"]), 4)
    assert (going["status"], going["hasActiveRun"], going["activeRunIds"]) == ("running", True, ["r1"])
    aborted = Session(MAIN, "x", "main", NOW, NOW, {}, aborted=True, messages=1)
    assert shown.row(aborted, moment(), 4)["status"] == "killed"
    assert "status" not in shown.row(Session(MAIN, "x", "main", NOW, NOW, {}), moment(), 4)


def test_settings_are_shown_where_they_are_set() -> None:
    entry = {"thinkingLevel": "low", "sendPolicy": "deny", "category": "trips", "archived": True, "archivedAt": 5}
    old, new = (shown.row(session(**entry), moment(), protocol) for protocol in (3, 4))
    assert (old["thinkingLevel"], old["sendPolicy"]) == (new["thinkingLevel"], new["sendPolicy"]) == ("low", "deny")
    assert "category" not in old
    assert (new["category"], new["archived"], new["archivedAt"]) == ("trips", True, 5)


def test_what_was_said_last_on_one_line() -> None:
    summary = Summary("first", "one\n two ")
    row = shown.row(session(), moment(summary=summary, titled=True, previewed=True), 4)
    assert (row["derivedTitle"], row["lastMessagePreview"]) == ("first", "one two")
    assert "lastMessagePreview" not in shown.row(session(), moment(summary=Summary("", ""), previewed=True), 4)


def test_a_session_that_nobody_has_written_to() -> None:
    row = shown.absent("agent:main:x", "main", moment())
    assert (row["key"], row["updatedAt"], row["isMain"]) == ("agent:main:x", None, False)
    assert not {"sessionId", "createdAt", "status"} & row.keys()


def test_a_message_carries_by_what_it_is_known_again() -> None:
    row = MessageRow(7, "abcd1234", user("hi"), "r1")
    assert shown.message(row, 3) == {
        **user("hi"),
        "idempotencyKey": "r1:user",
        "__openclaw": {"id": "abcd1234", "seq": 3, "runId": "r1", "idempotencyKey": "r1:user"},
    }
    said = assistant("Hi.")
    assert shown.message(MessageRow(8, "b", said, "r1"), 4) == {
        **said,
        "__openclaw": {"id": "b", "seq": 4, "runId": "r1"},
    }
    assert shown.message(MessageRow(9, "c", said), 5)["__openclaw"] == {"id": "c", "seq": 5}


def test_a_message_without_words_says_why() -> None:
    failed = {"role": "assistant", "content": [], "stopReason": "error", "errorMessage": "no key"}
    words = {**failed, "content": [{"type": "text", "text": "no key"}]}
    assert shown.with_error_text(failed) == words
    assert shown.message(MessageRow(7, "a", failed), 1) == {**words, "__openclaw": {"id": "a", "seq": 1}}
    partial = {**assistant("Half"), "errorMessage": "gone"}
    assert shown.with_error_text(partial) is partial


def test_a_message_that_waits() -> None:
    waiting = shown.pending(Run("r2", MAIN, "main", "queued", RunRequest(user("And?")), NOW + 5))
    assert waiting == {
        "id": "r2",
        "runId": "r2",
        "message": {**user("And?"), "timestamp": NOW + 5, "__openclaw": {"id": "pending:r2"}},
        "acceptedAt": NOW + 5,
        "state": "queued",
    }


def test_how_much_a_model_may_think() -> None:
    assert shown.thinking_levels(TREE, ModelRef("mock", "m2")) == {
        "thinkingLevels": [{"id": "off", "label": "off"}],
        "thinkingOptions": ["off"],
        "thinkingDefault": "off",
    }
    usual = {**TREE, "agents": {"defaults": {"thinkingDefault": "medium"}}}
    levels = shown.thinking_levels(usual, ModelRef("mock", "m1"), "main")
    assert (levels["thinkingOptions"][0], levels["thinkingOptions"][-1]) == ("off", "xhigh")
    assert levels["thinkingDefault"] == "medium"
    assert shown.thinking_levels(usual, ModelRef("mock", "m2"), "main")["thinkingDefault"] == "off"


def test_entries() -> None:
    old = shown.entry(session(label="L", model="mock/m2"), 3)
    assert (old["label"], old["providerOverride"], old["modelOverride"]) == ("L", "mock", "m2")
    assert "model" not in old and "createdAt" not in old
    assert shown.entry(session(model="mock/m2"), 4)["modelOverrideSource"] == "user"
    assert "modelOverrideSource" not in shown.entry(session(), 4)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
NAMES = ["label", "displayName", "thinkingLevel", "model", "archived", "pinned", "chatType", "responseUsage", "subject"]


@given(st.dictionaries(st.sampled_from(NAMES).filter(lambda name: name != "model"), SCALARS), st.text(max_size=80))
def test_nothing_in_an_imported_entry_can_break_a_row(entry: dict[str, Any], first: str) -> None:
    found = moment(summary=Summary(first, first), titled=True, previewed=True)
    for protocol in (3, 4):
        shown.row(session(**entry), found, protocol)
        shown.entry(session(**entry), protocol)
