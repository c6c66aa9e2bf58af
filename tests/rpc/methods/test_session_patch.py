from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config.models import MAX_MODEL
from gateway.protocol.params import MAX_TEXT
from gateway.protocol.scopes import ADMIN, WRITE
from gateway.rpc.methods.session_patch import _ABSENT, _LEVELS, MAX_SETTING, SessionPatchParams
from tests.rpc.calls import make_peer
from tests.rpc.methods.talking import NEW, OLD, run, talking
from tests.sessions.talk import MAIN, NOW

KEY = "agent:main:work"
WRITER = make_peer(4, WRITE)


def test_a_session_is_made_and_changed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ask = {"key": "work", "label": " Lbl ", "verboseLevel": "full", "model": "mock/m1"}
            answer = await talk.get("sessions.patch", ask, OLD)
            assert (answer["ok"], answer["key"], "resolved" in answer) == (True, KEY, False)
            entry = answer["entry"]
            assert (entry["label"], entry["verboseLevel"]) == ("Lbl", "full")
            assert (entry["providerOverride"], entry["modelOverride"]) == ("mock", "m1")
            assert "model" not in entry and entry["sessionId"]
            again = await talk.get("sessions.patch", {"key": "work", "label": None, "model": None})
            assert "label" not in again["entry"] and "modelOverride" not in again["entry"]
            assert (again["entry"]["verboseLevel"], again["entry"]["sessionId"]) == ("full", entry["sessionId"])
            assert (again["resolved"]["modelProvider"], again["resolved"]["model"]) == ("mock", "m1")

    run(scenario())


@pytest.mark.parametrize(
    ("name", "asked", "kept"),
    [
        ("thinkingLevel", "LOW", "low"),
        ("thinkingLevel", "ultrathink", "high"),
        ("thinkingLevel", "off", None),
        ("verboseLevel", "off", "off"),
        ("reasoningLevel", "stream", "stream"),
        ("reasoningLevel", "off", None),
        ("responseUsage", "on", "tokens"),
        ("responseUsage", "off", None),
        ("elevatedLevel", "off", "off"),
        ("sendPolicy", "deny", "deny"),
        ("groupActivation", "always", "always"),
        ("execHost", "node", "node"),
        ("execAsk", "on-miss", "on-miss"),
        ("unread", True, True),
        ("unread", False, None),
        ("fastMode", "auto", "auto"),
        ("icon", "🦊", "🦊"),
        ("label", None, None),
        ("permissionMode", None, None),
    ],
)
def test_what_is_kept(tmp_path: Path, name: str, asked: Any, kept: Any) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.get("sessions.patch", {"key": "work", name: asked})
            session = await talk.store.session(KEY)
            assert session is not None and session.entry.get(name) == kept

    run(scenario())


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"thinkingLevel": "bogus"}, "invalid thinkingLevel (use off|minimal|low|medium|high|xhigh)"),
        ({"verboseLevel": "bogus"}, 'invalid verboseLevel (use "on"|"off"|"full")'),
        ({"sendPolicy": "maybe"}, 'invalid sendPolicy (use "allow"|"deny")'),
        ({"label": " "}, "invalid label: empty"),
        ({"label": "y" * 513}, "invalid label: too long (max 512)"),
        ({"spawnedBy": MAIN}, "spawnedBy is only supported for subagent:* sessions"),
        ({"permissionMode": "full"}, "permissionMode is not supported by this gateway"),
        ({"archived": True}, "expectedSessionId required for session lifecycle patch: agent:main:work"),
        ({"label": "x", "expectedSessionId": "other"}, "Session agent:main:work changed before patch. Retry."),
    ],
)
def test_what_is_refused_changes_nothing(tmp_path: Path, asked: dict[str, Any], sentence: str) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            assert await talk.refusal("sessions.patch", {"key": "work", **asked}) == sentence
            assert await talk.store.session(KEY) is None

    run(scenario())


def test_a_model_must_be_usable(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            sentence = await talk.refusal("sessions.patch", {"key": "work", "model": "nobody/x"})
            assert sentence.startswith('invalid model: models.providers.nobody: there is no provider "nobody"; add it')
            await talk.get("sessions.patch", {"key": "work", "model": "m1"})
            session = await talk.store.session(KEY)
            assert session is not None and session.entry["model"] == "mock/m1"

    run(scenario())


def test_a_label_belongs_to_one_session_of_an_agent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.get("sessions.patch", {"key": "work", "label": "Lbl"})
            assert await talk.refusal("sessions.patch", {"key": "x", "label": "Lbl"}) == "label already in use: Lbl"
            await talk.get("sessions.patch", {"key": "work", "label": "Lbl"})
            await talk.get("sessions.patch", {"key": "agent:other:x", "label": "Lbl"})

    run(scenario())


def test_labels_are_shorter_in_protocol_3(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.get("sessions.patch", {"key": "work", "label": "y" * 64}, OLD)
            sentence = await talk.refusal("sessions.patch", {"key": "work", "label": "y" * 65}, OLD)
            assert sentence == "invalid label: too long (max 64)"

    run(scenario())


def test_archiving(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            session = await talk.store.patch(KEY, "main", lambda _: {"pinned": True, "pinnedAt": 1}, NOW)
            ask = {"key": "work", "archived": True, "expectedSessionId": session.id}
            entry = (await talk.get("sessions.patch", ask, WRITER))["entry"]
            assert entry["archivedAt"] > 0 and "pinnedAt" not in entry
            sentence = await talk.refusal("sessions.patch", {"key": "work", "pinned": True})
            assert sentence == "cannot pin an archived session; restore it first"
            back = (await talk.get("sessions.patch", ask | {"archived": False}))["entry"]
            assert "archivedAt" not in back
            assert (await talk.get("sessions.patch", {"key": "work", "pinned": True}))["entry"]["pinnedAt"] > 0
            assert await talk.refusal("sessions.patch", ask | {"key": "main"}) == (
                "Cannot archive an agent's main session."
            )

    run(scenario())


def test_who_may_set_what(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.get("sessions.patch", {"key": "work", "label": "x", "model": "m1"}, WRITER)
            missing = "missing scope: operator.admin"
            assert await talk.refusal("sessions.patch", {"key": "work", "sendPolicy": "deny"}, WRITER) == missing
            old = make_peer(3, WRITE)
            assert await talk.refusal("sessions.patch", {"key": "work", "label": "y"}, old) == missing
            await talk.get("sessions.patch", {"key": "work", "sendPolicy": "deny"}, make_peer(4, ADMIN))

    run(scenario())


def test_a_refusal_says_that_the_session_is_another_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            frame = await talk.ask("sessions.patch", {"key": "work", "label": "x", "expectedSessionId": "o"}, NEW)
            assert frame["error"]["details"] == {"reason": "session-changed"}

    run(scenario())


TEXTS = sorted(
    each.encode_name
    for each in msgspec.structs.fields(SessionPatchParams)
    if each.default is msgspec.UNSET and "str" in str(each.type) and each.encode_name not in (*_LEVELS, *_ABSENT)
)


@pytest.mark.parametrize("name", TEXTS)
def test_each_text_of_a_row_has_a_length(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            key = "agent:main:subagent:x"
            for length in (MAX_SETTING + 1, MAX_TEXT + 1, 8_000_000):
                refusal = await talk.refusal("sessions.patch", {"key": key, name: "x" * length})
                assert "too long (max 512)" in refusal or f"at /{name}: must NOT have more than" in refusal
            if name != "model":
                await talk.get("sessions.patch", {"key": key, name: "é" * MAX_SETTING})
                session = await talk.store.session(key)
                assert session is not None and session.entry[name] == "é" * MAX_SETTING

    run(scenario())


def test_a_model_is_no_longer_by_any_way(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            conversations = talk.core.conversations
            assert "too long" not in (conversations.sessions.refuse_model(MAIN, "mock/" + "x" * (MAX_MODEL - 5)) or "")
            assert (
                conversations.sessions.refuse_model(MAIN, "mock/" + "x" * (MAX_MODEL - 4))
                == "its name is too long (max 512)"
            )
            send = {"sessionKey": MAIN, "message": "/model mock/" + "x" * 9000, "idempotencyKey": "k"}
            await talk.get("chat.send", send)
            session = await talk.store.session(MAIN)
            assert session is not None and "model" not in session.entry

    run(scenario())
