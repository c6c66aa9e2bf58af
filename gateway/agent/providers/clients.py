"""pydantic-ai's models and settings for a `Model` of the link.

The library of a provider is imported on its first use: Anthropic's takes half a second.
"""

import gc
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pydantic_ai.models import Model as ProviderModel
from pydantic_ai.settings import ModelSettings

from gateway.agent.providers.requests import is_openai
from gateway.agent.providers.transport import forget_pools, make_client
from gateway.agent.turn.failed import Failed
from gateway.link.messages import Failure
from gateway.link.spec import Model

MAX_CLIENTS = 16
"""Clients of providers that are kept for later runs. Making one of Google's takes 40 ms."""
NO_KEY = "none"
"""The key for a server that wants none: the libraries insist on one."""


def model_of(model: Model) -> ProviderModel[Any]:
    """The model of pydantic-ai. Raises Failed if it has no key, or no usable URL."""
    if model.base_url is None and not model.api_key:
        config = f"models.providers.{model.provider}.apiKey"
        raise Failed(Failure("auth", f"there is no API key for {model.provider}: set {config} in openclaw.json."))
    if model.base_url is not None and not _is_url(model.base_url):
        config = f"models.providers.{model.provider}.baseUrl"
        raise Failed(Failure("config", f"{config} must be a URL that begins with http:// or https://."))
    spelled = msgspec.json.encode(model)
    made = _make(spelled)
    if spelled not in _made:
        gc.freeze()  # the objects of a library live as long as the process: a search among them takes 0.1 s
        _made.add(spelled)
    return made


def is_made(model: Model) -> bool:
    """Whether `model_of` has nothing to import or to make for this model."""
    return msgspec.json.encode(model) in _made


def settings_of(model: Model, thinking: str, silence_s: float) -> ModelSettings:
    settings = ModelSettings(timeout=silence_s)
    if model.api == "google-generative-ai":
        settings["max_retries"] = 0  # the other libraries' clients have it, and would be copied for each request
    if model.max_tokens:
        settings["max_tokens"] = model.max_tokens
    if model.headers:
        settings["extra_headers"] = dict(model.headers)
    if model.reasoning and model.api in ("openai-completions", "ollama") and not is_openai(model):
        # The library sends an effort only to models that it knows; the config knows more of them.
        effort = {"openai_reasoning_effort": "none" if thinking == "off" else thinking}
        settings.update(effort)  # type: ignore[typeddict-item]
    elif model.reasoning:
        settings["thinking"] = False if thinking == "off" else thinking  # type: ignore[typeddict-item]
    if model.api == "anthropic-messages":
        settings["cache"] = True  # the other providers cache without being asked
    return settings


_made: set[bytes] = set()
"""Models whose client is kept, spelled as for `_make`."""


@lru_cache(MAX_CLIENTS)
def _make(spelled: bytes) -> ProviderModel[Any]:
    """`spelled` is the model as JSON, because a Model cannot be the key of a cache."""
    if len(_made) >= MAX_CLIENTS:
        _made.clear()  # one of them is forgotten now
    model = msgspec.json.decode(spelled, type=Model)
    name, base_url, key = model.id, model.base_url, model.api_key or NO_KEY
    match model.api:
        case "openai-completions" | "ollama":
            from pydantic_ai.models.openai import OpenAIChatModel

            return OpenAIChatModel(name, provider=_openai(model, key))
        case "openai-responses":
            from openai.types.responses import ResponseCompletedEvent
            from pydantic_ai.models.openai import OpenAIResponsesModel

            # Its schema is built on first use: half a second, which would block the loop at the end of an answer.
            ResponseCompletedEvent.construct(response={"output": [{"type": "message", "content": []}]})
            return OpenAIResponsesModel(name, provider=_openai(model, key))
        case "anthropic-messages":
            from pydantic_ai.models.anthropic import AnthropicModel
            from pydantic_ai.providers.anthropic import AnthropicProvider

            base_url = base_url.removesuffix("/").removesuffix("/v1") if base_url else None
            anthropic = AnthropicProvider(api_key=key, base_url=base_url, http_client=make_client(model))
            anthropic.client.max_retries = 0
            return AnthropicModel(name, provider=anthropic)
        case "google-generative-ai":
            from pydantic_ai.models.google import GoogleModel
            from pydantic_ai.providers.google import GoogleProvider

            # OpenClaw's URLs contain the version, and google-genai adds it.
            base_url = base_url.removesuffix("/").removesuffix("/v1beta") if base_url else None
            return GoogleModel(
                name, provider=GoogleProvider(api_key=key, base_url=base_url, http_client=make_client(model))
            )
        case "builtin":
            raise AssertionError("the echo is no provider's")


def _openai(model: Model, key: str) -> Any:
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    from gateway.agent.providers.plain_requests import send_plainly

    base_url, http_client = model.base_url, make_client(model)
    provider: OpenAIProvider | OpenAICompatibleProvider
    if base_url is None or is_openai(model):
        base_url = base_url or "https://api.openai.com/v1"
        provider = OpenAIProvider(base_url=base_url, api_key=key, http_client=http_client)
    else:
        provider = OpenAICompatibleProvider(model.provider, base_url=base_url, api_key=key, http_client=http_client)
    provider.client.max_retries = 0
    send_plainly(provider.client)
    return provider


def forget_clients() -> None:
    """Forget all clients, because the route to the network has changed. Requests under way go on."""
    forget_pools()
    _made.clear()
    _make.cache_clear()


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
