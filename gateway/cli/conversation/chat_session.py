"""A conversation in a terminal, from its first line to Ctrl-D."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from gateway.cli.conversation.completer import QUIT_WORDS, unknown_command
from gateway.cli.conversation.editor import Editor
from gateway.cli.conversation.events import PastMessage, RunEnded
from gateway.cli.conversation.exchange import Exchange
from gateway.cli.conversation.keys import signal_handlers
from gateway.cli.conversation.local_commands import CompletionNames, LocalCommands
from gateway.cli.conversation.renderer import Renderer
from gateway.cli.conversation.screen import Screen
from gateway.cli.conversation.session_feed import SessionFeed
from gateway.cli.conversation.view import View
from gateway.client.errors import CallFailed
from gateway.client.reconnecting import ReconnectingClient
from gateway.errors import GatewayError, TimedOut
from gateway.terminal.format import duration

SHOWN_QUESTIONS = 3
"""Number of earlier questions that are shown, with their answers, when a session is opened."""
OPENING_ROWS = 40
"""Messages among which those questions are looked for."""
T = TypeVar("T")


class UserLeft(Exception):
    """The user wants to leave."""


class ChatSession:
    def __init__(
        self,
        client: ReconnectingClient,
        editor: Editor,
        screen: Screen,
        renderer: Renderer,
        names: CompletionNames,
        thinking: str | None,
    ) -> None:
        """`client` need not be connected before `run`."""
        self._client = client
        self._editor = editor
        self._screen = screen
        self._renderer = renderer
        self._thinking = thinking
        self._commands = LocalCommands(client, renderer, self._print, names)
        self._feed: SessionFeed
        self._printing: asyncio.Future[None] | None = None
        """The task that prints `_feed`."""
        self._exchange: Exchange | None = None
        self._aborts: set[asyncio.Future[Any]] = set()
        self._notes: set[asyncio.Future[None]] = set()

    async def run(self, key: str, first: str | None) -> None:
        """Return when the user has left. `first` is sent as if the user had typed it.

        Raises as `ReconnectingClient.call`.
        """
        conversation = asyncio.ensure_future(self._converse(key, first))
        try:
            with signal_handlers(self._interrupt, conversation.cancel):
                await conversation
        except (UserLeft, asyncio.CancelledError):
            pass
        finally:
            self._screen.spinner.stop()
            tasks = [*self._aborts, *([self._printing] if self._printing else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, key: str, first: str | None) -> None:
        await self._open(key)
        if first is not None:
            await self._print(self._renderer.question(first))
            await self._handle(first)
        while True:
            await self._print(self._renderer.to_line_start())
            with self._screen.prompt():
                text = await self._unless_feed_fails(self._editor.read())
            if text is None:
                raise UserLeft
            await self._handle(text)

    async def _handle(self, text: str) -> None:
        """Carry out a command, or send a message, that the user has typed."""
        plain = text.strip()
        name, _, argument = plain[1:].partition(" ")
        try:
            if plain.lower() in QUIT_WORDS:
                raise UserLeft
            if plain.startswith("/") and (command := self._command(name.lower(), argument.strip())) is not None:
                await command
            elif (problem := unknown_command(text)) is not None:
                await self._print(self._renderer.aside(problem) + "\n")
            else:
                await self._ask(text)
        except (CallFailed, TimedOut) as error:
            await self._print(self._renderer.error(str(error)))

    def _command(self, name: str, argument: str) -> Awaitable[None] | None:
        """The action of a local command; None for other commands."""
        match name:
            case "help":
                return self._commands.help()
            case "sessions":
                return self._commands.sessions(self._key)
            case "session":
                return self._open(argument) if argument else self._print(self._renderer.aside(self._key) + "\n")
            case "history":
                return self._commands.history(self._feed, argument)
        return None

    async def _ask(self, text: str) -> None:
        exchange = self._exchange = Exchange(self._client, self._key)
        self._feed.view.expect(exchange.run)
        self._screen.spinner.start()
        try:
            remark = await self._unless_feed_fails(exchange.ask(text, self._thinking))
        finally:
            self._exchange = None
            self._screen.spinner.stop()
        if remark is not None:
            await self._print(self._renderer.aside(remark) + "\n")
        if text.startswith("/"):
            await self._commands.refresh_names()

    def _interrupt(self) -> None:
        if self._exchange is not None and (abort := self._exchange.interrupt()) is not None:
            self._aborts.add(abort)
            abort.add_done_callback(self._abort_done)

    def _abort_done(self, abort: "asyncio.Future[Any]") -> None:
        self._aborts.discard(abort)
        if not abort.cancelled() and (error := abort.exception()) is not None:
            self._print_note(f"not stopped: {error}")

    # -- what happens in the session -------------------------------------------------------------------------------

    async def _print_feed(self, feed: SessionFeed) -> None:
        async for event in feed.events():
            await self._print(self._renderer.render(event))
            if isinstance(event, RunEnded) and self._exchange is not None and event.run == self._exchange.run:
                self._exchange.complete()
            elif self._exchange is not None and self._renderer.at_line_start:
                self._screen.spinner.start()

    async def _unless_feed_fails(self, work: Awaitable[T]) -> T:
        """The result of `work`, or the exception that ends the feed, if that comes first."""
        assert self._printing is not None
        task = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self._printing}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._printing.result()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def on_lost(self, why: GatewayError) -> None:
        """For `ReconnectingClient`: the gateway is away."""
        self._print_note(f"{why}; trying to come back")

    def on_reconnected(self, seconds: float) -> None:
        """For `ReconnectingClient`: the gateway was away for so many seconds."""
        self._print_note(f"connected again after {duration(seconds)}")

    def _print_note(self, text: str) -> None:
        task = asyncio.ensure_future(self._print(self._renderer.note(text)))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _print(self, text: str) -> None:
        if text:
            await self._screen.put(text)

    # -- sessions --------------------------------------------------------------------------------------------------

    @property
    def _key(self) -> str:
        return self._feed.view.key

    async def _open(self, key: str) -> None:
        """Show a session, and print its feed from now on. On an error the session before stays."""
        history = await self._client.call("chat.history", {"sessionKey": key, "limit": 1})
        feed = SessionFeed(self._client, View(str(history.get("sessionKey") or key)))
        before = await self._stop_printing()
        try:
            rows, events = await feed.catch_up(OPENING_ROWS)
        except (CallFailed, TimedOut):
            if before is not None:
                self._printing = asyncio.ensure_future(self._print_feed(SessionFeed(self._client, before.view)))
            raise
        self._feed = feed
        await self._print(self._renderer.header(_model(history), self._key, self._client.url) + "\n")
        unfinished = set(feed.view.open)
        await self._print(
            self._renderer.past_messages([row for row in _last_questions(rows) if row.run not in unfinished])
        )
        for event in events:
            if event.run in unfinished:
                await self._print(self._renderer.render(event))
        self._printing = asyncio.ensure_future(self._print_feed(feed))
        await self._commands.refresh_names()

    async def _stop_printing(self) -> SessionFeed | None:
        """Returns the feed that was printed until now."""
        if self._printing is None:
            return None
        self._printing.cancel()
        await asyncio.gather(self._printing, return_exceptions=True)
        return self._feed


def _last_questions(rows: Sequence[PastMessage]) -> Sequence[PastMessage]:
    """The rows from the last `SHOWN_QUESTIONS` questions on."""
    questions = [number for number, row in enumerate(rows) if row.role == "user"]
    return rows[questions[-SHOWN_QUESTIONS] if len(questions) >= SHOWN_QUESTIONS else 0 :]


def _model(history: dict[str, Any]) -> str:
    """`history`: the payload of `chat.history`."""
    info = history.get("sessionInfo") or history.get("defaults") or {}
    provider, model = info.get("modelProvider"), info.get("model")
    return f"{provider}/{model}" if provider else model or ""
