"""How requests reach the providers and what they answer comes back: the one place where bytes come in.

A library's client sends through `Speaking`, which knows the model that is asked. The connections below it are shared.
"""

from collections.abc import AsyncIterator
from functools import cache

import httpx2
from pydantic_ai.models import create_async_httpx2_client

from gateway.agent.closing import note_response
from gateway.agent.dialects import Dialect, Garbled
from gateway.agent.events import Events
from gateway.agent.failed import Failed
from gateway.link.messages import Api, Failure, Model

CONNECT_S = 10.0
MAX_RESPONSE = 64 * 1024 * 1024
"""Bytes of one answer over the wire, whatever it is."""


class Unread(httpx2.TransportError):
    """An answer that is none."""


def client(model: Model) -> httpx2.AsyncClient:
    """For the libraries, whose requests are of this model."""
    return create_async_httpx2_client(timeout=_usual(), transport=Speaking(model))


@cache
def connections() -> httpx2.AsyncClient:
    """One for all, so that the next run finds the connection open. Its keys are in the requests, not in it."""
    try:
        return create_async_httpx2_client(timeout=_usual())
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        what = f"a proxy in the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) cannot be used: {error}"
        raise Failed(Failure("config", f"{what}; set it to one of http or https.")) from error


def _usual() -> httpx2.Timeout:
    return httpx2.Timeout(600, connect=CONNECT_S)


class Speaking(httpx2.AsyncBaseTransport):
    def __init__(self, model: Model) -> None:
        self._model = model

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await connections().send(request, stream=True)
        note_response(response)
        streams = response.is_success and request.method == "POST"
        # What is passed on is decoded.
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _ENCODED]
        stream = _Mended(response, self._model.api) if streams else _Bounded(response)
        return httpx2.Response(response.status_code, headers=headers, stream=stream, extensions=response.extensions)


_ENCODED = ("content-encoding", "content-length", "transfer-encoding")


class _Bounded(httpx2.AsyncByteStream):
    """A body that breaks off when it has become too large: an endless line would fill the memory."""

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


class _Mended(_Bounded):
    """An answer's body, as its protocol says it."""

    def __init__(self, response: httpx2.Response, api: Api) -> None:
        super().__init__(response)
        self._events = Events()
        self._dialect = Dialect(api)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in super().__aiter__():
                for event in self._events.feed(chunk):
                    for piece in self._dialect.take(event):
                        yield piece
            for event in self._events.end():
                for piece in self._dialect.take(event):
                    yield piece
            for piece in self._dialect.end():
                yield piece
        except Garbled as error:
            raise Unread(str(error)) from None
        except httpx2.DecodingError as error:
            raise Unread(f"its content-encoding is another one than it says: {error}") from None
