"""Sessions and runs of this gateway: what methods, HTTP and commands ask for, with the config of this moment.

Opened in the quiet after READY; who comes earlier waits a moment. A database that cannot be opened is tried again by
whoever asks next, so nothing else depends on it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
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
from gateway.runs.live import Live
from gateway.runs.service import Runs
from gateway.runs.spec import Specifier
from gateway.runs.telling import Telling
from gateway.sessions import keys
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import Request, Run
from gateway.sessions.store import Store
from gateway.sessions.transactions import text_of
from gateway.slash import Slash

log = logging.getLogger("gateway.conversations")


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
        self.runs.audience += [Telling(hub), _Owed(hub)]

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
        return await self.runs.submit(id, key, self.agent(key), request, owed)

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
