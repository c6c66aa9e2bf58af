"""A naive reader joins deltas, counts begins and ends, and trusts the order, over every kind of restart."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.conversations import run_events as module
from gateway.conversations.run_events import TOOL_EVENTS, RunEvents
from gateway.handover.positions import SLOT_BYTES, Positions
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.link.messages import (
    Discarded,
    Ended,
    Event,
    Happening,
    Said,
    Started,
    Text,
    Thinking,
    ToolEnded,
    ToolStarted,
)
from gateway.protocol.peer import ClientInfo, Peer
from gateway.runs.active import ActiveRun
from gateway.sessions.records import Run, RunRequest
from tests.carrier import FakeCarrier, drained
from tests.e2e.naive import NaiveReader
from tests.effort import examples

RUN = Run("r1", "agent:main:main", "main", "running", RunRequest({"role": "user", "content": "?"}), 1, attempts=1)
HOT, CRASH, AGENT, SLOW = "hot", "crash", "agent", "slow"


def said(text: str) -> Said:
    return Said({"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": 1})


class HeardEar(NaiveReader):
    def __init__(self, protocol: int) -> None:
        super().__init__(protocol)
        self.protocol = protocol
        self.ear = Connection(f"c{protocol}", "r", FakeCarrier())

    def listen(self) -> None:
        frames, _ = drained(self.ear)
        self.ear.carrier.texts.clear()  # type: ignore[attr-defined]
        for frame in frames:
            self.hear(frame["event"], frame["payload"])
        assert self.wrong == []


class Life:
    """One run as its agent tells it, and the processes of the gateway that tell it on."""

    def __init__(self) -> None:
        self.memory = memoryview(bytearray(SLOT_BYTES * 4))
        self.hub = Hub()
        self.readers = [HeardEar(3), HeardEar(4)]
        self.holds = [self.hub.registered(reader.ear) for reader in self.readers]
        for hold, reader in zip(self.holds, self.readers, strict=True):
            hold.__enter__()
            caps = (TOOL_EVENTS,)
            info = ClientInfo("cli", "1", "linux", "cli")
            self.hub.greet(reader.ear, Peer(reader.protocol, "operator", ("operator.admin",), info, caps=caps), 0)
            drained(reader.ear)
            reader.ear.carrier.texts.clear()  # type: ignore[attr-defined]
        self.run = RUN
        self.events: list[Event] = []
        self.stored = ActiveRun(RUN)
        self.live = ActiveRun(RUN)
        self.telling = self._telling()
        self.telling.begun(self.live)

    def _telling(self) -> RunEvents:
        async def verbose(session: str) -> bool:
            return True

        return RunEvents(self.hub, verbose, Positions(self.memory))

    async def step(self, step: Happening | str) -> None:
        match step:
            case "hot":
                self.telling.close()
                self._next(self.live.seq)
            case "crash":
                self._next(self.stored.seq)
            case "store":
                for event in self.events[self.stored.seq :]:
                    self.stored.apply(event)
            case "agent":
                self.run = replace(self.run, attempts=self.run.attempts + 1)
                self.events.clear()
                self.live.restart(self.run)
                self.stored = ActiveRun(self.run)
                self.telling.restarted(self.live)
            case _:
                assert not isinstance(step, str)
                self.events.append(Event("r1", len(self.events) + 1, 7, step))
                self._take(self.events[-1])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for reader in self.readers:
            reader.listen()

    def _next(self, seq: int) -> None:
        """Another process, which has what is on disk, and hears the rest of the agent again."""
        for told in self.telling._told.values():
            told.memory = None
            if told.timer is not None:
                told.timer.cancel()
        known = ActiveRun(self.run)
        for event in self.events[:seq]:
            known.apply(event)
        row = replace(self.run, seq=known.seq, text=known.text, answer=known.answer)
        self.live = ActiveRun.resumed(row)
        self.telling = self._telling()
        self.telling.restarted(self.live)
        for event in self.events[seq:]:
            self._take(event)

    def _take(self, event: Event) -> None:
        assert self.live.apply(event)
        self.telling.happened(self.live, event)

    async def end(self) -> None:
        await self.step(Ended("done"))
        self.telling.ended(replace(self.run, state="done", seq=self.live.seq, ended=9), self.live)
        for reader in self.readers:
            reader.listen()


def live_through(steps: list[Happening | str], pace: float = 0) -> list[HeardEar]:
    async def life() -> list[HeardEar]:
        made = Life()
        for step in steps:
            await made.step(step)
        await made.end()
        return made.readers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PACE_S", pace)
        patch.setattr(module, "RATE", 1e12)
        return asyncio.run(life())


WORDS: list[Happening | str] = [Started("p", "m", 1), *(Text(f"w{number} ") for number in range(6))]


@pytest.mark.parametrize("kind", [HOT, CRASH])
@pytest.mark.parametrize("stored", ["", "store"])
@pytest.mark.parametrize("at", range(1, 8))
def test_deltas_go_on_where_the_process_before_has_left_off(kind: str, stored: str, at: int) -> None:
    """F1: 446 characters of 349."""
    steps = [*WORDS[:at], *filter(None, [stored]), kind, *WORDS[at:], said("w0 w1 w2 w3 w4 w5 ")]
    for reader in live_through(steps):
        assert reader.texts["assistant"] == "w0 w1 w2 w3 w4 w5 "
        assert (reader.begins, reader.ends, reader.replaced) == (1, 1, 0)


def test_another_agent_replaces_and_begins_nothing_anew() -> None:
    for reader in live_through([*WORDS, AGENT, *WORDS[:3], said("w0 w1 ")]):
        assert reader.texts["assistant"] == "w0 w1 "
        assert (reader.begins, reader.ends) == (1, 1)
        assert reader.replaced == (1 if reader.protocol == 3 else 2)


tool = [ToolStarted("c", "look", {}), ToolEnded("c", "look", True, "seen")]
STEPS = st.lists(
    st.sampled_from(
        [*tool, Text("a"), Text("bc"), Thinking("hm"), Discarded("broke"), HOT, CRASH, "store", "store", AGENT]
    ),
    max_size=14,
)


@settings(max_examples=examples(300), deadline=None)
@given(STEPS, st.sampled_from([0.0, 100.0]))
def test_whatever_restarts_in_between_a_naive_reader_has_the_text(steps: list[Any], pace: float) -> None:
    for reader in live_through([Started("p", "m", 1), *steps], pace):
        assert (reader.begins, reader.ends) == (1, 1)
