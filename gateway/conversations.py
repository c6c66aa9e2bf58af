"""Sessions and runs of this gateway: what methods, HTTP and commands ask for, with the config of this moment.

Opened in the quiet after READY; who comes earlier waits a moment. A database that cannot be opened is tried again by
whoever asks next, so nothing else depends on it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from gateway import commands
from gateway.config import catalog
from gateway.config.models import chain
from gateway.config.providers import Unusable
from gateway.config.substitute import Lookup
from gateway.hub import Hub
from gateway.link.client import Dial
from gateway.link.messages import Event, Message
from gateway.paths import Paths
from gateway.protocol.frames import WireError, encode_error, encode_response
from gateway.runs.changes import Changes
from gateway.runs.live import Live
from gateway.runs.overview import Overview, Picture
from gateway.runs.service import Runs, StillActive
from gateway.runs.spec import Specifier
from gateway.runs.telling import Telling
from gateway.sessions import keys
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Request, Run, Session, Summary, text_of
from gateway.sessions.shown import Moment
from gateway.sessions.store import Store
from gateway.sessions.transcripts import SessionChanged
from gateway.slash import Slash

log = logging.getLogger("gateway.conversations")

QUIET_S = 15.0
"""In which a session's runs are over that were told to end."""
Change = Callable[[dict[str, Any]], dict[str, Any]]
"""From a session's entry to its new one."""


class Conversations:
    def __init__(
        self, paths: Paths, hub: Hub, tree: Callable[[], dict[str, Any]], environment: Lookup, dial: Dial
    ) -> None:
        """`tree`: the config that runs, with what stands in the environment put in."""
        self.store = Store(paths.database)
        self.runs = Runs(self.store, dial, Specifier(self.store, paths.state, tree, environment))
        self.problem: str | None = None
        """Why the database cannot be used."""
        self._hub = hub
        self.tree = tree
        self.environment = environment
        self._opening: asyncio.Task[None] | None = None
        self.changes = Changes(hub, self.store, partial(self.moment, titled=True, previewed=True))
        """What clients hear of sessions."""
        self._overview = Overview(self.store, lambda: catalog.defaults(self.tree()).agents)
        self.runs.audience += [Telling(hub), _Owed(hub), self.changes]

    async def ready(self) -> None:
        """Return when sessions and runs can be asked for. Raises StorageFailed."""
        if self._opening is None or (self._opening.done() and self.problem is not None):
            self._opening = asyncio.get_running_loop().create_task(self._open(), name="opening the database")
        await asyncio.shield(self._opening)

    async def close(self) -> None:
        if self._opening is not None:
            await asyncio.gather(self._opening, return_exceptions=True)
            if self.problem is None:
                await self.runs.close()
                await self.changes.close()
                self._overview.close()
                await self.store.close()

    async def _open(self) -> None:
        try:
            await self.store.open(int(time.time() * 1000))
            await self.runs.start()
        except StorageFailed as error:
            self.problem = str(error)
            raise
        self.problem = None

    # -- sessions --------------------------------------------------------------------------------------------------

    def key(self, text: str) -> str:
        """The key of the session that a client means. Raises keys.BadKey."""
        who = catalog.defaults(self.tree())
        return keys.canonical(text, who.agent, who.main_key, who.scope)

    def agent(self, key: str) -> str:
        """Whose session it is."""
        return keys.owner(key, catalog.default_id(self.tree()))

    def picture(self) -> Picture:
        """How many sessions there are, as it was seen lately; nothing while the database is not open."""
        opened = self._opening is not None and self._opening.done() and self.problem is None
        return self._overview.latest() if opened else Picture()

    def active(self, key: str) -> list[str]:
        """The runs of a session that go on, or wait."""
        running = self.runs.running(key)
        return [*([running] if running else []), *self.runs.waiting(key)]

    def moment(self, session: Session, summary: Summary | None, *, titled: bool, previewed: bool) -> Moment:
        """What a row of the session says beside what is stored."""
        tree = self.tree()
        return Moment(
            tree,
            catalog.main_session(tree, session.agent),
            _now(),
            self.active(session.key),
            summary,
            titled,
            previewed,
        )

    async def patch(self, key: str, change: Change, *, expected: str | None = None) -> Session:
        """Set a session's entry; it is made if there was none. As `Store.patch`, and clients hear of it."""
        before = await self.store.session(key)
        session = await self.store.patch(key, self.agent(key), change, _now(), expected)
        old = before.entry.get("model") if before else None
        more = {"catalogChanged": True} if old != session.entry.get("model") else {}
        self.changes.tell(key, "patch" if before else "create", **more)
        return session

    async def reset(self, key: str, *, expected: str | None = None) -> Session:
        """Begin anew under the same key; what goes on or waits is ended first.

        `expected`: the id that the session must have. Raises SessionChanged, StillActive and StorageFailed.
        """
        await self._expect(key, expected)
        await self.quiet(key)
        session = await self.store.reset(key, self.agent(key), _now())
        self.changes.tell(key, "reset")
        return session

    async def delete(self, key: str, *, transcript: bool = True, expected: str | None = None) -> Session | None:
        """As `reset`; None if there was no such session."""
        await self._expect(key, expected)
        await self.quiet(key)
        session = await self.store.delete(key, transcript=transcript)
        if session is not None:
            self.changes.tell_deleted(session)
        return session

    async def compact(self, key: str, keep: int) -> int | None:
        """Forget all but the last messages, as `Store.compact`."""
        forgotten = await self.store.compact(key, keep)
        if forgotten:
            self.changes.tell(key, "compact")
        return forgotten

    async def _expect(self, key: str, id: str | None) -> None:
        session = await self.store.session(key) if id is not None else None
        if id is not None and (session is None or session.id != id):
            raise SessionChanged(key)

    async def quiet(self, key: str) -> None:
        """Return when nothing goes on in a session. Raises StillActive, StorageFailed."""
        until = time.monotonic() + QUIET_S
        for id in await self.abort(key):
            run = await self.runs.wait(id, max(0.0, until - time.monotonic()))
            if run is not None and run.unfinished:
                raise StillActive(key)

    def refuse_model(self, key: str, wanted: str) -> str | None:
        """Why a session cannot have this model."""
        try:
            chain(self.tree(), self.environment, self.agent(key), wanted)
        except Unusable as error:
            return str(error)
        return None

    # -- runs ------------------------------------------------------------------------------------------------------

    async def submit(
        self, id: str, key: str, request: Request, owed: tuple[str, str] | None = None
    ) -> tuple[Run, bool]:
        """A message for a session, by its canonical key; False if the id is known. Raises QueueFull, StorageFailed.

        `owed`: connection and id of a request that gets another answer when the run is over.
        """
        await self.ready()
        run, fresh = await self.runs.submit(id, key, self.agent(key), request, owed)
        if fresh and request.keeps:
            self.changes.tell(key, "send")
        return run, fresh

    async def command(self, id: str, key: str, request: Request, command: Slash) -> tuple[Run, bool]:
        """Do what a chat's command says, and answer it. Raises QueueFull, StorageFailed."""
        if (known := await self.store.run(id)) is not None:
            return known, False
        text = await commands.carry_out(self, key, command)
        run, fresh = await self.store.answer(id, key, self.agent(key), request, _spoken(text), _now())
        if fresh:
            self.runs.tell_ended(run)
        return run, fresh

    async def pending(self, key: str) -> list[dict[str, Any]]:
        """Messages that wait for their turn, as the pages of 2026.9.6 list them."""
        runs = [await self.store.run(id) for id in self.runs.waiting(key)]
        return [
            {"runId": run.id, "text": text_of(run.request.prompt), "createdAt": run.accepted} for run in runs if run
        ]

    async def abort(self, key: str, id: str | None = None) -> list[str]:
        """Raises StorageFailed."""
        await self.ready()
        return await self.runs.abort(key, id)


def _spoken(text: str) -> Message:
    return {
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "provider": "openclaw",
        "model": "gateway",
        "stopReason": "stop",
        "timestamp": _now(),
    }


def _now() -> int:
    return int(time.time() * 1000)


class Outcome(Struct, rename="camel"):
    """What came of a run, as `agent` answers at its end."""

    run_id: str
    status: str
    summary: str
    result: dict[str, Any]


def outcome(run: Run) -> Outcome | WireError:
    if run.state in ("failed", "interrupted"):
        message = run.failure.message if run.failure else "the run was interrupted"
        retryable = run.failure is not None and run.failure.retryable
        details = {"runId": run.id, "status": "error", "summary": message}
        return WireError("UNAVAILABLE", message, details, retryable=retryable)
    used, started = run.usage, run.started or run.accepted
    usage = {"input": used.input, "output": used.output, "cacheRead": used.cache_read, "cacheWrite": used.cache_write}
    result = {
        "payloads": [{"text": run.answer, "mediaUrl": None}] if run.answer else [],
        "meta": {
            "durationMs": (run.ended or started) - started,
            "agentMeta": {
                "sessionId": run.session,
                "provider": run.provider,
                "model": run.model,
                "usage": {**usage, "total": used.total},
            },
            "aborted": run.state == "aborted",
        },
    }
    return Outcome(run.id, "ok", "aborted" if run.state == "aborted" else "completed", result)


class _Owed:
    """The second answer to requests that were told only that their run is accepted."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def begun(self, live: Live) -> None: ...

    def happened(self, live: Live, event: Event) -> None: ...

    def anew(self, live: Live) -> None: ...

    def ended(self, run: Run, live: Live | None) -> None:
        what = outcome(run)
        for connection, id in run.waiting:
            text = encode_error(id, what) if isinstance(what, WireError) else encode_response(id, what)
            self._hub.answer(connection, text)
