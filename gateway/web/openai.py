"""OpenAI's API where the config has switched it on: chat completions, and what `model` may be."""

from collections.abc import Awaitable, Callable

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.core import Core
from gateway.lockout import Lockout
from gateway.protocol.openai_answers import INVALID, error, model, model_list
from gateway.protocol.scopes import READ, WRITE
from gateway.protocol.scopes import Scope as Right
from gateway.web.apis import CHAT_COMPLETIONS, MODELS
from gateway.web.bearer import refuse
from gateway.web.completions import complete, is_resumed
from gateway.web.targets import names

Endpoint = Callable[[Core, Scope, Receive, Send], Awaitable[None]]


def openai_routes(core: Core, lockout: Lockout) -> Callable[[Scope], ASGIApp | None]:
    """Finds what answers a request; None where there is nothing, or nothing now."""
    completions = _guarded(core, lockout, "POST", WRITE, complete)
    models = _guarded(core, lockout, "GET", READ, show_models)

    async def resumed(scope: Scope, receive: Receive, send: Send) -> None:
        await complete(core, scope, receive, send)

    def find(scope: Scope) -> ASGIApp | None:
        path = scope["path"]
        if not path.startswith("/v1/"):
            return None
        if is_resumed(scope):
            return resumed
        if not core.config.gateway.http.endpoints.chat_completions.enabled:
            return None
        if path == CHAT_COMPLETIONS:
            return completions
        return models if path == MODELS or path.startswith(f"{MODELS}/") else None

    return find


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


def _guarded(core: Core, lockout: Lockout, method: str, needed: Right, endpoint: Endpoint) -> ASGIApp:
    wrong_method = PlainTextResponse("Method Not Allowed", 405, {"allow": method})

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != method:
            await wrong_method(scope, receive, send)
        elif refusal := refuse(core, lockout, scope, needed):
            await refusal(scope, receive, send)
        else:
            await endpoint(core, scope, receive, send)

    return guarded
