"""The MCP servers of one run: started with its first question to a real model, and left for the next run of the same
conversation, if there is one.

Through the MCP SDK's own client, on which pydantic-ai's toolset stands as well (through one more library, which would
cost a second and 40 MB at its import and keep the processes out of reach). A server that cannot be started leaves a
sentence in `missing`, and the run goes on without its tools.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from mcp import Client, MCPError
from mcp.client.caching import CacheMode
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import Tool as McpTool

from gateway.agent import results, stdio
from gateway.agent.answer import Call
from gateway.agent.behind import Behind, Key
from gateway.agent.failed import Secrets, quote
from gateway.agent.results import Result
from gateway.agent.source import Tool
from gateway.link.messages import Server, Spec

log = logging.getLogger("agent.tools")

START_S = 60.0
"""For one server; `npx` may have to download it."""
AGAIN_S = 5.0
"""For one that runs already, to list its tools again; if it does not, another one is started."""
MAX_TOOLS = 128
"""In one run: OpenAI takes no more."""
MAX_PAGES = 20
"""Of one server's list of tools."""
MAX_NAME = 64
"""Characters, of a tool as a model gets it."""
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class _Place(NamedTuple):
    """Where a tool is to be had."""

    server: "_Running"
    name: str


class Missing(NamedTuple):
    """A server that could not be started, and why."""

    server: str
    why: str


class Toolbox:
    def __init__(self, spec: Spec, secrets: Secrets, behind: Behind) -> None:
        self._spec = spec
        self._call_s = spec.bounds.tool_ms / 1000
        self._secrets = secrets
        self._behind = behind
        self._running: list[_Running] = []
        self._places: dict[str, _Place] = {}
        self.tools: list[Tool] = []
        self.missing: list[Missing] = []

    async def open(self) -> None:
        """Returns when each server is there, or has failed to start."""
        servers = self._spec.servers
        found = await asyncio.gather(*map(self._open, servers), return_exceptions=True)
        for server, listed in zip(servers, found, strict=True):
            if isinstance(listed, BaseException):
                why = self._secrets.hide(_explain(listed))
                log.warning("MCP server %s is not to be had: %s", server.name, why)
                self.missing.append(Missing(server.name, why))
            else:
                self._add(*listed)

    async def call(self, call: Call) -> Result:
        """Never raises: what goes wrong is a result that the model reads."""
        place = self._places.get(call.name)
        if place is None:
            return results.error(f"There is no tool {call.name}.")
        if call.args is None:
            return results.error(f"The arguments for {call.name} are not a JSON object.")
        try:
            async with asyncio.timeout(self._call_s) as patience:
                given = await place.server.call(place.name, call.args)
        except TimeoutError as error:
            why = f"has given nothing in {self._call_s:g} s" if patience.expired() else _explain(error)
            return results.error(f"{call.name} {why}.")
        except Exception as error:
            return results.error(f"{call.name} failed: {self._secrets.hide(_explain(error))}")
        content = [block.model_dump(mode="json", by_alias=True) for block in given.content]
        return results.of_content(content, given.structured_content, ok=not given.is_error)

    def close(self) -> None:
        """Leave the servers to the next run, and end those that cannot be left."""
        for running in self._running:
            if self._spec.conversation and running.good:
                self._behind.keep(self._key(running.server), running)
            else:
                self._behind.end(running.close())

    async def _open(self, server: Server) -> tuple["_Running", list[McpTool]]:
        """Raises what keeps it from starting."""
        if (running := self._behind.take(self._key(server))) is not None:
            assert isinstance(running, _Running)
            self._running.append(running)
            if running.suits(server, self._spec.workspace) and (listed := await self._list_again(running)) is not None:
                return running, listed
            self._running.remove(running)
            self._behind.end(running.close())
        self._running.append(running := _Running(server, self._spec.workspace))
        running.start()
        return running, await running.listed

    async def _list_again(self, running: "_Running") -> list[McpTool] | None:
        """The tools of one that another run has left, which may have ended since: None."""
        try:
            async with asyncio.timeout(AGAIN_S):
                return await running.list_again()
        except Exception as error:
            log.info("MCP server %s is started anew: %s", running.server.name, self._secrets.hide(_explain(error)))
            return None

    def _key(self, server: Server) -> Key:
        return self._spec.conversation, server.name

    def _add(self, running: "_Running", listed: list[McpTool]) -> None:
        for tool in listed:
            if len(self.tools) >= MAX_TOOLS:
                self.missing.append(Missing(running.server.name, f"a run has at most {MAX_TOOLS} tools"))
                return
            name = unique_name(running.server.name, tool.name, self._places)
            self._places[name] = _Place(running, tool.name)
            self.tools.append(Tool(name, tool.description or "", tool.input_schema))


class _Running:
    """One server. All that concerns its connection happens in one task, as the SDK wants it."""

    def __init__(self, server: Server, workspace: str | None) -> None:
        self.server = server
        self.listed: asyncio.Future[list[McpTool]] = asyncio.get_running_loop().create_future()
        """Its tools, once it has started."""
        self.listed.add_done_callback(lambda listed: listed.cancelled() or listed.exception())  # asked for or not
        self._workspace = workspace
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._unanswered = False
        """A call has been given up: what it does, or its answer, may come yet."""
        self._words: list[str] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._live(), name=f"MCP server {self.server.name}")

    def close(self) -> asyncio.Task[None] | None:
        self._stop.set()
        if self._task is not None and self._client is None:
            self._task.cancel()
        return self._task

    @property
    def good(self) -> bool:
        """For another run."""
        return self._client is not None and not self._unanswered

    def suits(self, server: Server, workspace: str | None) -> bool:
        """Whether it is what a run wants that starts now."""
        return (self.server, self._workspace) == (server, workspace)

    async def call(self, name: str, args: dict[str, Any]) -> Any:
        client = self._connected()
        self._unanswered = True
        try:
            given = await client.call_tool(name, args)
        except MCPError:  # which is an answer
            self._unanswered = False
            raise
        self._unanswered = False
        return given

    async def list_again(self) -> list[McpTool]:
        return await _list(self._connected(), "refresh")

    def _connected(self) -> Client:
        if self._client is None:
            raise ConnectionError(f"MCP server {self.server.name} has ended")
        return self._client

    async def _live(self) -> None:
        try:
            async with asyncio.timeout(START_S) as patience, self._connect() as client:
                tools = await _list(client)
                patience.reschedule(None)
                self._client = client
                if not self.listed.done():  # whoever waited may have been cancelled
                    self.listed.set_result(tools)
                await self._stop.wait()
        except Exception as error:
            if self.listed.done():
                log.warning("MCP server %s: %s", self.server.name, _explain(error))
            else:
                self.listed.set_exception(ConnectionError(self._why(error)))
        finally:
            self._client = None
            self.listed.cancel()

    def _connect(self) -> Client:
        server = self.server
        if server.command is not None:
            return Client(stdio.connect(server, self._workspace, self._words))
        if server.url is not None:
            return Client(_over_http(server))
        raise ValueError(f"mcp.servers.{server.name} has neither a command nor a url")

    def _why(self, error: Exception) -> str:
        """Why it did not start, with the last words of a process."""
        if isinstance(error, TimeoutError):
            return f"it did not start in {START_S:g} s"
        why = _explain(error)
        return f"{why}; its last words: {self._words[-1]}" if self._words else why


async def _list(client: Client, cache: CacheMode = "use") -> list[McpTool]:
    listed = await client.list_tools(cache_mode=cache)
    tools = list(listed.tools)
    for _ in range(MAX_PAGES):
        if listed.next_cursor is None:
            break
        listed = await client.list_tools(cursor=listed.next_cursor, cache_mode=cache)
        tools += listed.tools
    return tools


@asynccontextmanager
async def _over_http(server: Server) -> AsyncIterator[Any]:
    assert server.url is not None
    async with (
        create_mcp_http_client(headers=dict(server.headers)) as http,
        streamable_http_client(server.url, http_client=http) as streams,
    ):
        yield streams


def unique_name(server: str, tool: str, taken: Any) -> str:
    """`server__tool` in the letters that every provider takes."""
    name = _NOT_IN_NAMES.sub("_", f"{server}__{tool}")
    if len(name) > MAX_NAME or name in taken:
        name = f"{name[: MAX_NAME - 9]}_{hashlib.sha256(f'{server} {tool}'.encode()).hexdigest()[:8]}"
    return name


def _explain(error: BaseException) -> str:
    """The first error inside a group of them, in a sentence."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case FileNotFoundError():
            return f"{error.filename} is not there"
        case OSError():
            return f"{error.strerror or error}"
    return quote(str(error)) or type(error).__name__
