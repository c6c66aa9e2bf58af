"""Whatever happens in whatever order: each word once and in order, each accepted run ended once, one at a time.

Messages, aborts, deaths of the agent, of the gateway and of the connection between them, and a full disk; what the
database and the audience have at the end is held against what the scripts have said.
"""

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.agent import runs as agent_runs
from gateway.link.messages import Discarded, Happening, Said, Text, ToolEnded, ToolStarted
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import text_of
from tests.agent.scripted import Scripted
from tests.effort import examples
from tests.runs.world import RunsWorld, assistant, until
from tests.slack import LIMIT_S

if TYPE_CHECKING:
    from gateway.link.spec import Message

T = TypeVar("T")
SESSIONS = [f"agent:main:s{number}" for number in range(3)]
PICK = st.integers(0, 10_000)


@dataclass
class Words:
    """What one agent has said of one run."""

    script: Scripted
    messages: list[str] = field(default_factory=list)
    """Complete ones, `role: text`."""
    text: str = ""
    ended: bool = False
    moments: list[list[str]] = field(default_factory=list)
    """What it had said after each happening: it may have been cut off anywhere."""

    def happen(self, *what: Happening) -> None:
        for each in what:
            self.script.happen(each)
            match each:
                case Text(delta=delta):
                    self.text += delta
                case Discarded():
                    self.text = ""
                case Said(message=message):
                    self.messages.append(f"{message['role']}: {message['content'][0]['text']}")
                    self.text = ""
            self.moments.append([*self.messages, *([f"assistant: {self.text}"] if self.text else [])])

    def fits(self, told: list[str], whole: bool) -> bool:
        """Whether this is what a transcript has, or what it had when it was cut off."""
        return told == self.messages if whole else told in self.moments


@dataclass
class AskedRun:
    session: str
    words: list[Words] = field(default_factory=list)


class RunsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(agent_runs, "RunLoop", Scripted)
        Scripted.by_session.clear()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.asked: dict[str, AskedRun] = {}
        self.words = 0
        self.world = self.go(self._begin())

    async def _begin(self) -> RunsWorld:
        world = RunsWorld(Path(self.folder.name))
        await world.begin()
        return world

    def go(self, work: Coroutine[Any, Any, T]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(LIMIT_S):
                return await work

        return self.loop.run_until_complete(limited())

    def _look(self) -> None:
        """Which agents have begun what."""
        for id in list(Scripted.by_session):
            self.asked[id].words.append(Words(Scripted.by_session.pop(id)))

    def _speaking(self, pick: int) -> Words | None:
        """One of the scripts that may say something."""
        self._look()
        there = set(self.world.agents.runs)
        found = [
            each.words[-1] for id, each in self.asked.items() if id in there and each.words and not each.words[-1].ended
        ]
        return found[pick % len(found)] if found else None

    # -- what clients ask ------------------------------------------------------------------------------------------

    @rule(session=st.sampled_from(SESSIONS))
    def submit(self, session: str) -> None:
        id = f"r{len(self.asked)}"
        try:
            assert self.go(self.world.submit(id, session, id))
        except StorageFailed:
            assert self.world.gateway.disk.full
        else:
            self.asked[id] = AskedRun(session)

    @precondition(lambda self: self.asked)
    @rule(pick=PICK)
    def submit_again(self, pick: int) -> None:
        id = list(self.asked)[pick % len(self.asked)]
        try:
            assert not self.go(self.world.submit(id, self.asked[id].session, "again"))
        except StorageFailed:
            assert self.world.gateway.disk.full

    @rule(session=st.sampled_from(SESSIONS), one=st.booleans(), pick=PICK)
    def abort(self, session: str, one: bool, pick: int) -> None:
        there = [id for id, asked in self.asked.items() if asked.session == session]
        id = there[pick % len(there)] if one and there else None
        try:
            self.go(self.world.runs.abort(session, id))
        except StorageFailed:
            assert self.world.gateway.disk.full

    # -- what agents say -------------------------------------------------------------------------------------------

    @rule(pick=PICK, count=st.integers(1, 5))
    def say(self, pick: int, count: int) -> None:
        if (words := self._speaking(pick)) is not None:
            for _ in range(count):
                self.words += 1
                words.happen(Text(f"w{self.words} "))

    @rule(pick=PICK)
    def begin_the_message_anew(self, pick: int) -> None:
        if (words := self._speaking(pick)) is not None:
            words.happen(Discarded("it broke off"))

    @rule(pick=PICK)
    def use_a_tool(self, pick: int) -> None:
        if (words := self._speaking(pick)) is not None:
            call = {"type": "toolCall", "id": "c", "name": "look", "arguments": {}}
            result: Message = {"role": "toolResult", "content": [{"type": "text", "text": "it"}], "timestamp": 3}
            said = assistant(words.text)
            said["content"].append(call)
            words.happen(Said(said), ToolStarted("c", "look", {}), ToolEnded("c", "look", True, "it"), Said(result))

    @rule(pick=PICK)
    def come_to_the_end(self, pick: int) -> None:
        if (words := self._speaking(pick)) is not None:
            self._end(words)

    def _end(self, words: Words) -> None:
        words.happen(Said(assistant(words.text)))
        words.script.end()
        words.ended = True

    @rule(pick=PICK)
    def fail(self, pick: int) -> None:
        if (words := self._speaking(pick)) is not None:
            words.script.fail()
            words.ended = True

    # -- what goes wrong -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 0.001, 0.005, 0.03]))
    def wait(self, seconds: float) -> None:
        self.go(asyncio.sleep(seconds))

    @rule()
    def the_agent_crashes(self) -> None:
        self.go(self.world.agents.crash())
        self._look()

    @rule()
    def the_connection_breaks(self) -> None:
        if self.world.agents.born and self.world.agents._link is not None:
            self.world.agents.cut()

    @rule(down=st.booleans())
    def nobody_can_be_reached(self, down: bool) -> None:
        self.world.agents.down = down

    @rule(crash=st.booleans())
    def another_gateway(self, crash: bool) -> None:
        self.go(self._another_gateway(crash))

    async def _another_gateway(self, crash: bool) -> None:
        await (self.world.gateway.crash() if crash else self.world.gateway.leave())
        await self.world.next_gateway()

    @rule(full=st.booleans())
    def the_disk_is(self, full: bool) -> None:
        self.world.gateway.disk.full = full

    # -- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def nothing_was_told_after_an_end(self) -> None:
        assert self.world.heard.wrong == []

    @invariant()
    def one_goes_on_at_a_time(self) -> None:
        lives = [live.run.session for live in self.world.runs._owner.active.values()]
        assert len(lives) == len(set(lives))
        for session in SESSIONS:
            running = self.world.runs.running(session)
            assert running is None or self.world.runs.active(running) is not None

    def teardown(self) -> None:
        try:
            self.go(self._come_to_an_end())
            self.go(self._check())
        finally:
            self.go(self.world.end())
            self.patch.undo()
            self.loop.close()
            self.folder.cleanup()

    async def _come_to_an_end(self) -> None:
        self.world.gateway.disk.full = self.world.agents.down = False
        await self._finish_all()
        # An agent may have a run of which we know the end and could not tell it so. Whoever connects next does.
        self.asked["last"] = AskedRun(SESSIONS[0])
        await self.world.submit("last", SESSIONS[0], "last")
        await self._finish_all()
        await until(lambda: not self.world.agents.runs, "the agent to forget all")
        self.nothing_was_told_after_an_end()
        assert self.world.runs.sessions == ()

    async def _finish_all(self) -> None:
        while await self.world.store.unfinished():
            self._look()
            for id in self.world.agents.runs:
                words = self.asked[id].words
                if words and not words[-1].ended:
                    self._end(words[-1])
            await asyncio.sleep(0.002)
        await until(lambda: not self.world.runs.busy)

    async def _check(self) -> None:
        self._look()
        for session in SESSIONS:
            rows = await self.world.store.rows(session, 10_000)
            began = [row.run for row in rows if row.message["role"] == "user"]
            mine = [id for id, asked in self.asked.items() if asked.session == session]
            assert began == [id for id in mine if id in began], "in order, each once"
            for id in mine:
                run = await self.world.store.run(id)
                assert run is not None and not run.unfinished
                if (told := self.world.heard.ends.get(id)) is not None:
                    assert told.state == run.state
                messages = [row.message for row in rows if row.run == id][1:]
                if run.failure:
                    assert messages[-1]["errorMessage"] == run.failure.message, "and a session says so"
                assert sum("errorMessage" in message for message in messages) == (run.failure is not None)
                said = [f"{each['role']}: {text_of(each)}" for each in messages if each["content"]]
                if run.state == "done":
                    assert any(each.fits(said, whole=True) for each in self.asked[id].words), (id, said)
                elif said:
                    assert any(each.fits(said, whole=False) for each in self.asked[id].words), (id, said)


RunsMachine.TestCase.settings = settings(
    max_examples=examples(40),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestMachine = RunsMachine.TestCase
