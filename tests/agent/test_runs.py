import asyncio
import re
from collections.abc import Iterator

import pytest

from gateway.agent import runs as module
from gateway.agent.runs import AgentRun, AgentRuns, TooManyRuns
from gateway.link.messages import (
    MAX_RUNS,
    Ended,
    Event,
    Failure,
    Happening,
    Said,
    Text,
    Usage,
    Waiting,
    decode_to_gateway,
)
from tests.agent.peer import spec
from tests.agent.scripted import Scripted, settle


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "RunLoop", Scripted)
    yield


def events(run: AgentRun) -> list[Happening]:
    run.backlog.seal()
    lines = [decode_to_gateway(run.backlog.line(seq)) for seq in range(run.backlog.acked + 1, run.backlog.last + 1)]
    return [line.what for line in lines if isinstance(line, Event)]


def make() -> AgentRuns:
    return AgentRuns(lambda run: None, lambda: None)


def begin(runs: AgentRuns, name: str = "r") -> tuple[AgentRun, Scripted]:
    run = runs.start(name, spec())
    return run, Scripted.by_session["agent:main:main"]


def test_a_run_ends_with_its_end_and_its_usage() -> None:
    async def test() -> None:
        run, script = begin(make())
        script.usage = Usage(1, 2)
        script.happen(Text("a"))
        script.end()
        await settle()
        assert events(run) == [Text("a"), Ended("done", usage=Usage(1, 2))]

    asyncio.run(test())


def test_a_start_of_a_run_that_is_there_begins_nothing() -> None:
    async def test() -> None:
        runs = make()
        run, script = begin(runs)
        assert runs.start("r", spec("something else")) is run and len(runs) == 1
        assert Scripted.by_session["agent:main:main"] is script

    asyncio.run(test())


def test_an_aborted_run_says_so_even_if_it_had_not_begun_to_work() -> None:
    async def test() -> None:
        run, _ = begin(make())
        run.abort()
        await settle()
        assert events(run) == [Ended("aborted", "aborted")]

    asyncio.run(test())


def test_an_aborted_run_is_aborted_whatever_it_makes_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(self: Scripted) -> Ended:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("a generator is already running") from None
        raise AssertionError

    monkeypatch.setattr(Scripted, "run", run)

    async def test() -> None:
        run, _ = begin(make())
        await settle(turns=3)
        run.abort()
        await settle()
        assert events(run) == [Ended("aborted", "aborted")]

    asyncio.run(test())


def test_what_was_left_over_is_said_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "leftovers", lambda self, ended: [Said({"role": ended.stop_reason})])

    async def test() -> None:
        run, script = begin(make())
        script.fail()
        await settle()
        failure = Failure("provider", "no")
        assert events(run) == [Said({"role": "error"}), Ended("failed", "error", failure)]

    asyncio.run(test())


def test_a_fault_of_our_own_is_logged_and_its_words_go_no_further(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        run, script = begin(make())
        script.break_down()
        await settle()
        (ended,) = events(run)
        assert isinstance(ended, Ended) and ended.failure is not None
        assert ended.failure == Failure("internal", "the agent broke on ZeroDivisionError; its log says where.")
        assert "test_runs" not in ended.failure.message and "ZeroDivisionError: oh" in caplog.text

    asyncio.run(test())


def test_a_run_is_there_until_its_end_is_acknowledged() -> None:
    async def test() -> None:
        runs = make()
        run, script = begin(runs)
        script.happen(Text("a"))
        script.end()
        await settle()
        runs.ack("r", 1)
        runs.ack("nobody", 1)
        assert runs.ids() == ["r"]
        runs.ack("r", 2)
        assert not runs.ids() and runs.get("r") is None

    asyncio.run(test())


def test_a_discarded_run_is_gone_at_once_and_its_name_free() -> None:
    async def test() -> None:
        runs = make()
        run, _ = begin(runs)
        runs.discard("r")
        assert not len(runs)
        again, script = begin(runs)
        script.end()
        await settle()
        assert events(again) == [Ended("done")] and runs.get("r") is again

    asyncio.run(test())


def test_there_are_at_most_so_many_runs() -> None:
    async def test() -> None:
        runs = make()
        for number in range(MAX_RUNS):
            begin(runs, str(number))
        with pytest.raises(TooManyRuns):
            begin(runs, "one more")
        begin(runs, "0")
        runs.discard("0")
        begin(runs, "one more")
        await runs.end_all()

    asyncio.run(test())


def test_who_leaves_says_nothing_of_the_end() -> None:
    async def test() -> None:
        runs = make()
        run, script = begin(runs)
        script.happen(Text("a"))
        await settle()
        await runs.end_all()
        await settle()
        assert events(run) == [Text("a")]

    asyncio.run(test())


def test_who_leaves_waits_for_what_the_runs_left_behind() -> None:
    async def test() -> None:
        runs = make()
        done: list[str] = []

        async def tool() -> None:
            await asyncio.sleep(0.01)
            done.append("tool")

        runs._idle_servers.track_ending(asyncio.create_task(tool()))
        await runs.end_all()
        assert done == ["tool"]

    asyncio.run(test())


def test_who_leaves_waits_for_discarded_runs_too() -> None:
    async def test() -> None:
        runs = make()
        run, _ = begin(runs)
        runs.discard("r")
        await runs.end_all()
        assert run.work.done()

    asyncio.run(test())


def test_changes_are_told() -> None:
    async def test() -> None:
        changes: list[int] = []
        runs = AgentRuns(lambda run: None, lambda: changes.append(len(runs)))
        begin(runs)
        begin(runs)
        runs.discard("r")
        assert changes == [1, 0]

    asyncio.run(test())


def test_a_run_that_nobody_acknowledges_reads_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.agent.backlog.MAX_UNACKED", 500)

    async def test() -> None:
        run, script = begin(make())
        script.happen(*[Waiting(1, Failure("network", "x" * 50))] * 100)
        await settle()
        one = run.backlog.size / run.backlog.last
        assert 500 < run.backlog.size <= 500 + one and script.emitted == run.backlog.last - 1
        before = run.backlog.last
        run.backlog.ack(2)
        await settle()
        assert before < run.backlog.last <= before + 2  # as much as has been made room for

    asyncio.run(test())


def test_each_run_leaves_a_line_at_its_start_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def test() -> None:
        _, script = begin(make())
        script.usage = Usage(7, 5)
        script.end()
        await settle()

    asyncio.run(test())
    assert caplog.messages[0] == "run r begins: session agent:main:main, Model(builtin/echo)"
    assert re.fullmatch(r"run r done after \d+\.\d s, 12 tokens.*", caplog.messages[-1])
