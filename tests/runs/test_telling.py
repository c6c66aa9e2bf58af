"""What a client hears of a run, as frames."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.hub import Connection, Hub
from gateway.link.messages import Event, Happening, Message, Said, Started, Text, ToolEnded, ToolStarted
from gateway.protocol.handshake import ClientInfo, Peer
from gateway.runs.live import Live
from gateway.runs.telling import Telling
from gateway.sessions.records import Request, Run
from tests.carrier import FakeCarrier, drained

RUN = Run("r1", "agent:main:main", "main", "running", Request({"role": "user", "content": "?"}), 1)
Hear = Callable[..., list[dict[str, Any]]]


def said(*blocks: dict[str, Any]) -> Said:
    message: Message = {"role": "assistant", "content": list(blocks), "timestamp": 1}
    return Said(message)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool(id: str) -> dict[str, Any]:
    return {"type": "toolCall", "id": id, "name": "look", "arguments": {}}


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch) -> Hear:
    """Let things happen in one run; the payloads of the `chat` events that a client hears."""
    monkeypatch.setattr("gateway.runs.telling.PACE_S", 0)

    async def quiet(session: str) -> bool:
        return False

    async def happen(*happenings: Happening) -> list[dict[str, Any]]:
        hub, live = Hub(), Live(RUN)
        connection = Connection("c", "r", FakeCarrier())
        with hub.hold(connection):
            hub.greet(connection, Peer(4, "operator", ("operator.admin",), ClientInfo("cli", "1", "linux", "cli")), 0)
            telling = Telling(hub, quiet)
            for seq, what in enumerate(happenings, 1):
                event = Event(RUN.id, seq, 1, what)
                assert live.take(event)
                telling.happened(live, event)
            frames, _ = drained(connection)
        return [frame["payload"] for frame in frames if frame["event"] == "chat"]

    return lambda *happenings: asyncio.run(happen(*happenings))


def test_a_message_that_only_calls_a_tool_tells_no_text_again(hear: Hear) -> None:
    told = hear(
        Started("p", "m", 1),
        Text("Let me look."),
        said(text("Let me look."), tool("1")),
        ToolStarted("1", "look", {}),
        ToolEnded("1", "look", True, "nothing"),
        said(tool("2")),
        ToolStarted("2", "look", {}),
        ToolEnded("2", "look", True, "it"),
        Text("There"),
        Text(" it is."),
        said(text("There it is.")),
    )
    assert [(each["deltaText"], each["message"]["content"][0]["text"]) for each in told] == [
        ("Let me look.", "Let me look."),
        ("There", "There"),
        (" it is.", "There it is."),
    ]
