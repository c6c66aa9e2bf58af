from pathlib import Path

import pytest

from gateway.link.messages import Event, Text
from gateway.runs.active import ActiveRun
from gateway.runs.audience import Audience, RunListener
from gateway.sessions.records import Run, RunRequest
from tests.runs.world import MAIN, RunsWorld, in_a_world, user

RUN = Run("r", MAIN, "main", "running", RunRequest(user("?")), 1)
EVENTS = ("accepted", "begun", "happened", "restarted", "ended")


class Noting(RunListener):
    def __init__(self, notes: list[str], name: str, broken: bool = False) -> None:
        def note(event: str) -> object:
            def heard(*what: object) -> None:
                notes.append(f"{name} {event} {len(what)}")
                if broken:
                    raise ZeroDivisionError

            return heard

        for event in EVENTS:
            setattr(self, event, note(event))


def test_each_event_reaches_all_in_order_whatever_one_of_them_does(caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    audience = Audience((Noting(notes, "a", broken=True), RunListener(), Noting(notes, "b")))
    live = ActiveRun(RUN)
    audience.accepted(RUN)
    audience.begun(live)
    audience.happened(live, Event("r", 1, 1, Text("a")))
    audience.restarted(live)
    audience.ended(RUN, None)
    counts = zip(EVENTS, (1, 1, 2, 1, 2), strict=True)
    assert notes == [f"{name} {event} {count}" for event, count in counts for name in "ab"]
    assert caplog.text.count("a listener of runs failed") == len(EVENTS)


@pytest.mark.usefixtures("scripted")
def test_a_run_comes_to_its_end_though_a_listener_fails(tmp_path: Path) -> None:
    async def test(world: RunsWorld) -> None:
        notes: list[str] = []
        world.listeners[:0] = [Noting(notes, "a", broken=True), Noting(notes, "b")]
        await world.submit("r1")
        (await world.script("r1")).end()
        assert (await world.over("r1")).state == "done"
        assert {note.split()[0] for note in notes} == {"a", "b"}
        assert [note for note in notes if note[0] == "b"] == ["b accepted 1", "b begun 1", "b happened 2", "b ended 2"]

    in_a_world(tmp_path, test)
