"""What becomes of runs that no agent begins, or whose agent is gone: each way to lose one, at each point."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.config.tree import Unusable
from gateway.link import client
from gateway.link.messages import VERSION, Discarded, Said, Started, Text, Thinking, ToolStarted
from gateway.link.spec import Spec
from gateway.runs import owner
from gateway.runs.ends import BROKEN
from gateway.runs.owner import MAX_ATTEMPTS
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import BESIDE, Run, RunRequest
from tests.runs.world import MAIN, RunsWorld, assistant, in_a_world, specify, until

pytestmark = pytest.mark.usefixtures("scripted")


async def said(world: RunsWorld, *what: Any) -> None:
    """A run whose agent has said this, all of which has come."""
    await world.submit("r1")
    script = await world.script("r1")
    script.happen(*what)
    await until(lambda: (live := world.runs.active("r1")) and live.seq == len(what))


# -- an agent that dies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [True, False])
def test_another_agent_is_asked_from_the_beginning(tmp_path: Path, stored: bool) -> None:
    async def test(world: RunsWorld) -> None:
        await said(world, Started("p", "m", 1), Thinking("hm"), Text("Once "), Said(assistant("Once ")), Text("upon"))
        if stored:
            await world.runs.flush()
        await world.agents.crash()
        script = await world.script("r1")
        assert world.heard.texts["r1"] == ""
        script.happen(Text("Twice"), Said(assistant("Twice")))
        script.end()
        run = await world.over("r1")
        assert (run.state, run.answer, run.attempts, run.provider) == ("done", "Twice", 2, None)
        assert await world.transcript() == ["user: hello", "assistant: Twice"]
        assert world.heard.begun_ == ["r1"]

    in_a_world(tmp_path, test)


def summary(words: str) -> Said:
    return Said({"role": "compaction", "summary": words, "tokensAfter": 7, "timestamp": 2})


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("dies", ["agent", "gateway", "both"])
def test_a_summary_is_neither_lost_nor_there_twice(tmp_path: Path, dies: str, stored: bool) -> None:
    """Whoever dies after the agent has told it, before the answer that follows."""

    async def test(world: RunsWorld) -> None:
        await said(world, summary("They met."), Text("Once"))
        if stored:
            await world.runs.flush()
        if dies != "agent":
            await world.gateway.crash()
        if dies != "gateway":
            await world.agents.crash()
        if dies != "agent":
            await world.next_gateway()
        if dies == "gateway":
            await until(lambda: (live := world.runs.active("r1")) and live.text == "Once")
            script = kept_script["r1"]
        else:
            script = await world.script("r1")
            told = (await world.store.past(MAIN, "r1"))[1].messages
            assert told or not stored, "the next agent is told of it"
            script.happen(*(() if told else (summary("They met anew."),)))
        script.happen(Said(assistant("Hi.")))
        script.end()
        assert (await world.over("r1")).state == "done"
        session = await world.store.session(MAIN)
        assert session is not None and session.compactions == 1
        roles = [row.message["role"] for row in await world.store.rows(MAIN, 10)]
        assert roles == ["user", "compaction", "assistant"]

    kept_script: dict[str, Any] = {}
    world_script = RunsWorld.script

    async def script_and_keep(world: RunsWorld, id: str) -> Any:
        kept_script[id] = await world_script(world, id)
        return kept_script[id]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunsWorld, "script", script_and_keep)
        in_a_world(tmp_path, test)


def test_a_run_that_only_sums_up_is_over_with_the_summary(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.store.patch(MAIN, "main", lambda _: {}, 1)
        await world.runs.submit("r1", MAIN, "main", RunRequest({}, lane=BESIDE, compact=""))
        (await world.script("r1")).happen(summary("They met."))
        await until(lambda: (live := world.runs.active("r1")) and live.seq == 1)
        await world.agents.crash()
        assert (await world.over("r1")).state == "done", "no other agent is asked to do it again"
        assert [row.message["role"] for row in await world.store.rows(MAIN, 10)] == ["compaction"]

    in_a_world(tmp_path, test)


def test_an_agent_that_crashes_each_time_is_asked_twice(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await said(world, Text("Once"))
        await world.agents.crash()
        script = await world.script("r1")
        script.happen(Text("Twice"))
        await until(lambda: world.heard.texts["r1"] == "Twice")
        await world.agents.crash()
        run = await world.over("r1")
        assert run.state == "interrupted" and run.failure is not None
        assert run.failure.message == "the agent ended in the middle of this answer twice" and run.failure.retryable
        rows = await world.store.rows(MAIN, 10)
        assert [row.message["content"][0]["text"] for row in rows] == ["hello", "Twice"]
        assert rows[-1].message["stopReason"] == "interrupted"
        await world.submit("r2")
        (await world.script("r2")).end()
        await world.over("r2")

    in_a_world(tmp_path, test)


def test_what_has_called_a_tool_is_not_asked_again(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        call = assistant("Let me look.")
        call["content"].append({"type": "toolCall", "id": "c", "name": "look", "arguments": {}})
        await said(world, Text("Let me look."), Said(call), ToolStarted("c", "look", {}))
        await world.agents.crash()
        run = await world.over("r1")
        assert run.state == "interrupted" and run.failure is not None
        assert "a tool had been called" in run.failure.message
        assert await world.transcript() == ["user: hello", "assistant: Let me look.", "assistant: "]
        last = (await world.store.rows(MAIN, 1))[-1].message
        assert (last["stopReason"], last["errorMessage"]) == ("interrupted", run.failure.message)

    in_a_world(tmp_path, test)


@pytest.mark.parametrize("gateway_too", [True, False])
@pytest.mark.parametrize("tools", [True, False])
def test_an_answer_that_only_lacks_its_end_is_done(tmp_path: Path, gateway_too: bool, tools: bool) -> None:
    async def test(world: RunsWorld) -> None:
        first = (
            [Said(assistant("", content=[{"type": "text", "text": ""}])), ToolStarted("c", "look", {})] if tools else []
        )
        await said(world, *first, Text("All."), Said(assistant("All.")))
        if gateway_too:
            await world.runs.flush()
            await world.gateway.crash()
        await world.agents.crash()
        if gateway_too:
            await world.next_gateway()
        run = await world.over("r1")
        assert (run.state, run.answer, run.stop_reason) == ("done", "All.", "stop")

    in_a_world(tmp_path, test)


@pytest.mark.parametrize("reason", ["aborted", "error"])
def test_a_message_that_broke_off_is_not_an_answer(tmp_path: Path, reason: str) -> None:
    async def test(world: RunsWorld) -> None:
        await said(world, ToolStarted("c", "look", {}), Text("All"), Said(assistant("All", stopReason=reason)))
        await world.agents.crash()
        assert (await world.over("r1")).state == "interrupted"

    in_a_world(tmp_path, test)


def test_one_that_was_to_end_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.agent.runs.AgentRun.abort", lambda run: None)

    async def test(world: RunsWorld) -> None:
        await said(world, Text("Once"))
        await world.runs.abort(MAIN)
        await world.agents.crash()
        assert (await world.over("r1")).state == "aborted"

    in_a_world(tmp_path, test)


def test_a_run_that_its_agent_never_saw_is_asked_for_again(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        await until(lambda: (live := world.runs.active("r1")) and live.asked)
        await world.agents.crash()
        script = await world.script("r1")
        while script is None or "r1" not in world.agents.runs:
            script = await world.script("r1")
        script.end()
        assert (await world.over("r1")).state == "done"

    in_a_world(tmp_path, test)


def test_agents_that_die_before_they_say_a_word_are_not_asked_for_ever(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        asked = 0
        while "r1" not in world.heard.ends:
            await until(lambda: "r1" in world.agents.runs or "r1" in world.heard.ends)
            asked += "r1" in world.agents.runs
            await world.agents.crash()
        run = world.heard.ends["r1"]
        assert (run.state, run.attempts, asked) == ("interrupted", MAX_ATTEMPTS, 2 * MAX_ATTEMPTS)

    in_a_world(tmp_path, test)


def test_both_die_before_anything_was_stored(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await said(world, Text("Once"), Discarded("it broke off"), Text("Anew"))
        await world.gateway.crash()
        await world.agents.crash()
        await world.next_gateway()
        script = await world.script("r1")
        script.happen(Text("Twice"), Said(assistant("Twice")))
        script.end()
        assert (await world.over("r1")).answer == "Twice"
        assert await world.transcript() == ["user: hello", "assistant: Twice"]

    in_a_world(tmp_path, test)


# -- nobody to ask -----------------------------------------------------------------------------------------------------


def test_nobody_can_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test(world: RunsWorld) -> None:
        world.agents.down = True
        await world.submit("r1")
        await world.submit("r2")
        for id in ("r1", "r2"):
            run = await world.over(id)
            assert (run.state, run.answer) == ("failed", "") and run.failure is not None
            assert run.failure.message == "no agent answers: nobody is here" and run.failure.retryable
        world.agents.down = False
        await world.submit("r3")
        (await world.script("r3")).end()
        assert (await world.over("r3")).state == "done"

    in_a_world(tmp_path, test)


def test_nobody_can_be_reached_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.05)

    async def test(world: RunsWorld) -> None:
        await said(world, Text("Once"))
        world.agents.down = True
        world.agents.cut()
        run = await world.over("r1")
        assert (run.state, run.answer) == ("interrupted", "Once")

    in_a_world(tmp_path, test)


def test_an_agent_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(world: RunsWorld) -> None:
        monkeypatch.setattr("gateway.agent.link.VERSION", VERSION + 1)
        monkeypatch.setattr("gateway.link.client.PATIENCE_S", 0.05)
        await world.submit("r1")
        run = await world.over("r1")
        assert run.state == "failed" and run.failure is not None
        assert f"speaks version {VERSION + 1} of the link" in run.failure.message
        assert "restart openclaw-agent" in run.failure.message

    in_a_world(tmp_path, test)


def test_an_agent_that_has_too_many_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.agent.runs.MAX_RUNS", 1)

    async def test(world: RunsWorld) -> None:
        await said(world, Text("Once"))
        await world.submit("r2", "agent:main:other")
        run = await world.over("r2")
        assert run.state == "failed" and run.failure is not None and run.failure.kind == "limit"

    in_a_world(tmp_path, test)


# -- what an agent cannot be told --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Unusable("models", "no key", "set one"), "config", "models: no key; set one"),
        (StorageFailed("cannot read it"), "internal", "cannot read it"),
        (KeyError("oh"), "internal", BROKEN),
    ],
)
def test_a_run_that_cannot_be_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str, message: str
) -> None:
    async def refuse(run: Run) -> Spec:
        if run.id == "r1":
            raise error
        return await specify(run)

    monkeypatch.setattr("tests.runs.world.specify", refuse)

    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        await world.submit("r2")
        run = await world.over("r1")
        assert run.state == "failed" and run.failure is not None
        assert (run.failure.kind, run.failure.message) == (kind, message)
        (await world.script("r2")).end()
        assert (await world.over("r2")).state == "done"

    in_a_world(tmp_path, test)


def test_a_run_that_is_too_large_for_the_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.link.messages.MAX_LINE", 2000)

    async def test(world: RunsWorld) -> None:
        await world.submit("r1", text="x" * 3000)
        run = await world.over("r1")
        assert run.state == "failed" and run.failure is not None and run.failure.kind == "limit"
        assert "longer than the link's 2000" in run.failure.message

    in_a_world(tmp_path, test)


def test_only_so_many_are_described_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "MAX_ASKING", 2)
    described: list[str] = []

    async def test(world: RunsWorld) -> None:
        gate = asyncio.Event()

        async def slowly(run: Run) -> Spec:
            described.append(run.id)
            await gate.wait()
            return await specify(run)

        monkeypatch.setattr("tests.runs.world.specify", slowly)
        for number in range(6):
            await world.submit(f"r{number}", f"agent:main:{number}")
        await until(lambda: len(described) == 2)
        await until(lambda: world.runs.busy == 6)
        await asyncio.sleep(0.02)
        assert len(described) == 2
        gate.set()
        for number in range(6):
            (await world.script(f"r{number}")).end()
            await world.over(f"r{number}")

    in_a_world(tmp_path, test)


# -- what comes too late -----------------------------------------------------------------------------------------------


def test_what_an_agent_says_of_a_run_that_is_over_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.agent.runs.AgentRun.abort", lambda run: None)

    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        script.happen(Text("Once"))
        await until(lambda: world.heard.texts.get("r1"))
        await world.runs.abort(MAIN)
        await world.over("r1")
        script.happen(Text(" more"), Said(assistant("Once more")))
        script.end()
        await until(lambda: world.agents.runs == [])
        assert await world.transcript() == ["user: hello", "assistant: Once"]

    in_a_world(tmp_path, test)


def test_a_run_that_ends_while_its_end_without_it_is_stored_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.agent.runs.AgentRun.abort", lambda run: None)

    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        script.happen(Text("Once"))
        await until(lambda: world.heard.texts.get("r1"))
        world.gateway.disk.full = True
        await world.runs.abort(MAIN)
        await until(lambda: (live := world.runs.active("r1")) and live.ending)
        script.happen(Text(" more"), Said(assistant("Once more")))
        script.end()
        await asyncio.sleep(0.02)
        world.gateway.disk.full = False
        assert (await world.over("r1")).answer == "Once"
        await until(lambda: world.agents.runs == [])

    in_a_world(tmp_path, test)


def test_a_replay_says_nothing_twice(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        for number in range(20):
            script.happen(Text(f"{number} "))
            await until(lambda number=number: world.heard.texts.get("r1", "").endswith(f"{number} "))  # type: ignore[misc]
            world.agents.cut()
        script.happen(Said(assistant("".join(f"{number} " for number in range(20)))))
        script.end()
        run = await world.over("r1")
        assert run.answer.split() == [str(number) for number in range(20)]
        assert len(await world.transcript()) == 2

    in_a_world(tmp_path, test)
