"""Requests to a provider's server, from `models.providers`: `request`, `compat`, `input`, `params`, `cost`.

A key that restricts (a certificate, a proxy, a network) is honoured, or the model cannot be used.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from gateway.config.tree import Unusable, as_list, as_positive_int, as_text, section
from gateway.link.spec import Route, Tls

Secret = Callable[[str, Any], str]
"""(key, value) -> the secret. Raises Unusable."""

FLAGS = frozenset(
    [
        "supportsStore",
        "supportsPromptCacheKey",
        "supportsDeveloperRole",
        "supportsReasoningEffort",
        "supportsTemperature",
        "supportsInstructions",
        "supportsUsageInStreaming",
        "supportsTools",
        "supportsStrictMode",
        "requiresStringContent",
        "strictMessageKeys",
        "requiresToolResultName",
        "requiresAssistantAfterToolResult",
        "requiresThinkingAsText",
        "requiresReasoningContentOnAssistantMessages",
        "zaiToolStream",
    ]
)
"""Boolean keys of `compat` that are honoured (`agent/providers/requests`)."""
WORDS: dict[str, tuple[str, ...]] = {
    "maxTokensField": ("max_tokens", "max_completion_tokens"),
    "thinkingFormat": ("openai", "openrouter", "deepseek", "together", "qwen", "qwen-chat-template", "zai"),
    "toolSchemaProfile": ("llamacpp", "gemini"),
}
LISTS = ("supportedReasoningEfforts", "unsupportedToolSchemaKeywords")
OBJECTS = ("reasoningEffortMap", "openRouterRouting", "vercelGatewayRouting")
WITHOUT_EFFECT = frozenset(
    [
        "supportsResponsesContinuation",
        "supportsJsonSchemaResponseFormat",
        "codeMode",
        "visibleReasoningDetailTypes",
        "sendSessionAffinityHeaders",
        "sendSessionIdHeader",
        "supportsEagerToolInputStreaming",
        "supportsLongCacheRetention",
    ]
)
"""Keys about requests or output that do not exist here."""
NOT_DONE = ("cacheControlFormat", "toolCallArgumentsEncoding", "requiresOpenAiAnthropicToolPayload")
"""Keys that are not honoured."""
COSTS = ("input", "output", "cacheRead", "cacheWrite")
REQUEST = ("headers", "auth", "proxy", "tls", "allowPrivateNetwork")
TLS = ("ca", "cert", "key", "passphrase", "serverName", "insecureSkipVerify")


def compat(key: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `compat` that are honoured. Raises Unusable for an invalid value."""
    found: dict[str, Any] = {}
    for name, value in section(row, "compat").items():
        place = f"{key}.models[].compat.{name}"
        if (
            name in FLAGS
            and isinstance(value, bool)
            or name in WORDS
            and value in WORDS[name]
            or name in LISTS
            and isinstance(value, list)
            and all(isinstance(each, str) for each in value)
            or name in OBJECTS
            and isinstance(value, dict)
        ):
            found[name] = value
        elif name in FLAGS or name in WORDS or name in LISTS or name in OBJECTS:
            raise Unusable(place, "not an allowed value", f"use {_allowed(name)}")
    return found


def not_honoured(key: str, entry: Mapping[str, Any]) -> list[str]:
    """A sentence for each key that is not honoured."""
    told = [f"{key}.{name}: has no effect here" for name in ("localService", "region") if entry.get(name)]
    for row in as_list(entry.get("models")):
        for name in section(row, "compat") if isinstance(row, dict) else ():
            place = f"{key}.models[].compat.{name[:60]}"
            if name in NOT_DONE:
                told.append(f"{place}: has no effect here")
            elif name not in (*FLAGS, *WORDS, *LISTS, *OBJECTS, *WITHOUT_EFFECT):
                told.append(f"{place}: unknown, and has no effect")
    return list(dict.fromkeys(told))


def takes_pictures(row: Mapping[str, Any]) -> bool:
    """Whether a model takes pictures: unless its `input` leaves out `image`."""
    written = row.get("input")
    return not isinstance(written, list) or "image" in written


def params(entry: Mapping[str, Any], row: Mapping[str, Any], api: str, base_url: str | None) -> dict[str, Any]:
    """Options for Ollama: the model's own win over the provider's, and its context window is `num_ctx`."""
    named = section(entry, "params") | section(row, "params")
    compatible = entry.get("injectNumCtxForOpenAICompat") is True or ":11434" in (base_url or "")
    if api != "ollama" and (not compatible or entry.get("injectNumCtxForOpenAICompat") is False):
        return {}
    window = (
        as_positive_int(named.get("num_ctx"))
        or as_positive_int(row.get("contextTokens"))
        or as_positive_int(row.get("contextWindow"))
    )
    if api != "ollama":
        return {"num_ctx": window} if window else {}
    return {**named, "num_ctx": window} if window else {key: value for key, value in named.items() if key != "num_ctx"}


def cost(row: Mapping[str, Any]) -> dict[str, float]:
    """Dollars for a million tokens, by kind of token."""
    written = section(row, "cost")
    return {name: float(written[name]) for name in COSTS if _is_amount(written.get(name))}


def _is_amount(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 <= value < 1e9
        and math.isfinite(float(value))
    )


def route(key: str, entry: Mapping[str, Any], secret: Secret) -> tuple[Route, dict[str, str]]:
    """The route to a provider (proxy, TLS), and headers for it. Raises Unusable."""
    request = entry.get("request")
    if request is None:
        return Route(), {}
    place = f"{key}.request"
    if not isinstance(request, dict):
        raise Unusable(place, "not an object", "write it as {headers: …, auth: …, proxy: …, tls: …}")
    _known(place, request, REQUEST)
    if request.get("allowPrivateNetwork") is False:
        what = "to keep a provider out of private networks is not supported"
        raise Unusable(f"{place}.allowPrivateNetwork", what, "remove it, and restrict the agent's network with systemd")
    headers = {
        name: secret(f"{place}.headers.{name[:60]}", value) for name, value in section(request, "headers").items()
    }
    tls = _tls(f"{place}.tls", request.get("tls"), secret)
    proxy, proxy_tls = _proxy(f"{place}.proxy", request.get("proxy"), secret)
    return Route(proxy, proxy_tls, tls), headers | _auth(f"{place}.auth", request.get("auth"), secret)


def _auth(place: str, auth: Any, secret: Secret) -> dict[str, str]:
    match auth:
        case None | {"mode": "provider-default"}:
            return {}
        case {"mode": "authorization-bearer", "token": token}:
            return {"Authorization": f"Bearer {secret(f'{place}.token', token)}"}
        case {"mode": "header", "headerName": str(name), "value": value} if name:
            return {name: f"{auth.get('prefix') or ''}{secret(f'{place}.value', value)}"}
    modes = '{mode: "authorization-bearer", token: …} or {mode: "header", headerName: …, value: …}'
    raise Unusable(place, "not an allowed value", f"use {modes}")


def _proxy(place: str, proxy: Any, secret: Secret) -> tuple[str | None, Tls]:
    match proxy:
        case None:
            return None, Tls()
        case {"mode": "env-proxy"}:
            return None, _tls(f"{place}.tls", proxy.get("tls"), secret)
        case {"mode": "explicit-proxy", "url": str(url)} if url.startswith(("http://", "https://", "socks5")):
            return url.strip(), _tls(f"{place}.tls", proxy.get("tls"), secret)
    raise Unusable(
        place, "not an allowed value", 'use {mode: "env-proxy"} or {mode: "explicit-proxy", url: "http://…"}'
    )


def _tls(place: str, tls: Any, secret: Secret) -> Tls:
    if tls is None:
        return Tls()
    if not isinstance(tls, dict):
        raise Unusable(place, "not an object", "write it as {ca: …}")
    _known(place, tls, TLS)
    pem = {name: secret(f"{place}.{name}", tls[name]) for name in TLS[:4] if tls.get(name) is not None}
    if ("cert" in pem) != ("key" in pem):
        raise Unusable(place, "a certificate needs its key", "set both cert and key")
    insecure = tls.get("insecureSkipVerify", False)
    if not isinstance(insecure, bool):
        raise Unusable(f"{place}.insecureSkipVerify", "not an allowed value", "use true or false")
    return Tls(**pem, server_name=as_text(tls.get("serverName")), insecure=insecure)


def _known(place: str, written: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in written:
        if name not in names:
            raise Unusable(f"{place}.{name[:60]}", "unknown key", f"use {', '.join(names)}")


def _allowed(name: str) -> str:
    if name in WORDS:
        return " or ".join(f'"{word}"' for word in WORDS[name])
    return "true or false" if name in FLAGS else "a list of texts" if name in LISTS else "an object"
