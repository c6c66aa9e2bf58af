"""Whatever breaks between a provider and a client, the run ends once, with a reason, and the session goes on."""

import asyncio
import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from linecache import getline
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import gateway
from gateway.agent import runs as agent_runs
from gateway.conversations.deferred_answers import DeferredReplies
from gateway.conversations.run_events import RunEvents
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.link.messages import Said, Text
from gateway.protocol.peer import ClientInfo, Peer
from gateway.runs.ends import BROKEN
from gateway.runs.following import RunTexts
from tests.agent.scripted import Scripted
from tests.carrier import FakeCarrier, drained
from tests.effort import some
from tests.runs.world import MAIN, SOON, RunsWorld, assistant, in_a_world, name_of, until, world
from tests.slack import LIMIT_S

PACKAGE = Path(gateway.__file__).parent
BETWEEN = (
    *(
        "agent/attempts",
        "agent/turn/answer",
        "agent/backlog",
        "agent/run_loop",
        "agent/echo",
        "agent/link",
        "agent/runs",
    ),
    *(
        "link/client",
        "link/messages",
        "runs/audience",
        "runs/ends",
        "runs/following",
        "runs/active",
        "conversations/deferred_answers",
        "runs/owner",
    ),
    *("runs/service", "runs/storing", "conversations/run_events", "runs/written"),
)
FILES = {str(PACKAGE / f"{name}.py") for name in BETWEEN}
GUARDED = (
    *("_tasks.spawn(", "self._queues.", "self._advance(", "self._free(", "self._over(", "self._conclude("),
    *("self._audience.", "self._call_each(", "self.tell_ended("),
)
"""What only keeps books of ids, or calls what is guarded itself: it does not break by itself."""
Line = tuple[str, int]


class Fault(Exception):
    """What no code expects."""


class Tracer:
    """Sees each line of `BETWEEN` that runs in this thread, and raises at one of them, once."""

    def __init__(self) -> None:
        self.seen = Counter[Line]()
        """How often."""
        self.names: dict[Line, str] = {}
        self.at: Line | None = None
        self.after = 0
        """The line is passed so often before."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        return self._line if frame.f_code.co_filename in FILES else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            line = frame.f_code.co_filename, frame.f_lineno
            self.seen[line] += 1
            self.names[line] = frame.f_code.co_qualname
            if line == self.at:
                self.after -= 1
                if self.after < 0:
                    self.at = None
                    raise Fault(line)
        return self._line


class Listeners:
    """A hub with a client of each protocol, and somebody who reads over HTTP."""

    def __init__(self, made: RunsWorld) -> None:
        self.hub, self.stack = Hub(), ExitStack()
        self.ears: dict[int, Connection] = {}
        self.following = RunTexts(made.runs.active)
        made.listeners += [RunEvents(self.hub), DeferredReplies(self.hub), self.following]
        self.renew()

    def renew(self) -> list[str]:
        """Those that were not dropped; the others come again."""
        there = [ear.id for ear in self.ears.values() if not ear.carrier.aborted]  # type: ignore[attr-defined]
        for protocol in (3, 4):
            if f"c{protocol}" not in there:
                self.ears[protocol] = ear = Connection(f"c{protocol}", "r", FakeCarrier())
                self.stack.enter_context(self.hub.registered(ear))
                client = ClientInfo("cli", "1", "linux", "cli")
                self.hub.greet(ear, Peer(protocol, "operator", ("operator.admin",), client), 0)
        return there

    def ends(self) -> Counter[str]:
        """`client run` of each end that a client has heard."""
        found = Counter[str]()
        for ear in self.ears.values():
            frames, _ = drained(ear)
            ear.carrier.texts.clear()  # type: ignore[attr-defined]
            for frame in frames:
                if frame.get("event") == "chat" and frame["payload"]["state"] in ("final", "aborted", "error"):
                    found[f"{ear.id} {frame['payload']['runId']}"] += 1
        return found


def in_books(line: Line) -> bool:
    """Whether the line does not break by itself. A `with` is passed once more between its body and its exit, where
    nothing of ours runs: a fault there would leave a lock locked."""
    text = getline(*line)
    return any(word in text for word in GUARDED) or text.strip().startswith(("with ", "async with "))


def test_a_fault_at_any_line_is_one_end_and_the_session_goes_on(tmp_path: Path) -> None:
    tracer = Tracer()

    async def one(made: RunsWorld, id: str, session: str = MAIN) -> None:
        with tracer.watching():
            try:
                await made.submit(id, session)
            except Fault:  # the client is told, and asks again
                await made.submit(id, session)
            await made.over(id)
            await until(lambda: session not in made.runs.sessions)

    async def test(made: RunsWorld) -> None:
        clients = Listeners(made)
        await one(made, "first")
        wrong = []
        calls = [line for line in sorted(tracer.seen) if "(" in getline(*line) and not in_books(line)]
        moments = [(line, times) for line in calls for times in sorted({0, tracer.seen[line] - 1})]
        for number, (line, times) in enumerate(some(moments[::2])):
            where = f"{line[0].removeprefix(str(PACKAGE))}:{line[1]} after {times}: {tracer.names[line]}"
            session = f"agent:main:s{number}"
            tracer.at, tracer.after = line, times
            try:
                async with asyncio.timeout(LIMIT_S):
                    await one(made, f"faulty {number}", session)
                    tracer.at = None
                    await one(made, f"next {number}", session)
            except TimeoutError:
                wrong.append(f"{where}: no end")
                if len(wrong) > 30:
                    break
                continue
            tracer.at = None
            faulty, after = made.heard.ends[f"faulty {number}"], made.heard.ends[f"next {number}"]
            stored = await made.store.run(faulty.id)
            ends = clients.ends()
            expected = {f"{ear} {run.id}": 1 for ear in clients.renew() for run in (faulty, after)}
            wrong += [f"{where}: {who}: {ends[who]} ends" for who, count in expected.items() if ends[who] != count]
            if after.state != "done":
                wrong.append(f"{where}: next is {after.state} {after.failure}")
            if stored is None or stored.unfinished:
                wrong.append(f"{where}: stored is {stored and stored.state}")
            if faulty.state != "done" and not (faulty.failure and faulty.failure.message):
                wrong.append(f"{where}: {faulty.state} {faulty.failure}")
        assert not wrong and not made.heard.wrong, "\n".join([*wrong, *made.heard.wrong])

    async def life() -> None:
        async with world(tmp_path) as made:
            await test(made)

    asyncio.run(life())


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_runs, "RunLoop", Scripted)


HALF = Said(assistant("half \ud83d"))


async def finish(made: RunsWorld, id: str, text: str = "Yes.") -> None:
    script = await made.script(id)
    script.happen(Text(text), Said(assistant(text)))
    script.end()
    assert (await made.over(id)).answer == text


def test_an_event_that_cannot_be_made_ends_its_run(tmp_path: Path, scripted: None) -> None:
    """Report 2's second half: it hung, and so did every later run of the session, over restarts."""

    async def test(made: RunsWorld) -> None:
        await made.submit("poisoned")
        await made.submit("later")
        (await made.script("poisoned")).happen(Text("ok "), HALF)
        over = await made.over("poisoned")
        assert over.state == "failed" and over.failure is not None
        assert over.failure.message == "the agent broke on UnicodeEncodeError; its log says where."
        await finish(made, "later")
        assert await made.transcript() == ["user: hello", "assistant: ok ", "user: hello", "assistant: Yes."]

    in_a_world(tmp_path, test)


def test_what_cannot_be_stored_ends_its_run_and_holds_up_no_other(tmp_path: Path, scripted: None) -> None:
    async def test(made: RunsWorld) -> None:
        poison(made, "poisoned")
        await made.submit("poisoned", "agent:main:p")
        await made.submit("other")
        poisoned = await made.script("poisoned")
        poisoned.happen(Text("ok"))
        over = await made.over("poisoned")
        assert over.state == "failed" and over.failure is not None and over.failure.message == BROKEN
        await finish(made, "other")
        stored = await made.store.run("poisoned")
        assert stored is not None and stored.state == "failed"
        await until(lambda: made.agents.runs == [])
        await made.gateway.leave()
        await made.next_gateway()
        assert made.runs.sessions == ()

    in_a_world(tmp_path, test)


def poison(made: RunsWorld, id: str) -> None:
    """What this run has said cannot be written, on whatever disk."""
    progress, end = made.store.progress, made.store.end

    async def no_progress(all: Any) -> None:
        if any(each.run == id for each in all):
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        await progress(all)

    async def no_end(last: Any, *given: Any, **more: Any) -> Any:
        if last.run == id and last.text:
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        return await end(last, *given, **more)

    made.store.progress, made.store.end = no_progress, no_end  # type: ignore[method-assign]


IMPATIENT = dataclasses.replace(SOON, give_up=0.05)


def test_an_end_that_the_disk_does_not_take_is_told_and_stored_later(tmp_path: Path, scripted: None) -> None:
    async def test(made: RunsWorld) -> None:
        await made.submit("a")
        await made.submit("next")
        script = await made.script("a")
        made.gateway.disk.full = True
        script.happen(Text("Yes."), Said(assistant("Yes.")))
        script.end()
        over = await made.over("a")
        why = "what was said cannot be stored: the disk is full; make room on the disk"
        assert over.failure is not None and (over.state, over.failure.message) == ("failed", why)
        assert await made.runs.wait("a", 0) == over
        assert (await made.over("next")).failure == over.failure, "it cannot even begin"
        await until(lambda: made.runs.sessions == ())
        assert made.agents.runs == ["a"], "the agent keeps what is not stored"
        made.agents.cut()
        made.gateway.disk.full = False
        await until(lambda: made.runs._owner.unstored_end("a") is None and not made.runs._unbegun)
        for id in ("a", "next"):
            stored = await made.store.run(id)
            assert stored is not None and stored.failure == over.failure
        assert await made.transcript() == ["user: hello", "assistant: Yes.", "assistant: "]
        await made.submit("later")
        await finish(made, "later")
        await until(lambda: made.agents.runs == [])

    in_a_world(tmp_path, test, IMPATIENT)


@pytest.mark.parametrize("what", ["begin", "end"])
def test_a_fault_of_the_store_is_not_the_sessions(tmp_path: Path, scripted: None, what: str) -> None:
    async def test(made: RunsWorld) -> None:
        write, faults = made.store.database.write, list[int]()

        async def faulty(work: Any) -> Any:
            if name_of(work) == what and faults:
                raise KeyError(faults.pop())
            return await write(work)

        made.store.database.write = faulty  # type: ignore[method-assign]
        await made.submit("before")
        await made.submit("a")
        if what == "begin":
            faults.append(1)
        await finish(made, "before")
        if what == "end":
            faults.append(1)
            (await made.script("a")).end()
        over = await made.over("a")
        assert over.state == "failed" and over.failure is not None and over.failure.message == BROKEN
        await made.submit("b")
        await finish(made, "b")

    in_a_world(tmp_path, test)
