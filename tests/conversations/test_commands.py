"""What commands in a chat do to a session, and what they answer."""

import asyncio
from pathlib import Path

import pytest

from gateway.config.models import THINKING
from gateway.conversations.commands import Commands
from gateway.conversations.slash import COMMANDS, Slash
from gateway.link.messages import Text
from gateway.sessions.records import RunRequest
from tests.agent.scripted import Scripted
from tests.conversing import agents
from tests.rpc.methods.talking import Caller, run, talking
from tests.runs.world import until
from tests.sessions.talk import MAIN, assistant, converse, user


async def say(talk: Caller, name: str, argument: str = "", key: str = MAIN) -> str:
    return await talk.core.conversations.commands.carry_out(key, Slash(name, argument))


def test_help_names_every_command(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            told = await say(talk, "help")
            assert [line.split(":")[0] for line in told.splitlines()[1:]] == [f"- /{name}" for name in COMMANDS]

    run(scenario())


def test_status_before_and_after_something_was_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            assert await say(talk, "status") == f"Session: {MAIN}\nModel: mock/m1"
            await converse(talk.store, "r1", MAIN, "Hello", assistant("there"))
            told = (await say(talk, "status")).splitlines()
            assert told[2:] == [
                "Context: 18 tokens of 200000 (0 %)",
                "Tokens: 10 in, 5 out; 2 messages",
                "Compactions: 0",
                "Thinking: off",
            ]

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_status_says_what_goes_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            for id in ("r1", "r2", "r3"):
                await talk.core.conversations.submit(id, MAIN, RunRequest(user("?")))
            await until(lambda: Scripted.by_session)
            assert (await say(talk, "status")).splitlines()[-1] == "Running: r1; 2 wait"
            await talk.core.conversations.abort(MAIN)

    run(scenario())


@pytest.mark.usefixtures("scripted")
def test_a_new_session_ends_what_goes_on_and_forgets_what_was_said(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with agents() as there, talking(tmp_path, dial=there.dial) as talk:
            await converse(talk.store, "r1", MAIN, "Hello", assistant("there"))
            await talk.store.patch(MAIN, "main", lambda _: {"model": "mock/m1"}, 1)
            before = await talk.store.session(MAIN)
            await talk.core.conversations.submit("r2", MAIN, RunRequest(user("?")))
            await until(lambda: Scripted.by_session)
            (script,) = Scripted.by_session.values()
            script.happen(Text("Once"))
            assert await say(talk, "new") == "New session. What was said before is forgotten."
            after = await talk.store.session(MAIN)
            assert before is not None and after is not None and before.id != after.id
            assert after.entry == {"model": "mock/m1"} and after.messages == 0
            ended = await talk.store.run("r2")
            assert ended is not None and ended.state == "aborted"

    run(scenario())


def test_a_new_session_waits_for_no_answer_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.conversations.sessions.QUIET_S", 0.05)

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            await talk.store.accept("r1", MAIN, "main", RunRequest(user("?")), 1)
            monkeypatch.setattr(talk.core.conversations.runs, "abort", stubborn)
            assert "does not end" in await say(talk, "new")

    async def stubborn(key: str, id: str | None = None) -> list[str]:
        return ["r1"]

    run(scenario())


def test_a_model_is_shown_chosen_refused_and_given_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            assert "Model: mock/m1" in await say(talk, "model")
            assert await say(talk, "model", "builtin/echo") == "Model: builtin/echo"
            session = await talk.store.session(MAIN)
            assert session is not None and session.entry == {"model": "builtin/echo"}
            assert (await say(talk, "model", "nobody/m9")).startswith("Not changed: ")
            assert await say(talk, "model", "default") == "The model is the config's again."
            session = await talk.store.session(MAIN)
            assert session is not None and session.entry == {}
            assert "- mock/m1 (default)" in await say(talk, "models")

    run(scenario())


def test_how_long_it_thinks(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            assert await say(talk, "think", "HIGH") == "Thinking: high"
            assert "Thinking: high" in await say(talk, "status")
            assert await say(talk, "think", "off") == "Thinking: off"
            assert await say(talk, "think") == await say(talk, "think", "a lot") == f"Levels: {', '.join(THINKING)}"

    run(scenario())


def test_a_command_is_carried_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def slowly(commands: Commands, key: str, command: Slash) -> str:
        done.append(command.name)
        await asyncio.sleep(0.01)
        return "Done."

    monkeypatch.setattr("gateway.conversations.commands.Commands.carry_out", slowly)

    async def scenario() -> None:
        async with talking(tmp_path) as talk:
            conversations = talk.core.conversations
            ask = ("c1", MAIN, RunRequest(user("/new")), Slash("new"))
            gone = asyncio.create_task(conversations.commands.do(*ask))
            await asyncio.sleep(0)
            gone.cancel()
            answers = await asyncio.gather(*(conversations.commands.do(*ask) for _ in range(3)))
            assert {found.id for found, _ in answers} == {"c1"}
            found, fresh = await conversations.commands.do(*ask)
            assert not fresh and (found.state, found.answer) == ("done", "Done.")
            assert done == ["new"] and conversations.commands._doing == {}
            assert [row.message["role"] for row in await talk.store.rows(MAIN, 10)] == ["user", "assistant"]

    run(scenario())
