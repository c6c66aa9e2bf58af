"""Runs from their acceptance to their end, with a real database, a real socket and the agent's own link server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.link.messages import Said, Text
from gateway.runs import service
from gateway.sessions.database import StorageFailed
from gateway.sessions.transactions import MAX_QUEUED, QueueFull
from tests.runs.world import MAIN, RunsWorld, assistant, in_a_world, until
from tests.slack import LIMIT_S

pytestmark = pytest.mark.usefixtures("scripted")
OTHER = "agent:main:other"


async def finish(world: RunsWorld, id: str, text: str = "Yes.") -> None:
    script = await world.script(id)
    script.happen(Text(text), Said(assistant(text)))
    script.end()
    await world.over(id)


def test_a_run_is_answered(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        assert await world.submit("r1")
        script = await world.script("r1")
        assert (world.runs.running(MAIN), world.runs.waiting(MAIN), world.runs.busy) == ("r1", [], 1)
        script.happen(Text("Hel"), Text("lo"), Said(assistant("Hello")))
        script.end()
        run = await world.over("r1")
        assert (run.state, run.answer, run.stop_reason) == ("done", "Hello", "stop")
        assert (world.runs.running(MAIN), world.runs.sessions, world.runs.busy) == (None, (), 0)
        assert await world.transcript() == ["user: hello", "assistant: Hello"]
        await until(lambda: world.agents.runs == [])

    in_a_world(tmp_path, test)


def test_the_same_id_again_is_the_same_run_at_each_point(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        one, two = await asyncio.gather(world.submit("r1"), world.submit("r1"))
        assert [one, two] == [True, False]
        script = await world.script("r1")
        assert not await world.submit("r1")
        script.end()
        await world.over("r1")
        assert not await world.submit("r1", text="another")
        assert await world.transcript() == ["user: hello"]

    in_a_world(tmp_path, test)


def test_one_at_a_time_and_the_others_in_order(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        for number in range(4):
            await world.submit(f"r{number}", text=f"q{number}")
        await world.submit("elsewhere", OTHER)
        await finish(world, "elsewhere")
        assert (world.runs.running(MAIN), world.runs.waiting(MAIN)) == ("r0", ["r1", "r2", "r3"])
        for number in range(4):
            await finish(world, f"r{number}", f"a{number}")
        assert await world.transcript() == [
            f"{who}{number}" for number in range(4) for who in ("user: q", "assistant: a")
        ]

    in_a_world(tmp_path, test)


def test_so_many_wait_in_a_session_and_no_more(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        for number in range(MAX_QUEUED + 1):
            await world.submit(f"r{number}")
        with pytest.raises(QueueFull):
            await world.submit("one too many")
        assert await world.runs.abort(MAIN, "r5") == ["r5"]
        await world.submit("another")

    in_a_world(tmp_path, test)


def test_so_many_go_on_at_once_and_sessions_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_RUNNING", 2)

    async def test(world: RunsWorld) -> None:
        for session in ("a", "b", "c"):
            for number in range(2):
                await world.submit(f"{session}{number}", f"agent:main:{session}")
        await until(lambda: (world.runs.busy, world.runs.queued) == (2, 4))
        await finish(world, "a0")
        for id in ("c0", "b0", "a1", "c1", "b1"):
            assert world.runs.busy <= 2
            await finish(world, id)
        assert world.heard.begun_[2] == "c0", "it was its turn, and not again that of a"

    in_a_world(tmp_path, test)


# -- aborts ------------------------------------------------------------------------------------------------------------


def test_a_run_that_goes_on_is_aborted_and_keeps_what_was_written(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        script.happen(Text("Once upon"))
        await until(lambda: world.heard.texts.get("r1"))
        first, second = await asyncio.gather(world.runs.abort(MAIN), world.runs.abort(MAIN, "r1"))
        assert first == second == ["r1"]
        run = await world.over("r1")
        assert (run.state, run.answer, run.stop_reason) == ("aborted", "Once upon", "aborted")
        assert await world.transcript() == ["user: hello", "assistant: Once upon"]
        assert await world.runs.abort(MAIN) == []

    in_a_world(tmp_path, test)


def test_one_that_waits_is_aborted_and_never_begins(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        for number in range(3):
            await world.submit(f"r{number}", text=f"q{number}")
        assert await world.runs.abort(MAIN, "r1") == ["r1"]
        assert (await world.over("r1")).state == "aborted"
        for id in ("r0", "r2"):
            await finish(world, id)
        assert world.heard.begun_ == ["r0", "r2"]
        assert "user: q1" not in await world.transcript()

    in_a_world(tmp_path, test)


def test_one_that_is_being_aborted_does_not_begin_meanwhile(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        for number in range(3):
            await world.submit(f"r{number}", text=f"q{number}")
        world.gateway.disk.slow["end r1"] = asyncio.Event()
        aborting = asyncio.create_task(world.runs.abort(MAIN, "r1"))
        await finish(world, "r0")
        await asyncio.sleep(0.02)
        assert world.runs.running(MAIN) is None and world.runs.waiting(MAIN) == ["r1", "r2"]
        world.gateway.disk.slow["end r1"].set()
        assert await aborting == ["r1"]
        await finish(world, "r2")
        assert world.heard.begun_ == ["r0", "r2"]

    in_a_world(tmp_path, test)


def test_all_of_a_session_are_aborted_and_no_other(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        for number in range(3):
            await world.submit(f"r{number}")
        await world.submit("elsewhere", OTHER)
        await world.script("r0")
        assert await world.runs.abort(MAIN) == ["r0", "r1", "r2"]
        assert [(await world.over(f"r{number}")).state for number in range(3)] == ["aborted"] * 3
        assert world.heard.begun_.count("r1") == 0
        await finish(world, "elsewhere")

    in_a_world(tmp_path, test)


def test_one_that_is_just_beginning_is_aborted(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        accepting = asyncio.create_task(world.submit("r1"))
        await until(lambda: world.runs.sessions)
        assert world.runs.running(MAIN) is None and world.runs.waiting(MAIN) == ["r1"]
        assert await world.runs.abort(MAIN) == ["r1"]
        await accepting
        assert (await world.over("r1")).state == "aborted"
        assert world.agents.runs == []

    in_a_world(tmp_path, test)


def test_one_that_has_no_agent_yet_is_aborted_at_once(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        world.agents.down = True
        await world.submit("r1")
        await until(lambda: world.runs.running(MAIN))
        await world.runs.abort(MAIN)
        assert (await world.over("r1")).state == "aborted"
        assert world.agents.born == 0

    in_a_world(tmp_path, test)


def test_an_abort_that_the_agent_could_not_be_told_is_told_when_it_can(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        script.happen(Text("Once"))
        await until(lambda: world.heard.texts.get("r1"))
        world.agents.down = True
        world.agents.cut()
        await until(lambda: world.runs._owner._link.agent is None)
        await world.runs.abort(MAIN)
        world.agents.down = False
        assert (await world.over("r1")).answer == "Once"
        await until(lambda: world.agents.runs == [])

    in_a_world(tmp_path, test)


def test_an_agent_that_does_not_end_a_run_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.agent.runs.AgentRun.abort", lambda run: None)

    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        script.happen(Text("Once"))
        await until(lambda: world.heard.texts.get("r1"))
        await world.runs.abort(MAIN)
        assert ((await world.over("r1")).state, world.heard.ends["r1"].answer) == ("aborted", "Once")
        script.happen(Text(" more"))
        await world.submit("r2")
        await finish(world, "r2")
        assert await world.transcript() == ["user: hello", "assistant: Once", "user: hello", "assistant: Yes."]

    in_a_world(tmp_path, test)
    assert "the agent does not end run r1" in caplog.text


# -- the disk ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_messages_and_loses_nothing_of_what_goes_on(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        await world.submit("r2")
        script = await world.script("r1")
        world.gateway.disk.full = True
        with pytest.raises(StorageFailed):
            await world.submit("r3")
        with pytest.raises(StorageFailed):
            await world.runs.abort(MAIN, "r2")
        assert world.runs.waiting(MAIN) == ["r2"]
        script.happen(Text("Yes"), Said(assistant("Yes")))
        script.end()
        await until(lambda: world.heard.texts.get("r1") == "")
        await asyncio.sleep(0.05)
        assert "r1" not in world.heard.ends and world.agents.runs == ["r1"]
        world.gateway.disk.full = False
        assert (await world.over("r1")).answer == "Yes"
        await finish(world, "r2")

    in_a_world(tmp_path, test)


def test_one_that_was_stored_although_it_was_said_to_have_failed_begins_when_it_is_asked_for_again(
    tmp_path: Path,
) -> None:
    async def test(world: RunsWorld) -> None:
        write = world.store.database.write

        async def lie(work: Any) -> Any:
            await write(work)
            raise StorageFailed("the disk has gone")

        world.store.database.write = lie  # type: ignore[method-assign]
        with pytest.raises(StorageFailed):
            await world.submit("r1")
        world.store.database.write = write  # type: ignore[method-assign]
        assert world.runs.sessions == ()
        assert not await world.submit("r1")
        assert not await world.submit("r1"), "and only once"
        await finish(world, "r1")
        assert world.heard.begun_ == ["r1"]
        assert await world.transcript() == ["user: hello", "assistant: Yes."]

    in_a_world(tmp_path, test)


def test_one_whose_beginning_cannot_be_stored_waits_for_the_disk(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        await world.submit("r2")
        script = await world.script("r1")
        world.gateway.disk.full_for = ("begin",)
        script.end()
        await world.over("r1")
        await asyncio.sleep(0.05)
        assert world.runs.running(MAIN) is None and world.runs.waiting(MAIN) == ["r2"]
        assert await world.runs.abort(MAIN) == ["r2"]
        world.gateway.disk.full_for = ()
        assert (await world.over("r2")).state == "aborted"

    in_a_world(tmp_path, test)


def test_what_was_told_is_stored_when_asked_for(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        world.runs._owner._storing.stop()
        script.happen(Text("one"), Said(assistant("one")))
        await until(lambda: world.heard.texts.get("r1") == "")
        assert await world.transcript() == ["user: hello"]
        world.gateway.disk.full = True
        await world.runs.flush()
        world.gateway.disk.full = False
        await asyncio.gather(world.runs.flush(), world.runs.flush())
        script.happen(Text("two"), Said(assistant("two")))
        await until(lambda: (live := world.runs.active("r1")) and len(live.said) == 1)
        reading = asyncio.create_task(world.runs.flush())
        await asyncio.sleep(0)
        reading.cancel()
        await world.runs.flush()
        assert await world.transcript() == ["user: hello", "assistant: one", "assistant: two"]

    in_a_world(tmp_path, test)


# -- whoever waits -----------------------------------------------------------------------------------------------------


def test_waiting_for_the_end_of_a_run(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        assert await world.runs.wait("nobody", 10) is None
        await world.submit("r1")
        run = await world.runs.wait("r1", 0.01)
        assert run is not None and run.unfinished
        waiting = asyncio.create_task(world.runs.wait("r1", 10))
        await finish(world, "r1")
        run = await waiting
        assert run is not None and run.state == "done"
        assert await world.runs.wait("r1", 10) == run
        assert not world.runs._waiters

    in_a_world(tmp_path, test)


def test_one_that_is_over_on_disk_and_not_yet_here_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(world: RunsWorld) -> None:
        stored, go_on = asyncio.Event(), asyncio.Event()
        end = world.store.end

        async def ends_slowly(*args: Any, **more: Any) -> Any:
            run = await end(*args, **more)
            stored.set()
            await go_on.wait()
            return run

        monkeypatch.setattr(world.store, "end", ends_slowly)
        await world.submit("r1")
        (await world.script("r1")).end()
        await stored.wait()
        waiting = asyncio.create_task(world.runs.wait("r1", 10))
        assert await asyncio.wait_for(asyncio.shield(world.store.run("r1")), LIMIT_S)
        await until(lambda: world.runs._waiters)
        assert not waiting.done() and world.runs.running(MAIN) == "r1"
        go_on.set()
        run = await waiting
        assert run is not None and run.state == "done"
        assert world.runs.running(MAIN) is None

    in_a_world(tmp_path, test)


def test_who_leaves_lets_nobody_wait(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        waiting = asyncio.create_task(world.runs.wait("r1", 10))
        await until(lambda: world.runs._waiters)
        await asyncio.sleep(0.01)
        world.runs.release_waiters()
        run = await waiting
        assert run is not None and run.unfinished
        run = await world.runs.wait("r1", 10)
        assert run is not None and run.unfinished
        await finish(world, "r1")

    in_a_world(tmp_path, test)


def test_a_client_that_goes_while_it_asks_has_asked_all_the_same(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        asking = asyncio.create_task(world.submit("r1"))
        await asyncio.sleep(0)
        asking.cancel()
        await world.script("r1")
        await world.submit("r2")
        stopping = asyncio.create_task(world.runs.abort(MAIN))
        await asyncio.sleep(0)
        stopping.cancel()
        assert [(await world.over(id)).state for id in ("r1", "r2")] == ["aborted", "aborted"]

    in_a_world(tmp_path, test)


# -- one process after the other ---------------------------------------------------------------------------------------


def test_a_run_goes_on_with_the_next_gateway_where_it_was(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        await world.submit("r2", text="then")
        script = await world.script("r1")
        script.happen(Text("Once "), Said(assistant("Once ")), Text("upon "))
        await until(lambda: world.heard.texts.get("r1") == "upon ")
        await world.gateway.leave()
        script.happen(Text("a time"))
        await world.next_gateway()
        live = world.runs.active("r1")
        assert live is not None and (live.text, live.stored) == ("upon ", 3)
        await until(lambda: world.heard.texts["r1"] == "upon a time")
        script.happen(Said(assistant("upon a time")))
        script.end()
        await world.over("r1")
        await finish(world, "r2")
        assert await world.transcript() == [
            *("user: hello", "assistant: Once ", "assistant: upon a time"),
            *("user: then", "assistant: Yes."),
        ]

    in_a_world(tmp_path, test)


def test_a_leaving_gateway_begins_nothing_and_hears_nothing(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        await world.runs.close()
        script.happen(Text("late"))
        await world.submit("r2", OTHER)
        await asyncio.sleep(0.02)
        assert "r1" not in world.heard.texts and world.heard.begun_ == ["r1"]
        await world.gateway.store.close()
        await world.next_gateway()
        script.end()
        await world.over("r1")
        await finish(world, "r2")

    in_a_world(tmp_path, test)


def test_a_run_is_not_begun_anew_because_gateway_and_connection_broke(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        world.runs._owner._storing.stop()
        script.happen(Text("Once "))
        await until(lambda: world.heard.texts.get("r1"))
        world.agents.cut()
        script.happen(Text("upon"))
        await until(lambda: world.heard.texts.get("r1") == "Once upon")
        await world.gateway.crash()
        await world.next_gateway()
        script.happen(Said(assistant("Once upon")))
        script.end()
        run = await world.over("r1")
        assert (run.answer, run.attempts) == ("Once upon", 1)

    in_a_world(tmp_path, test)


def test_a_gateway_leaves_while_another_agent_is_to_be_asked(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        script.happen(Text("Once"))
        await until(lambda: world.heard.texts.get("r1"))
        world.gateway.disk.slow["again"] = asyncio.Event()
        await world.agents.crash()
        await until(lambda: (live := world.runs.active("r1")) and not live.asked)
        leaving = asyncio.create_task(world.gateway.leave())
        await asyncio.sleep(0.01)
        world.gateway.disk.slow["again"].set()
        async with asyncio.timeout(LIMIT_S):
            await leaving
        await world.next_gateway()
        await finish(world, "r1")

    in_a_world(tmp_path, test)


def test_an_end_that_could_not_be_stored_comes_again(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        await world.submit("r1")
        script = await world.script("r1")
        world.gateway.disk.full = True
        script.happen(Text("Yes"), Said(assistant("Yes")))
        script.end()
        await until(lambda: (live := world.runs.active("r1")) and live.ending)
        await world.gateway.leave()
        assert world.heard.ends == {}
        await world.next_gateway()
        assert (await world.over("r1")).answer == "Yes"
        assert await world.transcript() == ["user: hello", "assistant: Yes"]

    in_a_world(tmp_path, test)


def test_a_hundred_sessions_at_once(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        ids = [f"r{number}" for number in range(100)]
        await asyncio.gather(*(world.submit(id, f"agent:main:{id}") for id in ids))
        scripts = [await world.script(id) for id in ids]
        for script in scripts:
            script.happen(Text("a "), Text("b"), Said(assistant("a b")))
        world.agents.cut()
        for script in scripts:
            script.end()
        for id in ids:
            assert (await world.over(id)).answer == "a b"
            assert await world.transcript(f"agent:main:{id}") == ["user: hello", "assistant: a b"]

    in_a_world(tmp_path, test)
