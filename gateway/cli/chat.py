"""`chat`: a conversation with the assistant in a terminal, or one question to it in a pipe."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.call import client_of
from gateway.cli.suggest import model_names, session_keys
from gateway.cli.target import find_target, target_options
from gateway.errors import GatewayError
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.terminal.format import columns
from gateway.terminal.writer import is_terminal, print_json, print_line, print_result, wants_colour
from gateway.units.installation import service_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.cli.conversation.events import ChatEvent, RunEnded
    from gateway.client.reconnecting import ReconnectingClient

CAPS = ("tool-events",)
GIVE_UP_AFTER_S = 60.0
"""Seconds that a gateway may be away while a script waits for an answer. A conversation waits for ever."""


@click.command()
@click.argument("message", nargs=-1)
@click.option("--session", default="main", show_default=True, metavar="KEY", help="In which session.",
              shell_complete=session_keys)  # fmt: skip
@click.option("--model", metavar="PROVIDER/NAME", help="Choose the session's model first, as /model does.",
              shell_complete=model_names)  # fmt: skip
@click.option("--thinking", metavar="LEVEL", help="off, minimal, low, medium, high, xhigh.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each event, until the answer is complete.")
@target_options
def chat(
    message: tuple[str, ...],
    session: str,
    model: str | None,
    thinking: str | None,
    as_json: bool,
    url: str | None,
    token: str | None,
    password: str | None,
    timeout: float,
) -> int:
    """Talk with the assistant.

    In a terminal: a conversation, which goes on over restarts of the gateway. Ctrl-C ends an answer, Ctrl-D the
    conversation, /help says what else there is. In a pipe: MESSAGE and what comes from the pipe are one question, and
    the answer is all that is printed.

    \b
    openclaw-gateway chat
    openclaw-gateway chat --session work "Where were we?"
    git diff | openclaw-gateway chat "Review this change."

    Exit code 0: answered, or left · 1: failed · 3: not running · 14: no answer in time · 130: Ctrl-C.
    """
    target = find_target(service_environment(os.environ), url, token, password)
    options: dict[str, Any] = {"key": session, "model": model, "thinking": thinking}
    text = " ".join(message)

    def make_client() -> Any:
        return client_of(target, timeout, CAPS)

    if sys.stdin.isatty() and is_terminal() and not as_json:
        return asyncio.run(_converse(make_client, text or None, **options))
    text = "\n\n".join(part for part in (text, "" if sys.stdin.isatty() and text else sys.stdin.read().strip()) if part)
    if not text:
        raise click.UsageError("nothing to say: give a MESSAGE, or pipe one in")
    over = asyncio.run(_ask(make_client, text, _tell_json if as_json else lambda event: None, **options))
    return _answer(over, as_json)


async def _converse(
    make_client: "Callable[[], Any]", first: str | None, key: str, model: str | None, thinking: str | None
) -> int:
    from gateway.cli.conversation.chat_session import ChatSession
    from gateway.cli.conversation.completer import CommandCompleter
    from gateway.cli.conversation.editor import Editor
    from gateway.cli.conversation.input_history import FILE_NAME, InputHistory
    from gateway.cli.conversation.keys import without_echo
    from gateway.cli.conversation.local_commands import CompletionNames
    from gateway.cli.conversation.renderer import Renderer
    from gateway.cli.conversation.screen import Screen
    from gateway.client.reconnecting import ReconnectingClient
    from gateway.config.models import THINKING
    from gateway.terminal.spinner import ANSWER_QUIET_S, Spinner

    names = CompletionNames()
    history = InputHistory(Paths.from_env(service_environment(os.environ)).state / "gateway" / FILE_NAME)
    completer = CommandCompleter(
        {
            "session": lambda: names.sessions,
            "model": lambda: [*names.models, "default"],
            "think": lambda: THINKING,
        }
    )
    colour = wants_colour()
    renderer = Renderer(columns, colour)
    client = ReconnectingClient(
        make_client,
        on_lost=lambda why: session.on_lost(why),
        on_reconnected=lambda seconds: session.on_reconnected(seconds),
    )
    session = ChatSession(
        client,
        Editor(history, completer, colour),
        Screen(Spinner("thinking", quiet_s=ANSWER_QUIET_S)),
        renderer,
        names,
        thinking,
    )
    await client.connect()
    try:
        await _choose(client, key, model)
        with without_echo(sys.stdin.fileno()):
            await session.run(key, first)
    finally:
        await client.close()
    if history.problem is not None:
        print_line(f"note: what was typed is not kept for the next time: {history.problem}", err=True)
    return ExitCode.OK


async def _ask(
    make_client: "Callable[[], Any]",
    text: str,
    on_event: "Callable[[ChatEvent], None]",
    key: str,
    model: str | None,
    thinking: str | None,
) -> "RunEnded":
    from gateway.cli.conversation.once import ask
    from gateway.client.reconnecting import ReconnectingClient

    client = ReconnectingClient(make_client, GIVE_UP_AFTER_S)
    await client.connect()
    try:
        await _choose(client, key, model)
        return await ask(client, key, text, thinking, on_event)
    finally:
        await client.close()


async def _choose(client: "ReconnectingClient", key: str, model: str | None) -> None:
    if model is not None:
        await client.call("sessions.patch", {"key": key, "model": model})


def _answer(over: "RunEnded", as_json: bool) -> int:
    if not as_json and over.text:
        print_result(over.text)
    if over.state == "final":
        return ExitCode.OK
    if not as_json:
        raise GatewayError(over.error or "the answer was stopped")
    return ExitCode.FAILURE


def _tell_json(event: "ChatEvent") -> None:
    print_json(event)
