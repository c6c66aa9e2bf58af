"""The MCP servers of one run.

They are started with the run's first request to a real model, and parked for the next run of the same conversation.
The MCP SDK's own client is used. pydantic-ai's toolset uses it too, through one more library, which costs a second and
40 MB at its import and hides the processes. A server that cannot be started leaves a sentence in `notes`, and the run
goes on without its tools.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from mcp_types import Tool as McpTool

from gateway.agent.mcp.explanations import explain
from gateway.agent.mcp.idle import IdleServers, Key
from gateway.agent.mcp.names import ToolNames
from gateway.agent.mcp.policy import forbidding, passes_filter, unmatched_patterns
from gateway.agent.mcp.schemas import LEFT_OUT
from gateway.agent.mcp.server import McpServer
from gateway.agent.turn import results
from gateway.agent.turn.answer import ToolCall
from gateway.agent.turn.failed import Secrets
from gateway.agent.turn.results import Result
from gateway.agent.turn.source import Tool
from gateway.link.spec import Model, Server, Spec

log = logging.getLogger("agent.tools")

REFRESH_S = 5.0
"""Seconds for a parked server to list its tools again. After that another one is started."""
SLOW_S = 5.0
"""Seconds after which a start is announced as slow."""
MAX_TOOLS = 128
"""Tools of one request: OpenAI takes no more."""
MAX_NAMED = 5
"""Tools that one sentence names."""

OnSlowStart = Callable[[str], Awaitable[None]]
"""Called with the name of a server whose start is slow."""


class _ToolPlace(NamedTuple):
    """The server that has a tool, and the tool's name there."""

    server: McpServer
    name: str


class Note(NamedTuple):
    """A sentence about a server, for the user."""

    server: str
    text: str
    ok: bool = False
    for_model: bool = False
    """Whether the model is told as well: the user may ask for tools that are missing."""
    once: bool = True
    """Whether the user is told only once in a conversation."""


class Toolbox:
    def __init__(self, spec: Spec, secrets: Secrets, idle_servers: IdleServers) -> None:
        self._spec = spec
        self._secrets = secrets
        self._idle_servers = idle_servers
        self._servers: list[McpServer] = []
        self._places: dict[str, _ToolPlace] = {}
        self._names = ToolNames()
        self._slow_seconds: dict[str, float] = {}
        """Seconds that the starts of slow servers took."""
        self.tools: list[Tool] = []
        """All tools of the run. The config may forbid a model some of them."""
        self.notes: list[Note] = []

    async def open(self, slow: OnSlowStart | None = None) -> None:
        """Start the servers. Returns when each has started, or failed to."""
        for name, why in self._spec.unusable.items():
            self.notes.append(Note(name, f"The MCP server {name} could not be used: {why}.", for_model=True))
        servers = self._spec.servers
        found = await asyncio.gather(*(self._open(server, slow) for server in servers), return_exceptions=True)
        for server, listed in zip(servers, found, strict=True):
            if isinstance(listed, BaseException):
                why = self._secrets.hide(explain(listed))
                log.warning("MCP server %s is not to be had: %s", server.name, why)
                text = f"The MCP server {server.name} could not be used: {why}."
                self.notes.append(Note(server.name, text, for_model=True, once=False))
            else:
                if (seconds := self._slow_seconds.get(server.name)) is not None:
                    text = f"The MCP server {server.name} has started after {seconds:.0f} s."
                    self.notes.append(Note(server.name, text, ok=True, once=False))
                self._add_tools(*listed)
        self._note_surplus()

    def offered(self, model: Model) -> list[Tool]:
        """The tools that the config lets a model call, up to MAX_TOOLS."""
        return self._allowed(model)[:MAX_TOOLS]

    async def call(self, call: ToolCall, model: Model) -> Result:
        """Call a tool. A failure is not raised, but returned as a result for the model."""
        place = self._places.get(call.name)
        if place is not None and (key := forbidding(model.tools, call.name)):
            return results.error(f"The tool {call.name} is not allowed: see {key} in openclaw.json.")
        if place is None or call.name not in {tool.name for tool in self.offered(model)}:
            return results.error(f"There is no tool {call.name}.")
        if call.args is None:
            return results.error(f"The arguments for {call.name} are not a JSON object.")
        seconds = (place.server.server.request_ms or self._spec.bounds.tool_ms) / 1000
        try:
            async with asyncio.timeout(seconds) as patience:
                given = await place.server.call(place.name, call.args)
        except TimeoutError as error:
            why = f"has given nothing in {seconds:g} s" if patience.expired() else explain(error)
            return results.error(f"{call.name} {why}.")
        except Exception as error:
            return results.error(f"{call.name} failed: {self._secrets.hide(explain(error))}")
        content = [block.model_dump(mode="json", by_alias=True) for block in given.content]
        return results.from_content(content, given.structured_content, ok=not given.is_error)

    def close(self) -> None:
        """Park the servers for the next run, and end those that cannot be reused."""
        for running in self._servers:
            if self._spec.conversation and running.reusable:
                self._idle_servers.park(self._key(running.server), running)
            else:
                self._idle_servers.track_ending(running.close())

    async def _open(self, server: Server, slow: OnSlowStart | None) -> tuple[McpServer, list[McpTool]]:
        """Reclaim or start a server, and list its tools. Raises Explained if it cannot be started."""
        if (running := self._idle_servers.reclaim(self._key(server))) is not None:
            assert isinstance(running, McpServer)
            self._servers.append(running)
            if (
                running.suits(server, self._spec.workspace)
                and (listed := await self._refresh_tools(running)) is not None
            ):
                return running, listed
            self._servers.remove(running)
            self._idle_servers.track_ending(running.close())
        self._servers.append(running := McpServer(server, self._spec.workspace))
        running.start()
        begun = time.monotonic()
        if not (await asyncio.wait({running.listed}, timeout=SLOW_S))[0]:
            log.warning("MCP server %s has not started in %g s; it is waited for", server.name, SLOW_S)
            if slow is not None:
                await slow(server.name)
            await asyncio.wait({running.listed})
            self._slow_seconds[server.name] = time.monotonic() - begun
            log.info("MCP server %s: the wait is over after %.0f s", server.name, self._slow_seconds[server.name])
        return running, await running.listed

    async def _refresh_tools(self, running: McpServer) -> list[McpTool] | None:
        """The tools of a parked server; None if it has ended or does not answer."""
        try:
            async with asyncio.timeout(REFRESH_S):
                return await running.refresh_tools()
        except Exception as error:
            log.info("MCP server %s is started anew: %s", running.server.name, self._secrets.hide(explain(error)))
            return None

    def _key(self, server: Server) -> Key:
        return self._spec.conversation, server.name

    def _add_tools(self, running: McpServer, listed: list[McpTool]) -> None:
        server, left_out = running.server, []
        for pattern in unmatched_patterns(server, [tool.name for tool in listed]):
            key = f"mcp.servers.{server.name}.toolFilter.include"
            text = f"{key} has {pattern!r}, which matches none of the tools that the server gives."
            log.warning("%s", text)
            self.notes.append(Note(server.name, text))
        counts = Counter(tool.name for tool in listed)
        for tool in listed:
            if not passes_filter(server, tool.name):
                continue
            wrong = tool.input_schema.get(LEFT_OUT)
            if counts[tool.name] > 1:
                wrong = "the server has several of that name"
            if wrong is not None:
                left_out.append((tool.name, wrong))
                continue
            name = self._names.unique(server.prefix or server.name, tool.name)
            self._places[name] = _ToolPlace(running, tool.name)
            self.tools.append(Tool(name, tool.description or "", tool.input_schema))
        if left_out:
            text = f"Of the MCP server {server.name} these tools are left out: {_list_left_out(left_out)}."
            log.warning("%s", text)
            self.notes.append(Note(server.name, text, for_model=True))

    def _allowed(self, model: Model) -> list[Tool]:
        return [tool for tool in self.tools if forbidding(model.tools, tool.name) is None]

    def _note_surplus(self) -> None:
        """Note the tools that the first model does not get because they are too many."""
        if not self._spec.models:
            return  # then the run fails anyway
        allowed = self._allowed(self._spec.models[0])
        surplus = Counter(self._places[tool.name].server.server.name for tool in allowed[MAX_TOOLS:])
        every = Counter(self._places[tool.name].server.server.name for tool in allowed)
        for server, count in surplus.items():
            text = (
                f"Of the {every[server]} tools of the MCP server {server} the first {every[server] - count} are used: "
                f"a model gets at most {MAX_TOOLS}. Choose them with mcp.servers.{server}.toolFilter."
            )
            log.warning("%s", text)
            self.notes.append(Note(server, text))


def _list_left_out(left_out: list[tuple[str, str]]) -> str:
    shown = [f"{name[:80]} ({why})" for name, why in left_out[:MAX_NAMED]]
    more = [f"and {len(left_out) - MAX_NAMED} more"] if len(left_out) > MAX_NAMED else []
    return ", ".join(shown + more)
