"""The commands of a conversation that the terminal carries out: /help, /sessions and /history."""

from collections.abc import Awaitable, Callable

from gateway.cli.conversation.completer import ALL_COMMANDS
from gateway.cli.conversation.renderer import Renderer
from gateway.cli.conversation.session_feed import SessionFeed
from gateway.client.errors import CallFailed
from gateway.client.reconnecting import ReconnectingClient
from gateway.errors import TimedOut
from gateway.machine.clock import now_ms
from gateway.terminal.format import duration, title_of

HISTORY_ROWS = 20
"""Messages that /history shows unless it is given a number."""
MAX_HISTORY_ROWS = 1000
LISTED_SESSIONS = 20
"""Sessions that /sessions lists."""
COMPLETED_SESSIONS = 200
"""Sessions that can be completed behind /session."""
KEYS = (
    "",
    "Enter       say it; a backslash before it, or Alt-Enter, begins another line",
    "Ctrl-C      end the answer; at the prompt: clear the line, or leave",
    "Ctrl-R, ↑   what was typed before",
    "",
)


class CompletionNames:
    """Names that can be completed behind commands, as the gateway last listed them."""

    def __init__(self) -> None:
        self.sessions: list[str] = []
        self.models: list[str] = []


class LocalCommands:
    """Each method prints; it raises as `ReconnectingClient.call`."""

    def __init__(
        self,
        client: ReconnectingClient,
        renderer: Renderer,
        print_text: Callable[[str], Awaitable[None]],
        names: CompletionNames,
    ) -> None:
        self._client = client
        self._renderer = renderer
        self._print = print_text
        self._names = names

    async def help(self) -> None:
        width = max(map(len, ALL_COMMANDS)) + 3
        for name, what in ALL_COMMANDS.items():
            await self._print(self._renderer.line(f"{'/' + name:<{width}}{what}"))
        for text in KEYS:
            await self._print(self._renderer.line(text))

    async def sessions(self, current: str) -> None:
        """The sessions that were used last; `current` is the key of the one that is marked."""
        found = await self._client.call("sessions.list", {"limit": LISTED_SESSIONS, "includeDerivedTitles": True})
        rows = found["sessions"]
        now = now_ms()
        for row in rows:
            ago = duration(max(now - (row.get("updatedAt") or now), 0) / 1000)
            mark = "*" if row["key"] == current else " "
            await self._print(self._renderer.line(f"{mark} {row['key']}  {ago}  {title_of(row)}"))
        for text in ("",) if rows else ("no session yet", ""):
            await self._print(self._renderer.line(text))
        self._names.sessions = [str(row["key"]) for row in rows]

    async def history(self, feed: SessionFeed, count: str) -> None:
        """`count`: how many messages, as the user typed it."""
        limit = min(int(count), MAX_HISTORY_ROWS) if count.isdecimal() and int(count) else HISTORY_ROWS
        await self._print(self._renderer.past_messages(await feed.rows(limit), None))

    async def refresh_names(self) -> None:
        """Ask the gateway for the names that can be completed. It prints nothing, and keeps them on an error."""
        try:
            sessions = await self._client.call("sessions.list", {"limit": COMPLETED_SESSIONS})
            models = await self._client.call("models.list")
        except (CallFailed, TimedOut):
            return
        self._names.sessions = [str(row["key"]) for row in sessions["sessions"]]
        self._names.models = [f"{row['provider']}/{row['id']}" for row in models["models"]]
