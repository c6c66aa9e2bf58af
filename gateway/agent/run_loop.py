"""One run, from its prompt to its end: answers of models, and the tools that they call between them."""

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from gateway.agent import environment
from gateway.agent.attempts import Emit, ModelAttempts
from gateway.agent.echo import Echo
from gateway.agent.mcp.idle import IdleServers
from gateway.agent.turn import results
from gateway.agent.turn.answer import Answer, ToolCall, add_usage
from gateway.agent.turn.failed import Failed, Secrets
from gateway.agent.turn.results import NO_RESULT, Result
from gateway.agent.turn.source import Source
from gateway.link.messages import Ended, Failure, Happening, Said, ToolEnded, ToolStarted, Usage
from gateway.link.spec import Compaction, Message, Model, Spec, spoken
from gateway.machine.clock import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.agent.mcp.tools import Toolbox
    from gateway.agent.window.source import WindowedSource


class RunLoop:
    def __init__(self, spec: Spec, emit: Emit, idle_servers: IdleServers) -> None:
        self._spec = spec
        self._emit = emit
        self._idle_servers = idle_servers
        self._attempts = ModelAttempts(spec, emit, self._source_for)
        self._windowed: WindowedSource | None = None
        self._tools: Toolbox | None = None
        self._calls: list[ToolCall] = []
        """The calls of the last answer that have no result yet."""
        self._note_count = 0
        self._call_running = False
        """Whether the first of `_calls` has begun."""
        self._slow_servers: set[str] = set()
        """MCP servers whose slow start was announced and has not ended."""
        self.secrets = Secrets(spec)
        self.usage = Usage()

    async def run(self) -> Ended:
        """Take turns until the run ends, or sum up the conversation. Raises Failed."""
        seconds = self._spec.bounds.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds) as patience:
                compaction = self._spec.compaction
                return await (self._sum_up(compaction) if compaction and compaction.only else self._take_turns())
        except TimeoutError:
            assert patience.expired(), "every other time-out is a failure of its own"
            raise Failed(Failure("timeout", f"the run has taken longer than its {seconds:g} s.")) from None
        finally:
            if self._tools is not None:
                self._tools.close()

    def leftovers(self, ended: Ended) -> list[Happening]:
        """The events that must precede the end: the begun answer is kept, and every call gets a result."""
        left: list[Happening] = []
        answer = self._attempts.partial
        if answer is not None and answer.begun:
            answer.stop_reason = ended.stop_reason
            self.usage = add_usage(self.usage, answer.usage)
            left.append(Said(answer.message(error=ended.failure.message if ended.failure else None)))
        left += [ToolEnded(f"mcp-{server}", server, False, NO_RESULT) for server in sorted(self._slow_servers)]
        if self._call_running:
            left.append(ToolEnded(self._calls[0].id, self._calls[0].name, False, NO_RESULT))
        left += [Said(_tool_message(call, results.error(NO_RESULT))) for call in self._calls]
        return left

    async def _take_turns(self) -> Ended:
        for _ in range(self._spec.bounds.turns):
            answer = await self._attempts.answer()
            self.usage = add_usage(self.usage, answer.usage)
            self._calls = list(answer.calls)
            await self._emit(Said(answer.message()))
            if not answer.calls:
                return Ended("done", answer.stop_reason, usage=self.usage)
            await self._run_tools(answer)
        raise Failed(Failure("limit", f"the model has not come to an end in {self._spec.bounds.turns} turns."))

    async def _sum_up(self, how: Compaction) -> Ended:
        """Sum up the conversation, and answer nothing. Raises Failed."""
        if how.models and how.models[0].api == "builtin":
            raise Failed(Failure("config", "the built-in echo cannot sum up a conversation."))
        source = await self._windowed_source()
        said: Message | None = None
        async with aclosing(source.sum_up(how.models[0])) as happenings:
            async for what in happenings:
                said = what.message if isinstance(what, Said) else said
                await self._emit(what)
        if self._spec.prompt:
            done = "nothing to sum up" if said is None else f"{said['tokensBefore']} → {said['tokensAfter']} tokens"
            await self._emit(Said(spoken(f"Compacted: {done}.", now_ms())))
        return Ended("done")

    async def _run_tools(self, answer: Answer) -> None:
        """Call the tools one after another: a model that makes two calls at once may mean them in their order."""
        source = await self._source_for(answer.model)
        while self._calls:
            call = self._calls[0]
            self._call_running = True
            await self._emit(ToolStarted(call.id, call.name, call.args or {}))
            tools, model = self._tools, answer.model
            result = await tools.call(call, model) if tools else results.error(f"There is no tool {call.name}.")
            source.add_result(call, result.blocks, ok=result.ok)
            del self._calls[0]
            self._call_running = False
            await self._emit(ToolEnded(call.id, call.name, result.ok, result.text))
            await self._emit(Said(_tool_message(call, result)))

    async def _source_for(self, model: Model) -> Source:
        return Echo(self._spec.prompt) if model.api == "builtin" else await self._windowed_source()

    async def _windowed_source(self) -> "WindowedSource":
        if self._windowed is None:
            make_source, forget_clients = await _imported_source()
            if environment.adopt(self._spec.environment):
                forget_clients()
            system = self._spec.system
            if self._spec.servers or self._spec.unusable:
                system += await self._open_tools()
            offered = self._tools.offered if self._tools else lambda model: []
            self._windowed = make_source(self._spec, system, offered, self.secrets, self._report)
        return self._windowed

    async def _open_tools(self) -> str:
        """Start the MCP servers. Return what the model is told of missing ones; the user sees a failed tool."""
        make_toolbox = await asyncio.to_thread(_import_tools)
        tools = self._tools = make_toolbox(self._spec, self.secrets, self._idle_servers)
        await tools.open(self._announce_slow_start)
        notes = ""
        for note in tools.notes:
            if not note.once or self._idle_servers.is_new(self._spec.conversation, note.text):
                await self._report(note.server, note.text, ok=note.ok)
            if note.for_model:
                notes += f"\n\n{note.text} If one of its tools would be needed, say so."
        return notes

    async def _announce_slow_start(self, server: str) -> None:
        self._slow_servers.add(server)
        await self._emit(ToolStarted(f"mcp-{server}", server, {"waiting for": "its start"}, acts=False))

    async def _report(self, server: str, text: str, *, ok: bool = False) -> None:
        """Tell of a server by a pair of events like a tool's: clients show only what they know the beginning of."""
        if server in self._slow_servers:
            self._slow_servers.discard(server)
            call = f"mcp-{server}"
        else:
            self._note_count += 1
            call = f"mcp-{server}-{self._note_count}" if self._note_count > 1 else f"mcp-{server}"
            await self._emit(ToolStarted(call, server, {}, acts=False))
        await self._emit(ToolEnded(call, server, ok, text))


_source: "tuple[Callable[..., WindowedSource], Callable[[], None]] | None" = None
"""What `_import_source` has returned."""


async def _imported_source() -> "tuple[Callable[..., WindowedSource], Callable[[], None]]":
    global _source
    if _source is None:
        # The import takes seconds on a small machine, and the link must stay alive meanwhile.
        _source = await asyncio.to_thread(_import_source)
    return _source


def _import_source() -> "tuple[Callable[..., WindowedSource], Callable[[], None]]":
    from gateway.agent.window.source import forget_clients, make_source

    return make_source, forget_clients


def _import_tools() -> "type[Toolbox]":
    from gateway.agent.mcp.tools import Toolbox

    return Toolbox


def _tool_message(call: ToolCall, result: Result) -> Message:
    return {
        "role": "toolResult",
        "toolCallId": call.id,
        "toolName": call.name,
        "content": result.blocks,
        "isError": not result.ok,
        "timestamp": now_ms(),
    }
