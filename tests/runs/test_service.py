"""Runs from their acceptance to their end, with a real database, a real socket and the agent's own link server."""

from pathlib import Path

import pytest

from gateway.link.messages import Said, Text
from tests.runs.world import MAIN, World, assistant, in_a_world, until

pytestmark = pytest.mark.usefixtures("scripted")


def test_a_run_is_answered(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        assert await world.submit("r1")
        script = await world.script("r1")
        assert world.runs.running(MAIN) == "r1" and world.runs.waiting(MAIN) == []
        script.happen(Text("Hel"), Text("lo"), Said(assistant("Hello")))
        script.end()
        run = await world.over("r1")
        assert (run.state, run.answer, run.stop_reason) == ("done", "Hello", "stop")
        assert world.runs.running(MAIN) is None
        assert await world.transcript() == ["user: hello", "assistant: Hello"]
        await until(lambda: world.agents.runs == [])

    in_a_world(tmp_path, test)
