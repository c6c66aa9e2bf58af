"""The order of leaving: its steps and budgets, and what a stop in the middle of a restart changes."""

import asyncio
import gc
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.aio.tasks import Tasks
from gateway.lifecycle.phases import Allowance, Budgets, Way
from gateway.process import leaving as module
from gateway.process import signals
from gateway.process.leaving import Leaving
from gateway.serving.server import ACCEPT_TURNS
from gateway.systemd.manager import ANSWER_S
from gateway.units import SERVICE, shipped
from tests.fakes.service_manager import FakeNotifier
from tests.slack import LIMIT_S

PROJECT = Path(__file__).parents[2]
BUDGETS = Budgets(drain=0.05, accept_grace=0.0, newcomers=0.2, close=0.1)
FOLLOWERS = ["restart", "systemd", "stop"]
"""Why a process leaves, and who comes after it: our own next image, the next one of the unit, nobody."""
STOP_AT = ["announce", "drain", "finish", "put away", "store", None]


@dataclass
class Departure:
    """A process whose parts only note what they are asked, in `events`."""

    why: str = "restart"
    stop_at: str | None = None
    """The step in which a stop comes that nobody follows."""
    held: bool = True
    events: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    carried: list[tuple[str, bool]] = field(default_factory=list)
    """With each event, whether the server then believed that somebody follows."""

    def __post_init__(self) -> None:
        self.state = SimpleNamespace(way=Way.REEXEC if self.why == "restart" else Way.STOP)
        self.stopping = self.why == "stop"
        self.server_state = SimpleNamespace(carry=False)

    def note(self, event: str, step: str | None = None) -> None:
        self.events.append(event)
        self.carried.append((event, self.server_state.carry))
        if step is not None and step == self.stop_at:
            self.state.way, self.stopping = Way.STOP, True

    def does(self, event: str, step: str | None = None) -> Any:
        async def act(*args: Any, **kwargs: Any) -> None:
            self.note(event, step)

        return act

    def notes(self, event: str, result: Any = None) -> Any:
        def act(*args: Any, **kwargs: Any) -> Any:
            self.note(event)
            return result

        return act

    async def is_being_stopped(self, unit: str) -> bool:
        self.note("ask systemd")
        return self.stopping

    async def read_newest(self, budget_s: float) -> None:
        self.note("read the newest", "accept grace")
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)

    def make(self) -> Leaving:
        notifier: Any = FakeNotifier()
        notifier.stopping = lambda status: notifier.said.append(f"STOPPING {status}")
        self.notifier = notifier
        start: Any = SimpleNamespace(
            notifier=notifier,
            record=SimpleNamespace(update=self.record.update),
            inherited=SimpleNamespace(held_by_systemd=self.held),
            unit="openclaw-gateway.service" if self.held else None,
            paths=SimpleNamespace(control=SimpleNamespace(unlink=self.notes("unlink control"))),
            lease=SimpleNamespace(remove_mark=self.notes("remove mark")),
        )
        coordinator: Any = SimpleNamespace(
            state=self.state,
            reason="why",
            allowance=Allowance(2.0, 7.0),
            until_idle=self.does("answer calls", "drain"),
            left=self.notes("left"),
        )
        server: Any = SimpleNamespace(
            server_state=self.server_state,
            drain=self.does("drain"),
            stop_accepting=self.notes("stop accepting"),
            read_newest=self.read_newest,
            finish=self.does("finish", "finish"),
            drop_the_rest=self.does("drop the rest"),
            give_up=self.does("give up"),
            carried=self.notes("carried", ({}, {})),
        )
        hub: Any = SimpleNamespace(
            busy=0,
            broadcast=lambda event, payload: self.note(f"{event} {payload['reason']}"),
        )
        keeper: Any = SimpleNamespace(
            all_stored=True,
            wait_stored=self.does("caught up"),
            stop_reading=self.notes("stop reading"),
            hand_off=self.notes("part", [("connection", 5)]),
        )
        conversations: Any = SimpleNamespace(release_waiters=self.notes("release"), close=self._store)
        configuration: Any = SimpleNamespace(stop=self.does("stop reloads", "announce"))
        status: Any = SimpleNamespace(record_waits=self.notes("record waits"))
        dialer: Any = SimpleNamespace(passed=[("agent", 6)])
        tasks: Any = SimpleNamespace(cancel=self.notes("cancel tasks"))
        return Leaving(
            start, coordinator, configuration, status, server, hub, keeper, conversations, dialer, tasks, BUDGETS
        )

    async def close_all(self, hub: Any, code: int, reason: str, grace_s: float, *, but_kept: bool) -> None:
        assert (code, reason, grace_s) == (1012, "service restart", BUDGETS.close)
        self.note("close but kept" if but_kept else "close all")

    async def _store(self, limit_s: float, *, for_good: bool) -> None:
        assert limit_s == BUDGETS.store
        self.note("store for good" if for_good else "store", "store")


@pytest.fixture(autouse=True)
def no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing() -> None: ...

    monkeypatch.setattr(signals, "block_and_flush", nothing)
    monkeypatch.setattr(gc, "disable", lambda: None)


async def run(departure: Departure, leaving: Leaving) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "is_being_stopped", departure.is_being_stopped)
        patch.setattr(module, "serve_newcomers", departure.does("serve newcomers"))
        patch.setattr(module, "finish_requests", departure.does("answer the last", "put away"))
        patch.setattr(module, "close_all", departure.close_all)
        assert await asyncio.wait_for(leaving.run(), LIMIT_S) is departure.state.way


def leave(departure: Departure) -> Leaving:
    leaving = departure.make()
    asyncio.run(run(departure, leaving))
    return leaving


def table() -> list[tuple[str, str]]:
    """The rows of "The order of leaving": the step, and what it may take."""
    text = (PROJECT / "docs" / "reload.md").read_text().split("### The order of leaving", 1)[1]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [(row[0].removeprefix("| ").partition(":")[0], row[1]) for row in rows]


def in_seconds(text: str) -> float:
    match = re.match(r"([\d.]+) (m?s)", text)
    return float(match[1]) / (1000 if match[2] == "ms" else 1) if match else 0.0


def test_the_table_in_the_documentation_has_the_steps_and_their_budgets() -> None:
    departure = Departure().make()
    departure.budgets = Budgets()
    documented = [(name, in_seconds(limit)) for name, limit in table()[1:]]
    assert documented[:-1] == [(step.name, step.limit_s) for step in departure.steps]


def test_all_steps_fit_into_the_time_that_systemd_gives_to_a_stop() -> None:
    departure = Departure().make()
    departure.budgets = budgets = Budgets()
    overtaken_s = ANSWER_S + budgets.newcomers + budgets.close
    longest_s = sum(step.limit_s for step in departure.steps) + overtaken_s
    match = re.search(r"^TimeoutStopSec=(\d+)$", shipped(SERVICE), flags=re.MULTILINE)
    assert match is not None and longest_s + 2 <= int(match[1]), "with some for the machine"


def test_a_restart_in_place_passes_all_on() -> None:
    departure = Departure("restart")
    leaving = leave(departure)
    assert departure.notifier.said == ["RELOADING"]
    assert departure.events == [
        *("stop reloads", "caught up", "drain", "answer calls", "release"),
        *("stop accepting", "read the newest", "serve newcomers", "close but kept"),
        *("finish", "drop the rest", "record waits"),
        *("stop reading", "answer the last", "store"),
        *("cancel tasks", "left", "carried", "part"),
    ]
    assert leaving.passed == [("connection", 5), ("agent", 6)]
    assert departure.record["ended"] == "restart" and departure.record["left_at"] > 0
    assert (departure.record["tokens"], departure.record["tokens_at"]) == (2.0, 7.0)


def test_a_restart_by_systemd_passes_all_on_and_ends_as_a_stop() -> None:
    departure = Departure("systemd")
    leaving = leave(departure)
    assert departure.notifier.said == ["STOPPING Leaving (why)"]
    assert "close all" not in departure.events and leaving.passed != []
    assert departure.record["ended"] == "stop" and departure.events[-2:] == ["unlink control", "remove mark"]


@pytest.mark.parametrize(("held", "reason"), [(True, "gateway restarting"), (False, "gateway stopping")])
def test_a_stop_closes_everybody(held: bool, reason: str) -> None:
    departure = Departure("stop", held=held)
    leaving = leave(departure)
    at = departure.events.index("stop accepting")
    assert departure.events[at + 2 : at + 5] == ["serve newcomers", f"shutdown {reason}", "close all"]
    assert ("ask systemd" in departure.events) is held
    assert {"stop reading", "answer the last", "part", "caught up"}.isdisjoint(departure.events)
    assert leaving.passed == [] and "store for good" in departure.events


@given(st.sampled_from(FOLLOWERS), st.sampled_from(STOP_AT), st.booleans())
def test_clients_are_passed_on_or_closed(why: str, stop_at: str | None, held: bool) -> None:
    """Whenever a stop comes, a client is either closed or passed on, and it is decided at most twice."""
    departure = Departure(why, stop_at, held)
    leaving = leave(departure)
    # Too late in "store": the events of runs are put away for the next process.
    overtaken = stop_at == "announce" or (why == "restart" and stop_at in ("drain", "finish", "put away"))
    carry = not overtaken and (why == "restart" or (why == "systemd" and held))
    assert leaving.carry is departure.server_state.carry is carry
    assert ("part" in departure.events) is carry
    assert departure.events.count("close all") == (0 if carry else 1)
    assert departure.events.count("ask systemd") <= 1


@pytest.mark.parametrize("step", ["finish", "put away"])
def test_a_stop_in_the_middle_of_a_restart_closes_who_was_kept(step: str) -> None:
    departure = Departure("restart", step)
    leaving = leave(departure)
    at = departure.events.index("give up")
    assert departure.events[at : at + 4] == ["give up", "serve newcomers", "shutdown gateway restarting", "close all"]
    assert departure.carried[at] == ("give up", False)
    assert leaving.passed == [] and departure.record["ended"] == "stop"


def test_calls_that_take_too_long_hold_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    departure = Departure()
    leaving = departure.make()
    limits: list[float] = []

    async def until_idle(limit_s: float) -> None:
        limits.append(limit_s)
        raise TimeoutError

    leaving.coordinator.until_idle = until_idle  # type: ignore[method-assign]
    asyncio.run(leaving._answer_calls(BUDGETS.drain))
    assert limits == [BUDGETS.drain] and "the drain budget is spent" in caplog.text


def test_tasks_that_serve_end_before_the_connections_are_passed_on() -> None:
    async def scene() -> None:
        departure = Departure()
        leaving = departure.make()
        leaving.tasks = Tasks(module.log)
        serving = leaving.tasks.spawn(asyncio.sleep(900), "serving")
        await run(departure, leaving)
        await asyncio.gather(serving, return_exceptions=True)
        assert serving.cancelled()

    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))
