"""The commands of the terminal, by a scripted gateway."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.cli.conversation.local_commands import HISTORY_ROWS, MAX_HISTORY_ROWS, CompletionNames, LocalCommands
from gateway.cli.conversation.renderer import Renderer
from gateway.cli.conversation.session_feed import SessionFeed
from gateway.cli.conversation.view import View
from gateway.client.reconnecting import ReconnectingClient
from tests.cli.conversation.scripted import ScriptedGateway, Session, refuse, run, serving

Carry = Callable[[LocalCommands, SessionFeed], Awaitable[None]]


def printed(session: Session, carry: Carry, names: CompletionNames | None = None) -> str:
    texts: list[str] = []

    async def test() -> None:
        async with serving(ScriptedGateway(session.respond)) as make:
            client = ReconnectingClient(make)
            await client.connect()

            async def print_text(text: str) -> None:
                texts.append(text)

            commands = LocalCommands(client, Renderer(lambda: 80, False), print_text, names or CompletionNames())
            await carry(commands, SessionFeed(client, View(session.key)))
            await client.close()

    run(test)
    return "".join(texts)


def test_help() -> None:
    shown = printed(Session(), lambda commands, feed: commands.help())
    assert "/sessions  The" in shown and "Ctrl-C" in shown


def test_the_sessions_with_their_age() -> None:
    session, names = Session(), CompletionNames()
    rows = [{"key": "a", "updatedAt": time.time() * 1000 - 3_600_000 * 25, "label": "Work"}, {"key": "b"}]
    session.answers["sessions.list"] = [{"payload": {"sessions": rows}}, {"payload": {"sessions": []}}]
    assert (
        printed(session, lambda commands, feed: commands.sessions("a"), names) == "* a  1 d 1 h  Work\n  b  0.0 s  \n\n"
    )
    assert names.sessions == ["a", "b"]
    assert printed(session, lambda commands, feed: commands.sessions("a")) == "no session yet\n\n"


@pytest.mark.parametrize(
    ("typed", "limit"),
    [("", HISTORY_ROWS), ("0", HISTORY_ROWS), ("x", HISTORY_ROWS), ("7", 7), ("9" * 9, MAX_HISTORY_ROWS)],
)
def test_history_takes_a_number(typed: str, limit: int) -> None:
    session = Session()
    session.say("user", "Why?", "r")
    assert printed(session, lambda commands, feed: commands.history(feed, typed)) == "› Why?\n"
    assert session.asked[-1][1]["limit"] == limit


def test_names_stay_where_the_gateway_does_not_list_them() -> None:
    session, names = Session(), CompletionNames()
    models: dict[str, Any] = {"payload": {"models": [{"provider": "p", "id": "m"}]}}
    listed: dict[str, Any] = {"payload": {"sessions": [{"key": "a"}]}}
    session.answers = {"sessions.list": [listed, refuse()], "models.list": [models]}
    for _ in range(2):
        assert printed(session, lambda commands, feed: commands.refresh_names(), names) == ""
        assert (names.sessions, names.models) == (["a"], ["p/m"])
