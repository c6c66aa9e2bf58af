"""One MCP server of a conversation, from its start to its end."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

from mcp import Client, MCPError
from mcp.client import session as sdk
from mcp.client.caching import CacheMode
from mcp_types import CONNECTION_CLOSED
from mcp_types import Tool as McpTool

from gateway.agent.mcp import remote, stdio
from gateway.agent.mcp.explanations import Explained, explain
from gateway.link.spec import Server

log = logging.getLogger("agent.tools")

START_S = 60.0
"""Seconds for a start, where the config does not say. `npx` may have to download the server."""
DISCOVER_S = 2.0
"""Seconds for the answer to the SDK's first request, `server/discover`, which many servers do not know.

Some servers do not answer unknown requests: each of their starts took the SDK's ten seconds. A later answer is accepted
too.
"""
CLOSE_S = 5.0
"""Seconds for the end of a connection to a remote server, which may not answer."""
MAX_PAGES = 20
"""Pages of a list of tools that are read after the first."""
MAX_LISTED = 5000
"""Tools of one server that are looked at."""

sdk.DISCOVER_TIMEOUT_SECONDS = DISCOVER_S  # it has no parameter for that


class McpServer:
    """An MCP server and the connection to it. One task opens, uses and closes the connection, as the SDK demands."""

    def __init__(self, server: Server, workspace: str | None) -> None:
        self.server = server
        self.listed: asyncio.Future[list[McpTool]] = asyncio.get_running_loop().create_future()
        """The server's tools, once it has started. Raises Explained if it could not be started."""
        self.listed.add_done_callback(
            lambda listed: listed.cancelled() or listed.exception()
        )  # so that asyncio does not log an exception that is not retrieved
        self._workspace = workspace
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stop = asyncio.Event()
        self._cancelled = False
        self._unanswered = False
        """Whether a call was given up. Its effect, or its answer, may still come."""
        self._process = stdio.ServerOutput()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"MCP server {self.server.name}")
        seconds = self.server.connect_ms / 1000 if self.server.connect_ms else START_S
        self._set_deadline(seconds, "start", "connectionTimeoutMs")

    def close(self) -> asyncio.Task[None] | None:
        self._stop.set()
        if self._task is not None:
            if self._client is None:
                self._cancel()
            elif self.server.command is None:
                asyncio.get_running_loop().call_later(CLOSE_S, self._cancel)
        return self._task

    @property
    def reusable(self) -> bool:
        """Whether another run may use this server."""
        return self._client is not None and not self._unanswered

    def suits(self, server: Server, workspace: str | None) -> bool:
        """Whether this server was started with the same config and workspace."""
        return (self.server, self._workspace) == (server, workspace)

    async def call(self, name: str, args: dict[str, Any]) -> Any:
        client = self._connected()
        self._unanswered = True
        try:
            given = await client.call_tool(name, args)
        except MCPError as error:  # the server's answer, or the end of the connection
            self._unanswered = False
            if self.server.command is not None and error.code == CONNECTION_CLOSED:
                await self._process.wait_for_exit()
            if self._process.exit_message is None:
                raise
            raise Explained(self._process.explain(explain(error))) from error
        self._unanswered = False
        return given

    async def refresh_tools(self) -> list[McpTool]:
        return await _list(self._connected(), "refresh")

    def _connected(self) -> Client:
        if self._client is None:
            raise Explained(self._process.exit_message or f"MCP server {self.server.name} has ended")
        return self._client

    async def _run(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                client = await self._connect(stack)
                if self.server.request_ms:
                    self._set_deadline(self.server.request_ms / 1000, "list its tools", "requestTimeoutMs")
                tools = await _list(client)
                self._set_deadline(None)
                self._client = client
                if not self.listed.done():  # the waiting run may have been cancelled
                    self.listed.set_result(tools)
                await self._stop.wait()
        except Exception as error:
            if self.listed.done():
                log.warning("MCP server %s: %s", self.server.name, explain(error))
            else:
                self.listed.set_exception(Explained(self._process.explain(explain(error))))
        finally:
            self._set_deadline(None)
            self._client = None
            self.listed.cancel()

    async def _connect(self, stack: AsyncExitStack) -> Client:
        server = self.server
        if server.command is not None:
            return await stack.enter_async_context(Client(stdio.connect(server, self._workspace, self._process)))
        if server.url is not None:
            return await remote.connect(stack, server)
        raise Explained(f"mcp.servers.{server.name} has neither a command nor a url")

    def _set_deadline(self, seconds: float | None, what: str = "", key: str = "") -> None:
        """Give up the start after so many seconds, unless another deadline is set before. None: no deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds is not None:
            why = f"it did not {what} in {seconds:g} s (mcp.servers.{self.server.name}.{key})"
            self._timer = asyncio.get_running_loop().call_later(seconds, self._give_up, why)

    def _give_up(self, why: str) -> None:
        """Fail `listed` at once, and begin to end the server, which may take longer."""
        if not self.listed.done():
            self.listed.set_exception(Explained(self._process.explain(why)))
        self._cancel()

    def _cancel(self) -> None:
        """Cancel the task, but only once: a second time would interrupt the end of the process."""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._task.cancel()


async def _list(client: Client, cache: CacheMode = "use") -> list[McpTool]:
    listed = await client.list_tools(cache_mode=cache)
    tools = list(listed.tools)
    for _ in range(MAX_PAGES):
        if listed.next_cursor is None or len(tools) >= MAX_LISTED:
            break
        listed = await client.list_tools(cursor=listed.next_cursor, cache_mode=cache)
        tools += listed.tools
    return tools[:MAX_LISTED]
