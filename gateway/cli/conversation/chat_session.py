"""A conversation in a terminal, from its first line to Ctrl-D."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from gateway.cli.conversation.completer import KNOWN, LEAVING, mistyped
from gateway.cli.conversation.editor import Editor
from gateway.cli.conversation.events import Over, PastMessage
from gateway.cli.conversation.exchange import Exchange
from gateway.cli.conversation.following import SessionFeed
from gateway.cli.conversation.keys import signals
from gateway.cli.conversation.renderer import Renderer
from gateway.cli.conversation.screen import Screen
from gateway.cli.conversation.view import View
from gateway.client.client import CallFailed
from gateway.client.reconnecting import ReconnectingClient
from gateway.errors import GatewayError, TimedOut
from gateway.terminal.format import duration, title_of

RECALLED = 3
"""Questions that are shown of what was said before, with their answers."""
READ = 40
"""Messages in which they are looked for."""
HISTORY = 20
MAX_HISTORY = 1000
SESSIONS = 20
NAMES = 200
"""Sessions that are offered behind /session."""
T = TypeVar("T")


class UserLeft(Exception):
    """The user wants to go."""


class CompletionNames:
    """What is offered behind commands: as it was when it was last asked for."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.models: list[str] = []


class ChatSession:
    def __init__(
        self,
        line: ReconnectingClient,
        editor: Editor,
        screen: Screen,
        paper: Renderer,
        names: CompletionNames,
        thinking: str | None,
    ) -> None:
        """`line` is open."""
        self._line = line
        self._editor = editor
        self._screen = screen
        self._paper = paper
        self._names = names
        self._thinking = thinking
        self._following: SessionFeed
        self._hearing: asyncio.Future[None] | None = None
        self._exchange: Exchange | None = None
        self._aborts: set[asyncio.Future[Any]] = set()
        self._notes: set[asyncio.Future[None]] = set()
        self._own: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "sessions": self._list,
            "session": self._switch,
            "history": self._recall,
        }

    async def hold(self, key: str, first: str | None) -> None:
        """Return when the user has left. `first` is said as if he had typed it. Raises as `ReconnectingClient.call`."""
        talking = asyncio.ensure_future(self._converse(key, first))
        try:
            with signals(self._interrupt, talking.cancel):
                await talking
        except (UserLeft, asyncio.CancelledError):
            pass
        finally:
            self._screen.spinner.stop()
            tasks = [*self._aborts, *([self._hearing] if self._hearing else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _converse(self, key: str, first: str | None) -> None:
        await self._enter(key)
        if first is not None:
            await self._print(self._paper.question(first))
            await self._take(first)
        while True:
            await self._print(self._paper.turn())
            with self._screen.prompt():
                text = await self._unless_lost(self._editor.read())
            if text is None:
                raise UserLeft
            await self._take(text)

    async def _take(self, text: str) -> None:
        """What the user has typed."""
        plain = text.strip()
        name, _, argument = plain[1:].partition(" ")
        try:
            if plain.lower() in LEAVING:
                raise UserLeft
            if plain.startswith("/") and name.lower() in self._own:
                await self._own[name.lower()](argument.strip())
            elif (problem := mistyped(text)) is not None:
                await self._print(self._paper.aside(problem) + "\n")
            else:
                await self._say(text)
        except (CallFailed, TimedOut) as error:
            await self._print(self._paper.wrong(str(error)))

    async def _say(self, text: str) -> None:
        exchange = self._exchange = Exchange(self._line, self._key)
        self._following.view.expect(exchange.run)
        self._screen.spinner.start()
        try:
            remark = await self._unless_lost(exchange.hold(text, self._thinking))
        finally:
            self._exchange = None
            self._screen.spinner.stop()
        if remark is not None:
            await self._print(self._paper.aside(remark) + "\n")
        if text.startswith("/"):
            await self._learn()

    def _interrupt(self) -> None:
        if self._exchange is not None and (abort := self._exchange.interrupt()) is not None:
            self._aborts.add(abort)
            abort.add_done_callback(self._aborted)

    def _aborted(self, abort: "asyncio.Future[Any]") -> None:
        self._aborts.discard(abort)
        if not abort.cancelled() and (error := abort.exception()) is not None:
            self._note(f"not stopped: {error}")

    # -- what happens in the session -------------------------------------------------------------------------------

    async def _hear(self, following: SessionFeed) -> None:
        async for piece in following.pieces():
            await self._print(self._paper.show(piece))
            if isinstance(piece, Over) and self._exchange is not None and piece.run == self._exchange.run:
                self._exchange.end()
            elif self._exchange is not None and self._paper.fresh:
                self._screen.spinner.start()

    async def _unless_lost(self, work: Awaitable[T]) -> T:
        """What comes of `work`; raises what ends the hearing, if that comes first."""
        assert self._hearing is not None
        task = asyncio.ensure_future(work)
        try:
            either: set[asyncio.Future[Any]] = {task, self._hearing}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._hearing.result()
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def lost(self, why: GatewayError) -> None:
        """The gateway is away; to be called by `ReconnectingClient`, as is `found`."""
        self._note(f"{why}; trying to come back")

    def found(self, seconds: float) -> None:
        self._note(f"connected again after {duration(seconds)}")

    def _note(self, text: str) -> None:
        task = asyncio.ensure_future(self._print(self._paper.note(text)))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _print(self, text: str) -> None:
        if text:
            await self._screen.put(text)

    # -- sessions --------------------------------------------------------------------------------------------------

    @property
    def _key(self) -> str:
        return self._following.view.key

    async def _enter(self, key: str) -> None:
        """Show a session, and hear what happens in it from now on."""
        history = await self._line.call("chat.history", {"sessionKey": key, "limit": 1})
        following = SessionFeed(self._line, View(str(history.get("sessionKey") or key)))
        before = await self._stop_hearing()
        try:
            rows, pieces = await following.catch_up(READ)
        except (CallFailed, TimedOut):
            if before is not None:
                self._hearing = asyncio.ensure_future(self._hear(SessionFeed(self._line, before.view)))
            raise
        self._following = following
        await self._print(self._paper.header(_model(history), self._key, self._line.url) + "\n")
        still = set(following.view.open)
        await self._print(self._paper.recall([row for row in _recent(rows) if row.run not in still]))
        for piece in pieces:
            if piece.run in still:
                await self._print(self._paper.show(piece))
        self._hearing = asyncio.ensure_future(self._hear(following))
        await self._learn()

    async def _stop_hearing(self) -> SessionFeed | None:
        """What was heard until now."""
        if self._hearing is None:
            return None
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)
        return self._following

    async def _switch(self, key: str) -> None:
        if key:
            await self._enter(key)
        else:
            await self._print(self._paper.aside(self._key) + "\n")

    async def _list(self, _: str) -> None:
        found = await self._line.call("sessions.list", {"limit": SESSIONS, "includeDerivedTitles": True})
        rows = found["sessions"]
        now = time.time() * 1000
        for row in rows:
            ago = duration(max(now - (row.get("updatedAt") or now), 0) / 1000)
            mark = "*" if row["key"] == self._key else " "
            await self._print(self._paper.line(f"{mark} {row['key']}  {ago}  {title_of(row)}"))
        for text in ("",) if rows else ("no session yet", ""):
            await self._print(self._paper.line(text))
        self._names.sessions = [str(row["key"]) for row in rows]

    async def _recall(self, count: str) -> None:
        limit = min(int(count), MAX_HISTORY) if count.isdecimal() and int(count) else HISTORY
        await self._print(self._paper.recall(await self._following.rows(limit), None))

    async def _help(self, _: str) -> None:
        width = max(map(len, KNOWN)) + 3
        for name, what in KNOWN.items():
            await self._print(self._paper.line(f"{'/' + name:<{width}}{what}"))
        for text in KEYS:
            await self._print(self._paper.line(text))

    async def _learn(self) -> None:
        """What can be offered behind commands."""
        try:
            sessions = await self._line.call("sessions.list", {"limit": NAMES})
            models = await self._line.call("models.list")
        except (CallFailed, TimedOut):
            return  # then nothing is offered
        self._names.sessions = [str(row["key"]) for row in sessions["sessions"]]
        self._names.models = [f"{row['provider']}/{row['id']}" for row in models["models"]]


KEYS = (
    "",
    "Enter       say it; a backslash before it, or Alt-Enter, begins another line",
    "Ctrl-C      end the answer; at the prompt: clear the line, or leave",
    "Ctrl-R, ↑   what was typed before",
    "",
)


def _recent(rows: Sequence[PastMessage]) -> Sequence[PastMessage]:
    """From the last questions on."""
    questions = [number for number, row in enumerate(rows) if row.role == "user"]
    return rows[questions[-RECALLED] if len(questions) >= RECALLED else 0 :]


def _model(history: dict[str, Any]) -> str:
    info = history.get("sessionInfo") or history.get("defaults") or {}
    provider, model = info.get("modelProvider"), info.get("model")
    return f"{provider}/{model}" if provider else model or ""
