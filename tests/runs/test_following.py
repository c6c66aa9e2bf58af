"""Readers of a run at their own pace, over answers that begin anew and over restarts of the process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.link.messages import Discarded, Ended, Event, Happening, Said, Text, ToolEnded, ToolStarted
from gateway.runs.active import ActiveRun
from gateway.runs.following import GAP, Broken, Cursor, Reader, RunTexts
from gateway.runs.written import GrowingText
from gateway.sessions.records import Run, RunRequest
from tests.effort import examples

RUN = Run("r", "agent:main:main", "main", "running", RunRequest({"role": "user", "content": "hi"}), 0)


def said(text: str, *, tool: bool = False) -> Said:
    call = [{"type": "toolCall", "id": "c", "name": "t", "arguments": {}}] if tool else []
    return Said({"role": "assistant", "content": [{"type": "text", "text": text}, *call], "timestamp": 0})


@dataclass
class Process:
    """A run in one process of the gateway, with whoever reads it."""

    live: ActiveRun | None = field(default_factory=lambda: ActiveRun(RUN))
    log: list[Event] = field(default_factory=list)
    following: RunTexts = field(init=False)

    def __post_init__(self) -> None:
        self.following = RunTexts(lambda id: self.live if id == "r" else None)

    def happens(self, *what: Happening) -> None:
        for each in what:
            self.log.append(Event("r", len(self.log) + 1, 0, each))
            self._take(self.log[-1])

    def _take(self, event: Event) -> None:
        assert self.live is not None
        assert self.live.apply(event)
        self.following.happened(self.live, event)

    def again(self) -> None:
        assert self.live is not None
        self.log = []
        self.live.restart(RUN)
        self.live.answer = ""
        self.following.restarted(self.live)

    def ends(self, **how: Any) -> Run:
        assert self.live is not None
        answer = self.live.text or self.live.answer
        self.happens(Ended("done"))
        run = replace(RUN, state="done", answer=answer, seq=len(self.log), **how)
        self.following.ended(run, self.live)
        self.live = None
        return run

    def succeed(self, readers: list[Reader], stored: int) -> tuple["Process", list[Reader]]:
        """The next one, with what was stored of the first events; the agent sends the rest again."""
        before = ActiveRun(RUN)
        for event in self.log[:stored]:
            before.apply(event)
        kept = replace(RUN, seq=stored, text=before.text, answer=before.answer, acted=before.acted)
        after = Process(None, self.log)
        heirs = [after.following.read("r", reader.cursor()) for reader in readers]
        after.live = ActiveRun.resumed(kept)
        after.following.restarted(after.live)
        for event in self.log[stored:]:
            after._take(event)
        return after, heirs


async def take(reader: Reader, most: int = 1000) -> str:
    """What is there to be read now."""
    task = asyncio.ensure_future(reader.read(most))
    await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return ""


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]


def test_pieces_come_as_they_are_said_and_what_was_not_taken_as_one() -> None:
    async def scene() -> None:
        it = Process()
        quick, slow = it.following.read("r"), it.following.read("r")
        for word in ("one ", "two ", "three"):
            it.happens(Text(word))
            assert await take(quick) == word
        assert await take(slow, 9) == "one two t"
        assert await take(slow, 9) == "hree"
        it.happens(said("one two three"))
        run = it.ends()
        assert [await quick.read(9), await slow.read(9)] == ["", ""]
        assert await quick.ended() is run

    play(scene)


def test_whoever_waits_is_woken_and_whoever_stops_waiting_loses_nothing() -> None:
    async def scene() -> None:
        it = Process()
        reader = it.following.read("r")
        assert await take(reader) == ""
        waiting = asyncio.ensure_future(reader.read(9))
        await asyncio.sleep(0)
        it.happens(Text("hi"))
        assert await waiting == "hi"
        ending = asyncio.ensure_future(reader.ended())
        await asyncio.sleep(0)
        it.ends()
        run = await ending
        assert run is not None and run.state == "done"

    play(scene)


def test_messages_of_one_run_are_apart_and_all_of_them_are_read() -> None:
    async def scene() -> None:
        it = Process()
        early = it.following.read("r")
        it.happens(
            Text("I look."), said("I look.", tool=True), ToolStarted("c", "t", {}), ToolEnded("c", "t", True, "x")
        )
        it.happens(Said({"role": "toolResult", "content": "x", "timestamp": 0}), Text("It is x."))
        late = it.following.read("r")
        it.happens(said("It is x."))
        it.ends()
        assert await take(early) == await take(late) == f"I look.{GAP}It is x."

    play(scene)


def test_a_run_that_is_over_is_read_from_what_is_stored_and_an_unknown_one_ends_at_once() -> None:
    async def scene() -> None:
        it = Process(None)
        reader, lost = it.following.read("r"), it.following.read("unknown")
        it.following.end_if_over("r", replace(RUN, state="running"))
        assert await take(reader) == ""
        it.following.end_if_over("r", replace(RUN, state="done", answer="all of it"))
        it.following.end_if_over("unknown", None)
        assert [await reader.read(99), await reader.read(99)] == ["all of it", ""]
        assert await lost.read(9) == "" and await lost.ended() is None

    play(scene)


def test_an_answer_that_begins_anew_goes_on_where_it_says_the_same() -> None:
    async def scene() -> None:
        it = Process()
        ahead, behind = it.following.read("r"), it.following.read("r")
        it.happens(Text("Hello wor"))
        assert [await take(ahead), await take(behind, 3)] == ["Hello wor", "Hel"]
        it.happens(Discarded("it broke off"), Text("Hello "))
        assert [await take(ahead), await take(behind)] == ["", "lo "]
        it.happens(Text("world"))
        assert [await take(ahead), await take(behind)] == ["ld", "world"]

    play(scene)


@pytest.mark.parametrize("rest", [[Text("Help!")], [Text("Hel"), said("Hel")], [Text("Hel")]])
def test_whoever_has_read_what_does_not_hold_is_told_and_nobody_else(rest: list[Happening]) -> None:
    async def scene() -> None:
        it = Process()
        ahead, behind = it.following.read("r"), it.following.read("r")
        it.happens(Text("Hello"))
        assert [await take(ahead), await take(behind, 3)] == ["Hello", "Hel"]
        it.happens(Discarded("it broke off"), *rest)
        it.ends()
        with pytest.raises(Broken):
            await ahead.read(9)
        assert await take(behind) == ("p!" if rest == [Text("Help!")] else "")

    play(scene)


def test_another_agent_begins_the_whole_run_anew() -> None:
    async def scene() -> None:
        it = Process()
        reader = it.following.read("r")
        it.happens(Text("Hello"))
        assert await take(reader) == "Hello"
        it.again()
        it.happens(Text("Hello, you"))
        assert await take(reader) == ", you"

    play(scene)


def test_a_reader_goes_on_in_another_process_with_what_he_has_not_read() -> None:
    async def scene() -> None:
        it = Process()
        reader = it.following.read("r")
        it.happens(Text("I look."), said("I look.", tool=True), Text("It is "))
        assert await take(reader, 2) == "I "
        assert reader.cursor() == Cursor(3, f"look.{GAP}It is ")
        for stored in (0, 2, 3):
            after, (heir,) = it.succeed([reader], stored)
            after.happens(Text("x."))
            assert await take(heir) == f"look.{GAP}It is " and await take(heir) == "x."
            it.log.pop()

    play(scene)


def test_one_that_is_not_there_yet_waits_and_can_be_put_away_again() -> None:
    async def scene() -> None:
        following = Process(None).following
        place = Cursor(5, "rest", "ahead")
        reader = following.read("r", place)
        assert reader.cursor() == place
        assert [await take(reader, 3), await take(reader)] == ["res", "t"]
        assert reader.cursor() == Cursor(5, "", "ahead")
        following.restarted(ActiveRun(replace(RUN, seq=4), seq=4, written=GrowingText("begin")))
        assert await take(reader) == "" and reader.cursor().since == 5

    play(scene)


def test_the_run_has_ended_while_nobody_was_there() -> None:
    async def scene() -> None:
        following = Process(None).following
        reader = following.read("r", Cursor(6, "rest"))
        broken = [following.read("r", place) for place in (Cursor(6, "", "ahead"), Cursor(5, "rest"))]
        following.end_if_over("r", replace(RUN, state="done", answer="begin and rest", seq=6))
        assert [await take(reader), await reader.read(9)] == ["rest", ""]
        for each in broken:
            with pytest.raises(Broken):
                await each.read(9)

    play(scene)


def test_whoever_comes_back_when_more_has_been_stored_is_told_and_not_left_out() -> None:
    async def scene() -> None:
        following = Process(None).following
        reader, late = following.read("r", Cursor(4)), following.read("r", Cursor(3))
        following.restarted(ActiveRun(RUN, seq=4, written=GrowingText("begin and more")))
        assert await take(reader) == ""
        with pytest.raises(Broken):
            await late.read(9)

    play(scene)


def test_a_script_is_forgotten_with_its_run() -> None:
    it = Process()
    it.following.read("r").close()
    it.ends()
    assert not it.following._texts


# -- any course --------------------------------------------------------------------------------------------------------

WORDS = st.text("ab", min_size=1, max_size=3)
STEPS = st.one_of(
    st.tuples(st.just("text"), WORDS),
    st.tuples(st.sampled_from(["void", "said", "again"]), st.none()),
    st.tuples(st.just("read"), st.tuples(st.integers(0, 2), st.integers(1, 4))),
    st.tuples(st.just("restart"), st.integers(0, 5)),
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_whatever_happens_each_reader_has_each_word_once_or_is_told(steps: list[tuple[str, Any]]) -> None:
    async def scene() -> None:
        it = Process()
        readers = [it.following.read("r") for _ in range(3)]
        read, done, current = [""] * 3, [""], ""
        unknown: set[int] = set()
        """The readers whose position was unknown when the run was restarted."""

        def whole() -> str:
            return GAP.join(part for part in (*done, current) if part)

        def check(before: list[bool]) -> None:
            for number, reader in enumerate(readers):
                if reader.broken and not before[number] and number not in unknown:
                    assert not whole().startswith(read[number] + reader.cursor().rest)

        for kind, value in [*steps, ("text", "end"), ("said", None)]:
            broken = [reader.broken for reader in readers]
            match kind:
                case "text":
                    current += value
                    it.happens(Text(value))
                case "void":
                    current = ""
                    it.happens(Discarded("why"))
                case "said" if current:
                    it.happens(said(current, tool=True))
                    done, current = [*done, current], ""
                case "again" if not done[1:]:
                    current = ""
                    unknown |= {number for number, reader in enumerate(readers) if reader.position is None}
                    it.again()
                case "read":
                    number, most = value
                    if not readers[number].broken:
                        read[number] += await take(readers[number], most)
                case "restart":
                    it, readers = it.succeed(readers, max(0, len(it.log) - value))
            check(broken)
        it.ends()
        for number, reader in enumerate(readers):
            if reader.broken:
                with pytest.raises(Broken):
                    await reader.read(1)
            else:
                while piece := await reader.read(3):
                    read[number] += piece
                assert read[number] == whole()

    play(scene)
