"""All runs of this agent, from their start until the gateway has acknowledged their end."""

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from gateway.agent.backlog import Backlog
from gateway.agent.mcp.idle import IdleServers
from gateway.agent.run_loop import RunLoop
from gateway.agent.turn.failed import Failed
from gateway.link.messages import MAX_RUNS, Ended, Failure, Happening, Started
from gateway.link.spec import Spec

log = logging.getLogger("agent.runs")

PROGRAM_REPLACED = (
    "a part of the program is missing, as while it is replaced or after it was removed; ask again in a minute"
)


class AgentRun:
    """One run loop at work, and the events of it that the gateway has not acknowledged."""

    def __init__(
        self,
        run: str,
        spec: Spec,
        on_event: Callable[["AgentRun"], None],
        idle_servers: IdleServers,
    ) -> None:
        self.id = run
        self.backlog = Backlog(run)
        self._on_event = on_event
        self._silent = self._aborted = False
        self._begun = time.monotonic()
        self._loop = RunLoop(spec, self._emit, idle_servers)
        log.info("run %s begins: session %s, %s", run, spec.session, ", ".join(repr(model) for model in spec.models))
        self.work = asyncio.create_task(self._loop.run(), name=f"run {run}")
        self.work.add_done_callback(self._finish)

    def abort(self) -> None:
        self._aborted = True
        self.work.cancel()

    async def end_silently(self) -> None:
        """End the run without an event, as a crash does: the gateway finds the run lost."""
        self._silent = True
        self.work.cancel()
        await asyncio.wait({self.work})

    async def _emit(self, what: Happening) -> None:
        self._append(what)
        await self.backlog.wait_for_room()

    def _append(self, what: Happening) -> None:
        if isinstance(what, Started):
            log.info("run %s asks %s/%s, try %d", self.id, what.provider, what.model, what.attempt)
        self.backlog.append(what)
        self._on_event(self)

    def _finish(self, work: asyncio.Task[Ended]) -> None:
        """Append the end of the run, whatever breaks here: the gateway would wait for ever for a run without an end."""
        try:
            if self._silent:
                return
            ended = self._ended(work)
            self._append_leftovers(ended)
            self._append(msgspec.structs.replace(ended, usage=self._loop.usage))
            why = f": {ended.failure.message}" if ended.failure else ""
            tokens, took = self._loop.usage.total, time.monotonic() - self._begun
            log.info("run %s %s after %.1f s, %d tokens%s", self.id, ended.status, took, tokens, why)
        except Exception as error:
            broken = self._record_breakage(error)
            if not self.backlog.ended:
                self.backlog.append(broken)
            self._on_event(self)

    def _append_leftovers(self, ended: Ended) -> None:
        """A leftover that cannot be encoded is lost; the end of the run is still told."""
        try:
            for what in self._loop.leftovers(ended):
                self._append(what)
        except Exception as error:
            self._record_breakage(error)

    def _ended(self, work: asyncio.Task[Ended]) -> Ended:
        error = None if work.cancelled() else work.exception()
        if work.cancelled() or (self._aborted and error is not None):
            return Ended("aborted", "aborted")
        if error is None:
            return work.result()
        if isinstance(error, Failed):
            return Ended("failed", "error", error.failure)
        if isinstance(error, ImportError):
            log.error("run %s: %s", self.id, error)
            return Ended("failed", "error", Failure("internal", f"{PROGRAM_REPLACED} ({error}).", retryable=True))
        return self._record_breakage(error)

    def _record_breakage(self, error: BaseException) -> Ended:
        broke = f"the agent broke on {type(error).__name__}; its log says where."
        log.error("run %s: %s", self.id, broke, exc_info=error)
        return Ended("failed", "error", Failure("internal", broke))


class TooManyRuns(Exception):
    """The agent has MAX_RUNS runs already."""


class AgentRuns:
    """Runs by their ids. Calls `on_event` for each event, and `on_change` when a run begins or is forgotten."""

    def __init__(self, on_event: Callable[[AgentRun], None], on_change: Callable[[], None]) -> None:
        self._runs: dict[str, AgentRun] = {}
        self._idle_servers = IdleServers()
        self._on_event = on_event
        self._on_change = on_change

    def __len__(self) -> int:
        return len(self._runs)

    def ids(self) -> list[str]:
        return list(self._runs)

    def get(self, run: str) -> AgentRun | None:
        return self._runs.get(run)

    def start(self, run: str, spec: Spec) -> AgentRun:
        """Return the run of this id, and begin it if there is none. Raises TooManyRuns."""
        if (there := self._runs.get(run)) is not None:
            return there
        if len(self._runs) >= MAX_RUNS:
            raise TooManyRuns
        self._runs[run] = begun = AgentRun(run, spec, self._on_event, self._idle_servers)
        self._on_change()
        return begun

    def ack(self, run: str, seq: int) -> None:
        """Drop the events up to `seq`, and with the last event the run."""
        if (there := self._runs.get(run)) is not None:
            there.backlog.ack(seq)
            if there.backlog.done:
                self._forget(run)

    def discard(self, run: str) -> None:
        """End a run that no gateway waits for, and drop its events."""
        self._runs[run].abort()
        self._idle_servers.track_ending(self._runs[run].work)
        self._forget(run)

    async def end_all(self) -> None:
        """End all runs without an event, and wait for the ends of their MCP servers."""
        await asyncio.gather(*(run.end_silently() for run in self._runs.values()))
        await self._idle_servers.end_all()

    def _forget(self, run: str) -> None:
        del self._runs[run]
        self._on_change()
