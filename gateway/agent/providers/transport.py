"""The HTTP transport between the libraries and the providers: the one place where bytes come in.

A library's client sends through `ModelTransport`, which knows the model that is asked. The pools of
connections below it are shared.
"""

import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from functools import lru_cache
from pathlib import Path

import httpx2
import msgspec
from pydantic_ai.models import create_async_httpx2_client, get_user_agent

from gateway.agent.providers import ollama, requests
from gateway.agent.providers.bypass import current_bypass
from gateway.agent.providers.closing import note_response
from gateway.agent.providers.dialects import Dialect, GarbledEvent
from gateway.agent.providers.events import EventReader
from gateway.agent.providers.requests import encode_body
from gateway.agent.turn.failed import Failed
from gateway.link.messages import Failure
from gateway.link.spec import Api, Model, Route, Tls

CONNECT_S = 10.0
"""Seconds for opening a connection."""
MAX_POOLS = 16
"""Pools of connections that are kept. Each provider with a `request` section of its own has one."""
DEFAULT_ROUTE = Route()
MAX_RESPONSE = 64 * 1024 * 1024
"""Bytes of one answer, decoded."""


class NotAnAnswer(httpx2.TransportError):
    """The provider has answered something that its protocol does not have."""


def make_client(model: Model) -> httpx2.AsyncClient:
    """A client for a library, whose requests all go to this model."""
    return create_async_httpx2_client(timeout=_timeout(), transport=ModelTransport(model))


def shared_client(way: Route = DEFAULT_ROUTE) -> httpx2.AsyncClient:
    """The client for all models with this route, so that the next run finds an open connection.

    API keys are in the requests, not in the client. Raises Failed for certificates or a proxy that cannot be used.
    """
    return _pool(msgspec.json.encode(way))


@lru_cache(MAX_POOLS)
def _pool(spelled_way: bytes) -> httpx2.AsyncClient:
    reached = msgspec.json.decode(spelled_way, type=Route)
    if reached == DEFAULT_ROUTE:
        try:
            return create_async_httpx2_client(timeout=_timeout())
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            what = f"a proxy in the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) cannot be used: {error}"
            raise Failed(Failure("config", f"{what}; set it to one of http or https.")) from error
    proxy = None
    if reached.proxy is not None:
        proxy = httpx2.Proxy(reached.proxy, ssl_context=_ssl_context(reached.proxy_tls, "request.proxy.tls"))
    verify = _ssl_context(reached.tls, "request.tls") or True
    return httpx2.AsyncClient(verify=verify, proxy=proxy, timeout=_timeout(), headers={"User-Agent": get_user_agent()})


def forget_pools() -> None:
    """Forget all pools, because the route to the network has changed. Requests under way go on."""
    _pool.cache_clear()


def _ssl_context(tls: Tls, place: str) -> ssl.SSLContext | None:
    if tls == Tls():
        return None
    what = "ca"
    try:
        context = ssl.create_default_context(cadata=tls.ca)
        if tls.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if tls.cert and tls.key:
            what = "the certificate or its key"
            # The library reads certificates only from files.
            with tempfile.TemporaryDirectory() as folder:
                cert, key = Path(folder, "cert"), Path(folder, "key")
                cert.write_text(tls.cert)
                key.touch(0o600)
                key.write_text(tls.key)
                context.load_cert_chain(cert, key, tls.passphrase or "")
    except (OSError, TypeError, ValueError) as error:  # an SSLError is an OSError
        raise Failed(Failure("config", f"{place}: {what} cannot be used: {error}")) from None
    return context


def _timeout() -> httpx2.Timeout:
    return httpx2.Timeout(600, connect=CONNECT_S)


class ModelTransport(httpx2.AsyncBaseTransport):
    def __init__(self, model: Model) -> None:
        self._model = model

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            request = self._adapt(request, await request.aread())
        if (name := self._model.way.tls.server_name) is not None:
            request.extensions["sni_hostname"] = name
        response = await shared_client(self._model.way).send(request, stream=True)
        note_response(response)
        streams = response.is_success and request.method == "POST"
        # The body is passed on decoded.
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _ENCODED]
        stream = _MendedEvents(response, self._model.api) if streams else _BoundedBody(response)
        return httpx2.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)

    def _adapt(self, request: httpx2.Request, written: bytes) -> httpx2.Request:
        """The request as this model's server wants it."""
        model, url = self._model, request.url
        if model.api != "ollama" and not (model.compat or model.params or model.reasoning):
            return request
        body = requests.adapt(json.loads(written), model)
        if model.api == "ollama":
            url, body = httpx2.URL(f"{model.base_url}{ollama.PATH}"), ollama.request(body, model)
        headers = [
            (key, value) for key, value in request.headers.multi_items() if key not in ("content-length", "host")
        ]
        return httpx2.Request("POST", url, headers=headers, content=encode_body(body), extensions=request.extensions)


_ENCODED = ("content-encoding", "content-length", "transfer-encoding")


class _BoundedBody(httpx2.AsyncByteStream):
    """A body that breaks off after MAX_RESPONSE bytes: an endless line would fill the memory."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._response.aiter_bytes():
            size += len(chunk)
            if size > MAX_RESPONSE:
                raise httpx2.RemoteProtocolError(f"the answer is larger than {MAX_RESPONSE} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


class _MendedEvents(_BoundedBody):
    """The body of an answer, mended to what its protocol says.

    A second iteration reads what the first has left, unmended. OpenAI's library does so after `[DONE]`: a connection
    can serve another request only when the end of the body was read.
    """

    def __init__(self, response: httpx2.Response, api: Api) -> None:
        super().__init__(response)
        self._events = EventReader()
        self._dialect = Dialect(api)
        self._bypass = current_bypass()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._response.is_stream_consumed:
            if not self._response.is_closed:  # else its end was read
                assert isinstance(self._response.stream, httpx2.AsyncByteStream)
                async for chunk in self._response.stream:
                    yield chunk
            return
        try:
            async for chunk in super().__aiter__():
                for event in self._events.feed(chunk):
                    for written in self._dialect.mend(event):
                        if not await self._bypass.take(written):
                            for data in self._bypass.pass_on(written):
                                yield data
            for event in self._events.finish():
                for written in self._dialect.mend(event):
                    for data in self._bypass.pass_on(written):
                        yield data
            for written in self._dialect.finish():
                for data in self._bypass.pass_on(written):
                    yield data
            for data in self._bypass.pass_taken():
                yield data
        except GarbledEvent as error:
            raise NotAnAnswer(str(error)) from None
        except httpx2.DecodingError as error:
            raise NotAnAnswer(f"its content-encoding is another one than it says: {error}") from None
