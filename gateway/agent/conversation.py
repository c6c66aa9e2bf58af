"""One run, from its prompt to its end: answers of models, and the tools that they call between them."""

import asyncio
import importlib
import time
from typing import TYPE_CHECKING

from gateway.agent import results
from gateway.agent.answer import Answer, Call, add
from gateway.agent.asking import Asking, Emit
from gateway.agent.behind import Behind
from gateway.agent.echo import Echo
from gateway.agent.failed import Failed, Secrets
from gateway.agent.results import Result
from gateway.agent.source import Source
from gateway.link.messages import (
    Ended,
    Failure,
    Happening,
    Message,
    Model,
    Said,
    Spec,
    ToolEnded,
    ToolStarted,
    Usage,
)

if TYPE_CHECKING:
    from gateway.agent.models import Models
    from gateway.agent.tools import Toolbox

NO_RESULT = "There is no result: the run ended before."


class Conversation:
    def __init__(self, spec: Spec, emit: Emit, behind: Behind) -> None:
        self._spec = spec
        self._emit = emit
        self._behind = behind
        self._asking = Asking(spec, emit, self._source)
        self._models: Models | None = None
        self._tools: Toolbox | None = None
        self._calls: list[Call] = []
        """Of the last answer, those without a result."""
        self._running = False
        """Whether the first of them has begun."""
        self.secrets = Secrets(spec)
        self.usage = Usage()

    async def hold(self) -> Ended:
        """Raises Failed."""
        seconds = self._spec.bounds.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds) as patience:
                return await self._take_turns()
        except TimeoutError:
            assert patience.expired(), "every other time-out is a failure of its own"
            raise Failed(Failure("timeout", f"the run has taken longer than its {seconds:g} s.")) from None
        finally:
            if self._tools is not None:
                self._tools.close()

    def leftovers(self, ended: Ended) -> list[Happening]:
        """What has to be said before the end, so that nothing said is lost and no call is without a result."""
        left: list[Happening] = []
        answer = self._asking.partial
        if answer is not None and answer.begun:
            answer.stop_reason = ended.stop_reason
            self.usage = add(self.usage, answer.usage)
            left.append(Said(answer.message(error=ended.failure.message if ended.failure else None)))
        if self._running:
            left.append(ToolEnded(self._calls[0].id, self._calls[0].name, False, NO_RESULT))
        left += [Said(_tool_message(call, results.error(NO_RESULT))) for call in self._calls]
        return left

    async def _take_turns(self) -> Ended:
        for _ in range(self._spec.bounds.turns):
            answer = await self._asking.answer()
            self.usage = add(self.usage, answer.usage)
            self._calls = list(answer.calls)
            await self._emit(Said(answer.message()))
            if not answer.calls:
                return Ended("done", answer.stop_reason, usage=self.usage)
            await self._run_tools(answer)
        raise Failed(Failure("limit", f"the model has not come to an end in {self._spec.bounds.turns} turns."))

    async def _run_tools(self, answer: Answer) -> None:
        """One after another, because a model that asks for two things at once may mean them in their order."""
        source = await self._source(answer.model)
        while self._calls:
            call = self._calls[0]
            self._running = True
            await self._emit(ToolStarted(call.id, call.name, call.args or {}))
            result = await self._tools.call(call) if self._tools else results.error(f"There is no tool {call.name}.")
            source.add_result(call, result.blocks, ok=result.ok)
            del self._calls[0]
            self._running = False
            await self._emit(ToolEnded(call.id, call.name, result.ok, result.text))
            await self._emit(Said(_tool_message(call, result)))

    async def _source(self, model: Model) -> Source:
        if model.api == "builtin":
            return Echo(self._spec.prompt)
        if self._models is None:
            # Seconds of work on a small machine, in which the link must stay alive.
            module = await asyncio.to_thread(importlib.import_module, "gateway.agent.models")
            system = self._spec.system
            if self._spec.servers:
                system += await self._open_tools()
            self._models = module.Models(self._spec, system, self._tools.tools if self._tools else [], self.secrets)
        assert self._models is not None
        return self._models

    async def _open_tools(self) -> str:
        """What the model must know of servers that are missing; the user sees it as a tool's failure."""
        module = await asyncio.to_thread(importlib.import_module, "gateway.agent.tools")
        self._tools = tools = module.Toolbox(self._spec, self.secrets, self._behind)
        await tools.open()
        notes = ""
        for server, why in tools.missing:
            sentence = f"The MCP server {server} could not be used: {why}."
            await self._emit(ToolEnded(f"mcp-{server}", server, False, sentence))
            notes += f"\n\n{sentence} If one of its tools would be needed, say so."
        return notes


def _tool_message(call: Call, result: Result) -> Message:
    return {
        "role": "toolResult",
        "toolCallId": call.id,
        "toolName": call.name,
        "content": result.blocks,
        "isError": not result.ok,
        "timestamp": int(time.time() * 1000),
    }
