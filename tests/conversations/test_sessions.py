from pathlib import Path

import pytest

from gateway.link.messages import Said
from gateway.sessions.records import RunRequest
from gateway.sessions.transactions import SendDenied
from gateway.sessions.transcripts import SessionChanged
from tests.agent.scripted import Scripted
from tests.conversing import agents
from tests.rpc.methods.talking import run, talking
from tests.runs.world import assistant, until
from tests.sessions.talk import MAIN, user


@pytest.mark.usefixtures("scripted")
def test_what_waits_and_what_is_active(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            conversations = talk.core.conversations
            for id in ("r1", "r2", "r3"):
                await conversations.submit(id, MAIN, RunRequest(user(id)))
            await until(lambda: Scripted.by_session)
            assert conversations.sessions.active_runs(MAIN) == ["r1", "r2", "r3"]
            assert [each.id for each in await conversations.pending(MAIN)] == ["r2", "r3"]
            assert await conversations.abort(MAIN, "r2") == ["r2"]
            (script,) = Scripted.by_session.values()
            script.happen(Said(assistant("Yes")))
            script.end()
            await until(lambda: conversations.sessions.active_runs(MAIN) == ["r3"])
            await conversations.sessions.end_runs(MAIN)
            assert conversations.sessions.active_runs(MAIN) == []

    run(scenario())


def test_whose_session_it_is_and_which_model_it_can_have(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            conversations = talk.core.conversations
            assert conversations.sessions.key("main") == MAIN and conversations.sessions.agent(MAIN) == "main"
            assert conversations.sessions.agent("agent:work:x") == "work"
            assert conversations.sessions.refuse_model(MAIN, "mock/m1") is None
            assert conversations.sessions.refuse_model(MAIN, "nobody/m9") is not None

    run(scenario())


def test_what_a_client_expects_is_looked_at_before_anything_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            sessions = talk.core.conversations.sessions
            first = await sessions.patch(MAIN, lambda entry: {**entry, "label": "Lbl"})
            for change in (sessions.reset, sessions.delete):
                with pytest.raises(SessionChanged):
                    await change(MAIN, expected="another")
            second = await sessions.reset(MAIN, expected=first.id)
            assert second.id != first.id
            assert (await sessions.delete(MAIN, expected=second.id)) is not None
            assert await sessions.delete(MAIN) is None

    run(scenario())


def test_a_session_may_take_no_messages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            sessions = talk.core.conversations.sessions
            await sessions.check_may_send(MAIN)
            await sessions.patch(MAIN, lambda _: {"sendPolicy": "deny"})
            with pytest.raises(SendDenied):
                await sessions.check_may_send(MAIN)

    run(scenario())
