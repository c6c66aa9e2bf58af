"""What our HTTP paths need of ASGI: whole answers, bodies, headers, and a table of paths.

Starlette has all of it, with forms, files, sessions and another event loop behind it: 2 MB of an idle gateway.
"""

from collections.abc import Awaitable, Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

READING = ("GET", "HEAD")


class ClientGone(Exception):
    """The client has gone before it has sent its request."""


class Response:
    """A whole answer, as an ASGI application. The server leaves its body out for HEAD."""

    def __init__(
        self,
        body: bytes | str = b"",
        status: int = 200,
        headers: Mapping[str, str] = {},
        media_type: str | None = None,
    ) -> None:
        """Content-Length and Content-Type are added to `headers`, whose names are lower case."""
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = dict(headers)
        if status != 204:  # which has no body
            self.headers["content-length"] = str(len(self.body))
        if media_type is not None:
            self.headers["content-type"] = f"{media_type}; charset=utf-8" if media_type[:5] == "text/" else media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        start: Message = {"type": "http.response.start", "status": self.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


def plain(text: str, status: int = 200, headers: Mapping[str, str] = {}) -> Response:
    return Response(text, status, headers, "text/plain")


NOT_FOUND = plain("Not Found", 404)
Endpoint = Callable[[Scope, Receive], Awaitable[Response]]


def wrong_method(*allowed: str) -> Response:
    return plain("Method Not Allowed", 405, {"allow": ", ".join(allowed)})


def router(routes: Mapping[str, tuple[str, Endpoint]]) -> ASGIApp:
    """An application that finds an endpoint by its path; with it stands the method. HEAD is answered where GET is."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        method, endpoint = routes.get(scope["path"], ("", None))
        allowed = READING if method == "GET" else (method,)
        if endpoint is None:
            response = NOT_FOUND
        elif scope["method"] not in allowed:
            response = wrong_method(*allowed)
        else:
            try:
                response = await endpoint(scope, receive)
            except ClientGone:
                return
        await response(scope, receive, send)

    return answer


async def read_body(receive: Receive) -> bytes:
    """The body; the server has bounded its size. Raises ClientGone."""
    parts: list[bytes] = []
    while (message := await receive())["type"] == "http.request":
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)
    raise ClientGone


def headers_of(scope: Scope) -> dict[str, str]:
    """Values by the lower-case name; the first one of a header that was sent several times."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
