"""An MCP server that is reached by a URL: by streamable HTTP, or by the older HTTP+SSE transport.

A URL alone does not say which. Then streamable HTTP is tried first, and SSE where the server refuses it, as MCP's
specification wants it of clients that speak both.
"""

import os.path
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from gateway.agent.mcp import bodies
from gateway.agent.mcp.explanations import Explained, explain
from gateway.agent.mcp.tool_lists import MendedStream
from gateway.link.spec import Server

CONNECT_S = 10.0
"""Seconds for one TCP connection."""
QUIET_S = 3600.0
"""Seconds for which an idle stream may be silent."""
TRANSPORT_STATUSES = frozenset((400, 404, 405, 406, 410, 415, 501))
"""Statuses by which a server refuses the transport. Other statuses refuse the client, whatever the transport."""


async def connect(stack: AsyncExitStack, server: Server) -> Client:
    """Connect to the server. Raises Explained with the server's answer if it cannot be connected."""
    kinds = [server.transport] if server.transport else ["streamable-http", "sse"]
    said: list[str] = []
    while True:
        kind, *kinds = kinds
        answers = _Answers()
        try:
            streams = _streamable(server, answers) if kind == "streamable-http" else _sse(server, answers)
            return await stack.enter_async_context(Client(_mended_streams(streams)))
        except Exception as error:
            said.append(answers.explain(error))
            if not kinds or answers.status not in TRANSPORT_STATUSES:
                words = said[0] if len(said) == 1 else f"streamable HTTP: {said[0]}; SSE: {said[1]}"
                raise Explained(words) from error


@asynccontextmanager
async def _mended_streams(streams: Any) -> AsyncIterator[Any]:
    async with streams as (incoming, outgoing):
        yield MendedStream(incoming), outgoing


class _Answers:
    """Statuses of the server's answers, which the SDK's errors do not carry."""

    def __init__(self) -> None:
        self.status: int | None = None
        """Status of the last answer that was an error."""
        self.redirect: str | None = None
        """URL of the last redirect, without its query."""

    async def note(self, response: httpx2.Response) -> None:
        if response.status_code >= 400:
            self.status = response.status_code
        elif response.status_code >= 300:
            self.redirect = response.headers.get("location", "").partition("?")[0]

    def explain(self, error: BaseException) -> str:
        if self.redirect and self.status is None:
            return f"it sends on to {self.redirect}; set the url to that"
        status = {401: " (HTTP 401: it wants a token in headers.Authorization)"}.get(self.status or 0)
        words = explain(error)
        return f"{words}{status or (f' (HTTP {self.status})' if self.status else '')}"


@asynccontextmanager
async def _streamable(server: Server, answers: _Answers) -> AsyncIterator[Any]:
    assert server.url is not None
    async with (
        _http(server, answers, headers=dict(server.headers)) as http,
        streamable_http_client(server.url, http_client=http, max_sse_event_size=bodies.MAX_LINE) as streams,
    ):
        yield streams


def _sse(server: Server, answers: _Answers) -> Any:
    assert server.url is not None

    def factory(headers: Any = None, timeout: Any = None, auth: Any = None) -> httpx2.AsyncClient:
        return _http(server, answers, headers=headers)

    return sse_client(server.url, dict(server.headers), httpx_client_factory=factory)


def _http(server: Server, answers: _Answers, headers: dict[str, str]) -> httpx2.AsyncClient:
    timeout = httpx2.Timeout(CONNECT_S, read=QUIET_S)  # each request has a bound of its own
    hooks = {"response": [answers.note, bodies.mend_body]}
    headers = {"accept-encoding": "identity", **headers}  # a compressed body is not mended
    return httpx2.AsyncClient(headers=headers, timeout=timeout, verify=_trust(server), event_hooks=hooks)


def _trust(server: Server) -> ssl.SSLContext | bool:
    """What httpx2 takes for `verify`. Raises Explained for a client certificate that cannot be used."""
    if not (server.url or "").startswith("https:") or (server.verify and not server.client_cert):
        return True
    context = httpx2.create_ssl_context(verify=server.verify)
    if server.client_cert:
        files = [os.path.expanduser(path) for path in (server.client_cert, server.client_key) if path]
        try:
            context.load_cert_chain(*files)
        except (OSError, ssl.SSLError) as error:
            key = f"mcp.servers.{server.name}.clientCert"
            raise Explained(f"{key} cannot be used: {error.strerror or error}: {' with '.join(files)}") from error
    return context
