"""What `chat.*` reads and writes: each call by another process on the same database, or by one with an agent."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.conversations.media import MAX_FILE
from gateway.conversations.slash import ALIASES, COMMANDS, Slash
from gateway.link.messages import Said, Text
from gateway.protocol.peer import Peer
from gateway.protocol.scopes import ADMIN, WRITE
from gateway.rpc.methods.chat import MAX_TIMEOUT_MS, STANDS_FOR, stands_for
from gateway.sessions.database import StorageFailed
from tests.agent.scripted import Scripted
from tests.conversing import agents
from tests.fakes.core import FakeCore
from tests.rpc.calls import call, make_peer
from tests.rpc.methods.configured import configured
from tests.rpc.methods.talking import run, talking
from tests.runs.world import assistant, until
from tests.sessions.talk import MAIN

OLD, NEW = make_peer(3, ADMIN), make_peer(4, ADMIN)
KEY = "agent:main:main"


@pytest.fixture
def core(tmp_path: Path) -> FakeCore:
    return configured(folder=tmp_path)


def test_metadata_of_a_chat() -> None:
    payload = call(configured(), NEW, "chat.metadata", {"agentId": "main"})["payload"]
    assert "new" in [each["name"] for each in payload["commands"]]
    assert [each["id"] for each in payload["models"]] == ["m1"]


@pytest.mark.parametrize("name", ["chat.startup", "chat.metadata"])
def test_what_protocol_3_does_not_have(name: str) -> None:
    assert call(configured(), make_peer(3), name)["error"]["message"] == f"unknown method: {name}"


def test_a_message_is_accepted_once(core: FakeCore) -> None:
    send = {"sessionKey": "main", "message": "hello", "idempotencyKey": "k1"}
    assert call(core, OLD, "chat.send", send)["payload"] == {"runId": "k1", "status": "started"}
    assert call(core, OLD, "chat.send", send)["payload"] == {"runId": "k1", "status": "in_flight"}
    assert call(core, OLD, "chat.abort", {"sessionKey": "main"})["payload"]["runIds"] == ["k1"]


def test_a_run_is_aborted_only_in_its_session(core: FakeCore) -> None:
    call(core, NEW, "chat.send", {"sessionKey": KEY, "message": "hello", "idempotencyKey": "k1"})
    error = call(core, NEW, "chat.abort", {"sessionKey": "agent:main:x", "runId": "k1"})["error"]
    assert error["message"] == "runId does not match sessionKey"
    payload = call(core, NEW, "chat.abort", {"sessionKey": KEY, "runId": "other"})["payload"]
    assert payload == {"ok": True, "aborted": False, "runIds": []}


def test_a_message_is_injected(core: FakeCore) -> None:
    inject = {"sessionKey": KEY, "message": "by hand", "label": "L"}
    assert call(core, NEW, "chat.inject", inject)["error"]["message"] == "session not found"
    call(core, NEW, "chat.send", {"sessionKey": KEY, "message": "/help", "idempotencyKey": "k1"})
    payload = call(core, NEW, "chat.inject", inject)["payload"]
    assert payload["ok"] and len(payload["messageId"]) == 8
    last = call(core, NEW, "chat.history", {"sessionKey": KEY})["payload"]["messages"][-1]
    assert last.pop("timestamp") > 0
    assert last.pop("__openclaw") == {"id": payload["messageId"], "seq": 3}
    assert last == {
        "role": "assistant",
        "content": [{"type": "text", "text": "[L]\n\nby hand"}],
        "stopReason": "injected",
        "usage": {"input": 0, "output": 0, "totalTokens": 0},
    }


def test_without_a_database_a_message_is_refused() -> None:
    error = call(configured(), NEW, "chat.send", {"sessionKey": KEY, "message": "x", "idempotencyKey": "k"})["error"]
    assert error["code"] == "UNAVAILABLE" and error["retryable"]
    assert "cannot open /dev/null/gateway/conversations.sqlite" in error["message"]


# -- with an agent -----------------------------------------------------------------------------------------------------


def send(id: str, text: str = "hello", **more: object) -> dict[str, object]:
    return {"sessionKey": "main", "message": text, "idempotencyKey": id, **more}


async def script() -> Scripted:
    """The script of the one run that an agent has begun."""
    await until(lambda: Scripted.by_session)
    return Scripted.by_session.popitem()[1]


@pytest.mark.usefixtures("scripted")
def test_a_message_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            ear = talk.listen(OLD)
            assert await talk.get("chat.send", send("k1")) == {"runId": "k1", "status": "started"}
            says = await script()
            says.happen(Text("Yes"), Said(assistant("Yes")))
            says.end()
            await until(lambda: not talk.core.conversations.runs.busy)
            assert await talk.get("chat.send", send("k1")) == {"runId": "k1", "status": "ok"}
            assert await talk.get("chat.abort", {"sessionKey": "main", "runId": "k1"}) == {
                **{"ok": True, "aborted": False, "runIds": []}
            }
            states = [each["payload"]["state"] for each in await talk.told(ear) if each["event"] == "chat"]
            assert states == ["delta", "final"]

    run(scenario())


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("peer", [OLD, NEW])
def test_a_page_that_is_opened_after_a_failure_shows_why(tmp_path: Path, peer: Peer) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            await talk.get("chat.send", send("k1"))
            (await script()).fail()
            await until(lambda: not talk.core.conversations.runs.busy)
            last = (await talk.get("chat.history", {"sessionKey": "main"}, peer))["messages"][-1]
            assert (last["role"], last["stopReason"]) == ("assistant", "error")
            assert last["content"] == [{"type": "text", "text": last["errorMessage"]}]

    run(scenario())


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("stop", ["/stop", "stop", "chat.abort"])
def test_an_answer_is_stopped(tmp_path: Path, stop: str) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            ear = talk.listen(OLD)
            await talk.get("chat.send", send("k1"))
            await talk.get("chat.send", send("k2"))
            (await script()).happen(Text("Once"))
            runs = talk.core.conversations.runs
            await until(lambda: (live := runs.active("k1")) and live.text)
            if stop == "chat.abort":
                answer = await talk.get("chat.abort", {"sessionKey": "main"})
            else:
                answer = await talk.get("chat.send", send("k3", stop))
            assert answer == {"ok": True, "aborted": True, "runIds": ["k1", "k2"]}
            await until(lambda: not runs.busy)
            ends = [each["payload"] for each in await talk.told(ear) if each["payload"].get("state") == "aborted"]
            assert {each["runId"] for each in ends} == {"k1", "k2"} and ends[0]["stopReason"] == "rpc"
            texts = [
                each["content"][0]["text"]
                for each in (await talk.get("chat.history", {"sessionKey": "main"}))["messages"]
            ]
            assert texts == ["hello", "Once"], "k2 never began, and `stop` was no message"

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_a_page_that_is_opened_in_mid_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            await talk.get("chat.send", send("k1"))
            says = await script()
            says.happen(Text("Let me look. "), Said(assistant("Let me look. ")), Text("Here it"))
            await until(lambda: (live := talk.core.conversations.runs.active("k1")) and live.text == "Here it")
            page = await talk.get("chat.history", {"sessionKey": "main"})
            assert [each["content"][0]["text"] for each in page["messages"]] == ["hello", "Let me look. "]
            under_way = page["inFlightRun"]
            assert under_way["startedAt"] > 0 and (under_way["runId"], under_way["text"]) == ("k1", "Here it")
            assert page["sessionInfo"]["hasActiveRun"] and page["sessionInfo"]["activeRunIds"] == ["k1"]
            old = await talk.get("chat.history", {"sessionKey": "main"}, OLD)
            assert "inFlightRun" not in old and len(old["messages"]) == 2
            await talk.get("chat.abort", {"sessionKey": "main"})
            await until(lambda: not talk.core.conversations.runs.busy)
            assert "inFlightRun" not in await talk.get("chat.history", {"sessionKey": "main"})

    run(scenario())


def test_commands_are_answered_by_the_gateway(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            ear = talk.listen(NEW)
            assert await talk.get("chat.send", send("k1", "/status")) == {"runId": "k1", "status": "started"}
            (final,) = [each["payload"] for each in await talk.told(ear) if each["event"] == "chat"]
            assert final["state"] == "final" and "Model: mock/m1" in final["message"]["content"][0]["text"]
            assert (await talk.get("chat.send", send("k1", "/status")))["status"] == "ok"
            sent = await talk.get("chat.send", send("k2", "/status", suppressCommandInterpretation=True))
            assert sent["status"] == "started" and talk.core.conversations.sessions.active_runs(MAIN) == ["k2"]

    run(scenario())


def test_what_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            assert await talk.refusal("chat.send", send("k1", "  ")) == "message or attachment required"
            assert await talk.refusal("chat.send", send("k1", sessionKey="")) != ""
            many = [{"content": "", "mimeType": "image/png"}] * 21
            assert await talk.refusal("chat.send", send("k1", attachments=many)) == "at most 20 attachments"
            too_long = await talk.refusal("chat.send", send("k" * 513))
            assert too_long == "invalid chat.send params: at /idempotencyKey: must NOT have more than 512 characters"
            await talk.get("chat.send", send("k" * 512))
            await talk.store.patch(MAIN, "main", lambda _: {"sendPolicy": "deny"}, 1)
            assert await talk.refusal("chat.send", send("k2")) == "send blocked by session policy"
            assert await talk.core.conversations.abort(MAIN) == ["k" * 512]

    run(scenario())


@pytest.mark.parametrize(
    ("attached", "fault"),
    [
        ({"content": 5}, "attachment 1: content must be base64 string"),
        ({"content": "AAAA" * 6_990_507, "mimeType": "application/pdf"}, f"size limit (20971521 > {MAX_FILE} bytes)"),
        ({"content": "%%", "fileName": "a.txt"}, "attachment a.txt: invalid base64 content"),
        ({"content": "%%", "mimeType": "image/png"}, "attachment 1: invalid base64 content"),
        ({"content": "AAAA" * 1_666_667, "mimeType": "image/png"}, "exceeds size limit (5000001 > 5000000 bytes)"),
        ("text", "attachment 1: content must be base64 string"),
    ],
)
def test_attachments_that_no_model_could_be_shown(core: FakeCore, attached: object, fault: str) -> None:
    error = call(core, NEW, "chat.send", send("k1", attachments=[attached]))["error"]
    assert fault in error["message"]


PDF = {"type": "file", "mimeType": "application/pdf", "fileName": "../a.pdf", "content": "aGk="}


def test_a_file_that_is_no_image_is_kept_and_the_model_told_where(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            picture = {"content": "aGk=", "mimeType": "image/png"}
            ask = send("k1", "read this", attachments=[PDF, picture])
            assert (await talk.get("chat.send", ask))["status"] == "started"
            (kept,) = (tmp_path / "media" / "inbound").iterdir()
            assert kept.read_bytes() == b"hi" and kept.name.startswith("a---") and kept.suffix == ".pdf"
            found = await talk.store.run("k1")
            assert found is not None and found.request.prompt["content"] == [
                {"type": "text", "text": f'read this\n[media attached: {kept} (application/pdf) "a.pdf"]'},
                {"type": "image", "data": "aGk=", "mimeType": "image/png"},
            ]
            # The same message again, as after a lost answer, brings no second file.
            assert (await talk.get("chat.send", ask))["status"] == "in_flight"
            assert len(list(kept.parent.iterdir())) == 1
            await talk.core.conversations.abort(MAIN)

    run(scenario())


def test_a_refused_message_leaves_no_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.store.patch(MAIN, "main", lambda _: {"sendPolicy": "deny"}, 1)
            refusal = await talk.refusal("chat.send", send("k1", attachments=[PDF]))
            assert refusal == "send blocked by session policy"
            assert list((tmp_path / "media" / "inbound").iterdir()) == []
            assert await talk.refusal("chat.send", send("k2", "/status", attachments=[PDF])) == "/status takes no files"

    run(scenario())


def test_a_file_stays_with_a_message_that_is_taken_though_its_sender_does_not_hear_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client goes away, or its commit is said to fail and was made."""

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            store, accept, slowly = talk.store, talk.store.accept, asyncio.Event()

            async def accept_slowly(*args: Any, **how: Any) -> Any:
                await slowly.wait()
                return await accept(*args, **how)

            async def accept_and_fail(*args: Any, **how: Any) -> Any:
                await accept(*args, **how)
                raise StorageFailed("it says no")

            monkeypatch.setattr(store, "accept", accept_slowly)
            sending = asyncio.create_task(talk.get("chat.send", send("k1", attachments=[PDF])))
            await until(lambda: slowly._waiters)  # type: ignore[attr-defined]
            sending.cancel()
            await asyncio.wait([sending])
            slowly.set()
            await until(lambda: talk.core.conversations.runs.active("k1"))
            monkeypatch.setattr(store, "accept", accept_and_fail)
            assert await talk.refusal("chat.send", send("k2", attachments=[PDF])) == "it says no"
            kept = {str(path) for path in (tmp_path / "media" / "inbound").iterdir()}
            for id in ("k1", "k2"):
                found = await store.run(id)
                assert found is not None
                words = found.request.prompt["content"][0]["text"]
                assert words.partition("[media attached: ")[2].partition(" (")[0] in kept
            await talk.core.conversations.abort(MAIN)

    run(scenario())


def test_a_file_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            (tmp_path / "media").write_text("in the way")
            frame = await talk.ask("chat.send", send("k1", attachments=[PDF]))
            assert frame["error"]["code"] == "UNAVAILABLE"
            assert f"cannot be kept in {tmp_path / 'media' / 'inbound'}: " in frame["error"]["message"]
            assert await talk.store.run("k1") is None

    run(scenario())


def test_an_image_is_attached(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            bare = {"content": "aGk=", "mimeType": "image/png"}
            url = {"content": "data:image/gif;base64,aGk="}
            await talk.get("chat.send", send("k1", "", attachments=[bare, url], timeoutMs=0))
            found = await talk.store.run("k1")
            assert found is not None and found.request.timeout_ms == MAX_TIMEOUT_MS
            assert found.request.prompt["content"] == [
                {"type": "image", "data": "aGk=", "mimeType": "image/png"},
                {"type": "image", "data": "aGk=", "mimeType": "image/gif"},
            ]
            await talk.core.conversations.abort(MAIN)

    run(scenario())


def test_so_many_messages_wait_and_the_next_is_told_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            for number in range(21):
                await talk.get("chat.send", send(f"k{number}"))
            frame = await talk.ask("chat.send", send("one too many"))
            assert frame["error"]["code"] == "UNAVAILABLE" and frame["error"]["retryable"]
            assert frame["error"]["message"] == "20 messages wait in this session; wait for an answer, or stop one"
            assert frame["error"]["retryAfterMs"] == 2000
            await talk.core.conversations.abort(MAIN)

    run(scenario())


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_needs_what_its_method_needs(core: FakeCore, name: str, protocol: int) -> None:
    """CVE-2026-35660, GHSA-jf6w-m8jw-jfxc. Asked of the method itself, so that no table can differ from it."""
    writer, admin = make_peer(protocol, WRITE), make_peer(protocol, ADMIN)
    method, argument = STANDS_FOR[name], {"model": " mock/m1", "think": " high"}.get(name, "")
    stems = {"sessions.patch": {"key": KEY, "model": "mock/m1"}, "chat.abort": {"sessionKey": KEY}}
    params = stems.get(method.name, {"key": KEY} if method.name.startswith("sessions.") else {})
    direct = call(core, writer, method.name, params) if method.since <= protocol else {"ok": True}
    for word in (name, *(alias for alias, meant in ALIASES.items() if meant == name)):
        send = {"sessionKey": KEY, "message": f"/{word}{argument}", "idempotencyKey": word}
        typed = call(core, writer, "chat.send", send)
        assert typed.get("error") == direct.get("error") and typed["ok"] is direct["ok"], word
        assert call(core, admin, "chat.send", send)["ok"]


@pytest.mark.parametrize(
    ("protocol", "forbidden"),
    [(3, {"new", "compact", "model", "think"}), (4, {"new", "compact"})],
)
def test_which_commands_a_writer_may_not_type(core: FakeCore, protocol: int, forbidden: set[str]) -> None:
    writer = make_peer(protocol, WRITE)
    call(core, make_peer(4, ADMIN), "chat.send", {"sessionKey": KEY, "message": "hello", "idempotencyKey": "k"})
    refused = {name for name in COMMANDS if stands_for(Slash(name, "x")).refuse(writer)}
    assert refused == forbidden
    send = {"sessionKey": KEY, "message": "/compact 1", "idempotencyKey": "k1"}
    assert call(core, writer, "chat.send", send)["error"]["message"] == f"missing scope: {ADMIN}"
    assert call(core, writer, "chat.history", {"sessionKey": KEY})["payload"]["messages"], "nothing is forgotten"
    assert stands_for(Slash("model")).refuse(writer) is None


def test_a_session_that_takes_nothing_takes_it_by_no_way(core: FakeCore) -> None:
    call(core, NEW, "sessions.patch", {"key": KEY, "sendPolicy": "deny"})
    ways = {
        "chat.send": {"sessionKey": KEY, "message": "hello", "idempotencyKey": "k1"},
        "agent": {"sessionKey": KEY, "message": "hello", "idempotencyKey": "k2"},
    }
    for name, params in ways.items():
        assert call(core, NEW, name, params)["error"]["message"] == "send blocked by session policy"
    command = {"sessionKey": KEY, "message": "/help", "idempotencyKey": "k3"}
    assert call(core, NEW, "chat.send", command)["error"]["message"] == "send blocked by session policy"
    created = call(core, NEW, "sessions.create", {"key": KEY, "message": "hello"})["payload"]
    assert created["runError"]["message"] == "send blocked by session policy"
