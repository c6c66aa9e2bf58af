"""The routes of OpenAI's API, if the config has switched it on: chat completions, and the list of models."""

import re
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.protocol.admission.lockout import Lockout
from gateway.protocol.params import cut
from gateway.protocol.scopes import READ, WRITE
from gateway.protocol.scopes import Scope as Right
from gateway.rpc.core import Core
from gateway.web.admission.bearer import refuse
from gateway.web.http.responses import READING, Response
from gateway.web.openai.answers import INVALID, error, model, model_list
from gateway.web.openai.completions import complete, is_resumed
from gateway.web.openai.paths import CHAT_COMPLETIONS, MODELS
from gateway.web.openai.targets import names

Endpoint = Callable[[Core, Scope, Receive, Send], Awaitable[None]]


HAS = f"POST {CHAT_COMPLETIONS} and GET {MODELS}"
SWITCHED_OFF = "This gateway's HTTP API is switched off: set gateway.http.endpoints.chatCompletions.enabled to true."
INSTEAD = {
    "/v1/responses": "use your client's chat completions, such as client.chat.completions or provider.chat(…)",
    "/v1/completions": "send `messages` to the chat completions",
    "/v1/embeddings": "ask a provider of models for embeddings",
}
"""What to use instead of the parts of OpenAI's API that this gateway does not have."""
_SLASHES = re.compile("/+")


def openai_routes(core: Core, lockout: Lockout) -> Callable[[Scope], ASGIApp | None]:
    """A function that finds the application for a request; it returns None for a path outside of this API.

    A path that is nearly one of the API's gets an error that names the right one, and is not served: a proxy that
    guards paths guards these.
    """
    completions = _guarded(core, lockout, ("POST",), WRITE, complete)
    models = _guarded(core, lockout, READING, READ, show_models)

    async def resumed(scope: Scope, receive: Receive, send: Send) -> None:
        await complete(core, scope, receive, send)

    def find(scope: Scope) -> ASGIApp | None:
        path = scope["path"]
        if is_resumed(scope):
            return resumed if path.startswith("/v1/") else None
        if not (path == "/v1" or path.startswith("/v1/") or _meant(path)):
            return None
        if not core.config.gateway.http.endpoints.chat_completions.enabled:
            return _json(404, error(SWITCHED_OFF, INVALID, "endpoint_disabled")) if path.startswith("/v1") else None
        if path == CHAT_COMPLETIONS:
            return completions
        if path == MODELS or path.startswith(f"{MODELS}/"):
            return models
        return _json(404, error(_nothing_at(path), INVALID, "unknown_endpoint"))

    return find


def _meant(path: str) -> str | None:
    """The path of ours that was meant: it was written with other slashes, or without `/v1`."""
    plain = _SLASHES.sub("/", path).rstrip("/")
    return next((ours for ours in (CHAT_COMPLETIONS, MODELS) if plain in (ours, ours.removeprefix("/v1"))), None)


def _nothing_at(path: str) -> str:
    if meant := _meant(path):
        return f"There is nothing at {cut(path)}: use {meant} (the base URL of this API ends in /v1, without a slash)."
    way_out = INSTEAD.get(path.rstrip("/"))
    return f"This gateway has no {cut(path)}: it has {HAS}" + (f"; {way_out}." if way_out else ".")


async def show_models(core: Core, scope: Scope, receive: Receive, send: Send) -> None:
    known = dict(names(core))
    wanted = scope["path"].removeprefix(MODELS).removeprefix("/")
    if not wanted:
        answer = _json(200, model_list(known.items()))
    elif wanted in known:
        answer = _json(200, model(wanted, known[wanted]))
    else:
        answer = _json(404, error(f"Model '{wanted[:120]}' not found.", INVALID))
    await answer(scope, receive, send)


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")


def _guarded(core: Core, lockout: Lockout, methods: tuple[str, ...], needed: Right, endpoint: Endpoint) -> ASGIApp:
    why = error(f"Method not allowed: this path takes {' and '.join(methods)}.", INVALID, "method_not_allowed")
    wrong_method = Response(why, 405, {"allow": ", ".join(methods)}, media_type="application/json")

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in methods:
            await wrong_method(scope, receive, send)
        elif refusal := refuse(core, lockout, scope, needed):
            await refusal(scope, receive, send)
        else:
            await endpoint(core, scope, receive, send)

    return guarded
