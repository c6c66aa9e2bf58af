"""Sessions and runs of this gateway: what methods, HTTP and commands ask for, with the config of this moment.

Opened in the quiet after READY; who comes earlier waits a moment. A database that cannot be opened is tried again by
whoever asks next, so nothing else depends on it.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.aio.opening import Opening
from gateway.aio.tasks import Tasks, shielded
from gateway.config import catalog
from gateway.config.models import refuse
from gateway.config.substitute import Lookup
from gateway.config.untyped import section
from gateway.conversations.commands import Commands
from gateway.conversations.deferred_answers import DeferredReplies
from gateway.conversations.overview import Overview, SessionCounts
from gateway.conversations.run_events import RunEvents, tell_injected
from gateway.conversations.session_events import SessionEvents
from gateway.files.paths import Paths
from gateway.handover.told import Told
from gateway.hub.hub import Hub
from gateway.link.client import Dial
from gateway.link.spec import Message
from gateway.protocol.scopes import READ
from gateway.runs.audience import Audience
from gateway.runs.following import BEGINNING, Cursor, Reader, RunTexts
from gateway.runs.service import Runs, StillActive
from gateway.runs.spec import Specifier
from gateway.sessions import keys
from gateway.sessions.database import StorageFailed
from gateway.sessions.records import BESIDE, MessageRow, Run, RunRequest, Session, Summary
from gateway.sessions.shown import RowContext
from gateway.sessions.store import Store
from gateway.sessions.transactions import SendDenied
from gateway.sessions.transcripts import SessionChanged

log = logging.getLogger("gateway.conversations.service")

CLOSE_S = 10.0
"""In which what runs have said is stored, where nobody waits for us to leave."""
QUIET_S = 15.0
"""In which a session's runs are over that were told to end."""
Change = Callable[[dict[str, Any]], dict[str, Any]]
"""From a session's entry to its new one."""


class Conversations:
    def __init__(
        self,
        paths: Paths,
        hub: Hub,
        tree: Callable[[], dict[str, Any]],
        environment: Lookup,
        dial: Dial,
        told: Told | None = None,
    ) -> None:
        """`tree`: the config that runs, with what stands in the environment put in; `told`: how far the process before
        this one had told of runs."""
        self._hub = hub
        self._owing = partial(hub.owing, READ)
        self.store = Store(paths.database)
        self.tree = tree
        self.environment = environment
        self._opening = Opening(self._open, "opening the database", log)
        self._following = RunTexts(lambda id: self.runs.live(id))
        self.changes = SessionEvents(hub, self.store, partial(self.moment, titled=True, previewed=True), told)
        """What clients hear of sessions."""
        self._tasks = Tasks(log)
        self.commands = Commands(self, self._tasks, self._owing)
        """What is asked for in chats."""
        self._overview = Overview(self.store, lambda: catalog.defaults(self.tree()).agents)
        self._run_events = RunEvents(hub, self._is_verbose, told)
        audience = Audience((self._run_events, DeferredReplies(hub), self.changes, self._following))
        specify = Specifier(self.store, paths.state, tree, environment)
        self.runs = Runs(self.store, dial, specify, audience, owing=self._owing)

    async def ready(self) -> None:
        """Return when sessions and runs can be asked for. Raises StorageFailed."""
        await self._opening.wait()

    def begin(self) -> None:
        """Open the database, and go on with the runs that another process has left; until that can be, try again."""
        self._opening.begin()

    @property
    def open(self) -> bool:
        return self._opening.done

    @property
    def degraded(self) -> str | None:
        """Why the database cannot be used, or not be written."""
        return self._opening.problem or self.store.database.problem

    def release(self) -> None:
        """Whoever waits for the end of a run gets what there is."""
        self.runs.release()

    async def close(self, limit_s: float = CLOSE_S, *, for_good: bool = True) -> None:
        """Store what runs have said, which go on without us: what is not stored in time, the agent keeps.

        `for_good`: nobody comes after us, so the files of the database are put in order too.
        """
        self.release()
        try:
            async with asyncio.timeout(limit_s):
                if not await self._opening.end() or not self.open:
                    return
                self._overview.close()
                await self._tasks.finish()
                try:
                    await self.runs.close()
                except StorageFailed as error:
                    log.error("%s; the agent keeps what could not be stored", error)
                finally:
                    self._run_events.close()
                await self.changes.close()
                if for_good:
                    await self.store.close()
        except TimeoutError:
            log.warning("what runs have said is not stored after %g s; the agent keeps the rest", limit_s)

    async def _open(self) -> None:
        await self.store.open(_now())
        await self._hub.complete()  # what runs say is told once
        await self.runs.start()

    # -- sessions --------------------------------------------------------------------------------------------------

    def key(self, text: str) -> str:
        """The key of the session that a client means. Raises keys.BadKey."""
        who = catalog.defaults(self.tree())
        return keys.canonical(text, who.agent, who.main_key, who.scope)

    def agent(self, key: str) -> str:
        """Whose session it is."""
        return keys.owner(key, catalog.default_id(self.tree()))

    def picture(self) -> SessionCounts:
        """How many sessions there are, as it was seen lately; nothing while the database is not open."""
        return self._overview.latest() if self.open else SessionCounts()

    def active(self, key: str) -> list[str]:
        """The runs of a session that go on, or wait."""
        running = self.runs.running(key)
        return [*([running] if running else []), *self.runs.waiting(key)]

    def moment(self, session: Session, summary: Summary | None, *, titled: bool, previewed: bool) -> RowContext:
        """What a row of the session says beside what is stored."""
        tree = self.tree()
        return RowContext(
            tree,
            catalog.main_session(tree, session.agent),
            _now(),
            self.active(session.key),
            summary,
            titled,
            previewed,
        )

    @shielded
    async def patch(self, key: str, change: Change, *, expected: str | None = None) -> Session:
        """Set a session's entry; it is made if there was none. As `Store.patch`, and clients hear of it."""
        before = await self.store.session(key)
        session = await self.store.patch(key, self.agent(key), change, _now(), expected)
        old = before.entry.get("model") if before else None
        more = {"catalogChanged": True} if old != session.entry.get("model") else {}
        self.changes.tell(key, "patch" if before else "create", **more)
        return session

    @shielded
    async def reset(self, key: str, *, expected: str | None = None) -> Session:
        """Begin anew under the same key; what goes on or waits is ended first.

        `expected`: the id that the session must have. Raises SessionChanged, StillActive and StorageFailed.
        """
        await self._expect(key, expected)
        await self.quiet(key)
        session = await self.store.reset(key, self.agent(key), _now())
        self.changes.tell(key, "reset")
        return session

    @shielded
    async def delete(self, key: str, *, transcript: bool = True, expected: str | None = None) -> Session | None:
        """As `reset`; None if there was no such session."""
        await self._expect(key, expected)
        await self.quiet(key)
        session = await self.store.delete(key, transcript=transcript)
        if session is not None:
            self.changes.tell_deleted(session)
        return session

    @shielded
    async def compact(self, key: str, keep: int) -> int | None:
        """Forget all but the last messages, as `Store.compact`."""
        forgotten = await self.store.compact(key, keep)
        if forgotten:
            self.changes.tell(key, "compact")
        return forgotten

    async def sum_up(self, key: str, limit_s: float) -> Run | None:
        """Have a model sum up what was said, beside the chat; the run as it is when it is over, or the time is."""
        request = RunRequest({}, lane=BESIDE, compact="")
        run, _ = await self.runs.submit(str(uuid.uuid4()), key, self.agent(key), request)
        ended = await self.runs.wait(run.id, limit_s)
        if ended is not None and ended.state == "done":
            self.changes.tell(key, "compact", compacted=True)
        return ended

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
        return refuse(self.tree(), self.environment, self.agent(key), wanted)

    # -- runs ------------------------------------------------------------------------------------------------------

    async def submit(
        self, id: str, key: str, request: RunRequest, deferred_reply: tuple[str, str] | None = None
    ) -> tuple[Run, bool]:
        """Accept a message for a session, by its canonical key. Returns its run, and False if the id is known already.

        `deferred_reply`: connection and id of a request that gets another answer when the run is over. Raises
        SendDenied, QueueFull and StorageFailed.
        """
        await self.must_take(key)
        return await self.runs.submit(id, key, self.agent(key), request, deferred_reply)

    async def must_take(self, key: str) -> None:
        """Raises SendDenied and StorageFailed."""
        await self.ready()
        session = await self.store.session(key)
        if session is not None and session.entry.get("sendPolicy") == "deny":
            raise SendDenied

    def follow(self, id: str, place: Cursor = BEGINNING) -> Reader:
        """What a run says, from its beginning, or from where a reader in another process was, if nothing has been heard
        of the run in this one. You must `close` it, and `catch_up`."""
        return self._following.read(id, place)

    async def catch_up(self, id: str) -> None:
        """Let those who follow a run know if it is over already. Raises StorageFailed."""
        await self.ready()
        self._following.settle(id, await self.store.run(id))

    @shielded
    async def inject(self, key: str, message: Message) -> MessageRow | None:
        """Add a message that nobody was asked for; None if there is no such session. Raises StorageFailed."""
        await self.ready()
        with self._owing():
            row = await self.store.append(key, message, _now())
            if row is not None:
                tell_injected(self._hub, row.id, key, self.agent(key), message)
                self.changes.tell(key, "chat.inject")
        return row

    async def _is_verbose(self, key: str) -> bool:
        """Whether a session shows what its tools do."""
        session = await self.store.session(key)
        chosen = session.entry.get("verboseLevel") if session else None
        return (chosen or section(self.tree(), "agents", "defaults").get("verboseDefault")) == "on"

    async def pending(self, key: str) -> list[Run]:
        """Runs of messages that wait for their turn."""
        runs = [await self.store.run(id) for id in self.runs.waiting(key)]
        return [run for run in runs if run is not None and run.state == "queued"]

    async def abort(self, key: str, id: str | None = None) -> list[str]:
        """Raises StorageFailed."""
        await self.ready()
        return await self.runs.abort(key, id)


def _now() -> int:
    return int(time.time() * 1000)
