"""Model providers: the built-in ones and those of `models.providers`, and what a request to their models needs.

The section is not in `schema`, so nothing has validated it: `Unusable` is raised when an invalid part is needed.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.config.secretmistakes import mistaken, mistaken_in
from gateway.config.secretref import VARIABLE, Unresolved
from gateway.config.serving import compat, cost, params, route, takes_pictures
from gateway.config.substitute import REFERENCE, Lookup
from gateway.config.tree import ConfigTree, Unusable, abbreviate, as_list, as_positive_int, as_text, section
from gateway.link.spec import Api, Model

BUILTIN, ECHO = "builtin", "echo"
"""The provider and the model that need no config, and answer with the question."""
MAX_PACE_MS = 60_000
MAX_SILENCE_S = 172_800

OPENAI: Api = "openai-completions"
OLLAMA: Api = "ollama"
LOCAL_SILENCE_S = 300
"""Seconds of silence allowed for a provider on the user's own machine, which may be loading the model."""
SUPPORTED: tuple[str, ...] = tuple(name for name in get_args(Api) if name != BUILTIN)


class KnownProvider(Struct, frozen=True):
    """A provider that needs no config but its key."""

    api: str
    base_url: str | None
    """None: the default of the provider's library."""
    variables: tuple[str, ...]
    """Environment variables for its key; the first that is set counts."""
    local: bool = False
    """Whether it runs on the user's own machine: it needs no key, and may be silent longer."""


def _openai(base_url: str, *variables: str) -> KnownProvider:
    return KnownProvider(OPENAI, base_url, variables)


def _local(base_url: str, *variables: str) -> KnownProvider:
    return KnownProvider(OPENAI, base_url, variables, local=True)


def _anthropic(base_url: str, *variables: str) -> KnownProvider:
    return KnownProvider("anthropic-messages", base_url, variables)


KNOWN: dict[str, KnownProvider] = {
    "openai": KnownProvider("openai-responses", None, ("OPENAI_API_KEY",)),
    "anthropic": KnownProvider("anthropic-messages", None, ("ANTHROPIC_API_KEY",)),
    "google": KnownProvider("google-generative-ai", None, ("GEMINI_API_KEY", "GOOGLE_API_KEY")),
    "openrouter": _openai("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "ollama": KnownProvider("ollama", "http://127.0.0.1:11434", ("OLLAMA_API_KEY",), local=True),
    "lmstudio": _local("http://127.0.0.1:1234/v1", "LM_API_TOKEN"),
    "vllm": _local("http://127.0.0.1:8000/v1", "VLLM_API_KEY"),
    "sglang": _local("http://127.0.0.1:30000/v1", "SGLANG_API_KEY"),
    "litellm": _local("http://127.0.0.1:4000", "LITELLM_API_KEY"),
    "groq": _openai("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": _openai("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "cerebras": _openai("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepseek": _openai("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "huggingface": _openai("https://router.huggingface.co/v1", "HUGGINGFACE_HUB_TOKEN", "HF_TOKEN"),
    "moonshot": _openai("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "nvidia": _openai("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "together": _openai("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "venice": _openai("https://api.venice.ai/api/v1", "VENICE_API_KEY"),
    "xai": _openai("https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": _openai("https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "Z_AI_API_KEY"),
    "minimax": _anthropic("https://api.minimax.io/anthropic", "MINIMAX_API_KEY"),
    "synthetic": _anthropic("https://api.synthetic.new/anthropic", "SYNTHETIC_API_KEY"),
    "vercel-ai-gateway": _anthropic("https://ai-gateway.vercel.sh", "AI_GATEWAY_API_KEY"),
    "xiaomi": _anthropic("https://api.xiaomimimo.com/anthropic", "XIAOMI_API_KEY"),
    "amazon-bedrock": KnownProvider("bedrock-converse-stream", None, ()),
    "github-copilot": KnownProvider("github-copilot", None, ()),
    "google-vertex": KnownProvider("google-vertex", None, ()),
    "openai-codex": KnownProvider("openai-chatgpt-responses", None, ()),
}
"""OpenClaw's names, addresses and variables. The last four are unsupported."""

ALIASES = {"z.ai": "zai", "z-ai": "zai", "gemini": "google"}
"""Other names of providers."""


class Provider(Struct, frozen=True):
    """A provider: its config, and its built-in row."""

    name: str
    entry: Mapping[str, Any]
    """Its entry in `models.providers`; {} if there is none."""
    known: KnownProvider | None

    @property
    def key(self) -> str:
        return f"models.providers.{self.name}"

    @property
    def local(self) -> bool:
        return self.known is not None and self.known.local

    @property
    def silence_ms(self) -> int | None:
        """Milliseconds of silence allowed; None: the default."""
        seconds = as_positive_int(self.entry.get("timeoutSeconds")) or (LOCAL_SILENCE_S if self.local else None)
        return min(seconds, MAX_SILENCE_S) * 1000 if seconds else None

    def models(self) -> tuple[dict[str, Any], ...]:
        """The models that the config lists; entries without an id are ignored."""
        return tuple(
            row for row in as_list(self.entry.get("models")) if isinstance(row, dict) and as_text(row.get("id"))
        )


def providers(tree: Mapping[str, Any]) -> tuple[Provider, ...]:
    """The providers of the config, in the order of the file."""
    entries = section(tree, "models", "providers").items()
    return tuple(
        Provider(name, entry, KNOWN.get(plain_name(name)))
        for name, entry in entries
        if isinstance(entry, dict) and as_text(name)
    )


def find_provider(tree: Mapping[str, Any], asked: str) -> Provider | None:
    """The provider of a name, in any case; None if it is unknown."""
    name = plain_name(asked)
    configured = next((each for each in providers(tree) if plain_name(each.name) == name), None)
    if configured is not None:
        return configured
    return Provider(name, {}, KNOWN[name]) if name in KNOWN else None


def resolve(provider: Provider, id: str, env: Lookup) -> Model:
    """A model with all that a request needs. Raises Unusable."""
    entry, known = provider.entry, provider.known
    row: Mapping[str, Any] = next((row for row in provider.models() if as_text(row["id"]) == id), {})
    base_url = _base_url(provider, row)
    usual = known.api if known else OPENAI
    if usual == OLLAMA and base_url and base_url.endswith("/v1"):
        usual = OPENAI  # as in OpenClaw, that path means its OpenAI-compatible API
    api = as_text(row.get("api")) or as_text(entry.get("api")) or usual
    if api == OLLAMA and base_url:
        base_url = base_url.removesuffix("/v1")
    if api not in SUPPORTED:
        choice = ", ".join(SUPPORTED)
        raise Unusable(f"{provider.key}.api", f'"{abbreviate(api)}" is not supported', f"use one of {choice}")
    key = api_key(provider, env)
    reached, more = route(provider.key, entry, lambda place, value: secret(place, value, env))
    headers = _headers(provider.key, entry, env) | _headers(f"{provider.key}.models", row, env) | more
    if entry.get("authHeader") is True and key:
        headers.setdefault("Authorization", f"Bearer {key}")
    return Model(
        provider=provider.name,
        id=id,
        api=api,  # type: ignore[arg-type]  # it is one of those in SUPPORTED
        base_url=base_url,
        api_key=key,
        headers=headers,
        max_tokens=as_positive_int(row.get("maxTokens")) or as_positive_int(entry.get("maxTokens")),
        context_window=as_positive_int(row.get("contextTokens")) or as_positive_int(row.get("contextWindow")),
        reasoning=row.get("reasoning") is True,
        cost=cost(row),
        pictures=takes_pictures(row),
        compat=compat(provider.key, row),
        params=params(entry, row, api, base_url),
        silence_ms=provider.silence_ms,
        way=reached,
    )


def echo(tree: ConfigTree, id: str = ECHO) -> Model:
    """The built-in model. Raises Unusable."""
    if id != ECHO:
        raise Unusable(
            f"{BUILTIN}/{abbreviate(id)}", "the built-in provider has no such model", f"use {BUILTIN}/{ECHO}"
        )
    pace = section(tree, "models", "providers", BUILTIN).get("paceMs", 0)
    if not isinstance(pace, int) or isinstance(pace, bool) or not 0 <= pace <= MAX_PACE_MS:
        allowed = f"use a whole number of milliseconds from 0 to {MAX_PACE_MS}"
        raise Unusable(f"models.providers.{BUILTIN}.paceMs", "not an allowed value", allowed)
    return Model(BUILTIN, ECHO, "builtin", pace_ms=pace)


def api_key(provider: Provider, env: Lookup) -> str | None:
    """The key of the config, else that of the environment; None if none is needed. Raises Unusable.

    A key that is the name of a variable means the variable's value, as in OpenClaw.
    """
    place, known = f"{provider.key}.apiKey", provider.known
    method = provider.entry.get("auth")
    if method in ("aws-sdk", "oauth"):
        raise Unusable(f"{provider.key}.auth", f'"{method}" is not supported', "use an API key")
    written = provider.entry.get("apiKey")
    if written is not None and written != "":
        found = secret(place, written, env)
        if what := mistaken(found):
            raise Unusable(place, f"this is no secret: {what}", "set it to the key, or to ${VARIABLE}")
        return (env(found) or found) if VARIABLE.fullmatch(found) else found
    variables = known.variables if known else ()
    for variable in variables:
        if found := (env(variable) or "").strip():
            return found
    if known is None or known.local or as_text(provider.entry.get("baseUrl")):
        return None
    where = "in .env beside the state or for openclaw-gateway.service (not for openclaw-agent.service)"
    way_out = f"set {' or '.join(variables)} {where}, or {place}" if variables else f"set {place}"
    raise Unusable(place, f'there is no key for the provider "{provider.name}"', way_out)


def with_key(tree: ConfigTree, env: Lookup) -> list[tuple[Provider, str]]:
    """(provider, `config` or `env`) for each provider with a key: where the key is from."""
    named = {plain_name(each.name): each for each in providers(tree)}
    every = [*named.values(), *(Provider(name, {}, known) for name, known in KNOWN.items() if name not in named)]
    found = []
    for each in every:
        with contextlib.suppress(Unusable):
            if api_key(each, env):
                found.append((each, "config" if each.entry.get("apiKey") else "env"))
    return found


def secret(place: str, value: Any, env: Lookup) -> str:
    """A secret of the resolved tree. Raises Unusable if its reference or variable could not be replaced."""
    if isinstance(value, Unresolved):
        raise Unusable(place, value.problem, value.way_out)
    if not isinstance(value, str) or not value.strip():
        raise Unusable(place, "not a text", "set it to the secret, or to ${VARIABLE}")
    if left := REFERENCE.search(value):  # it was not set when the file was read
        found = (env(left[2]) or "").strip()
        if not found:
            raise Unusable(place, f"the environment variable {left[2]} is not set", "set it, or write the secret here")
        return found
    return value.strip()


def _base_url(provider: Provider, row: Mapping[str, Any]) -> str | None:
    place = f"{provider.key}.baseUrl"
    written = [row.get("baseUrl"), provider.entry.get("baseUrl"), provider.entry.get("baseURL")]
    found = next((each for each in written if each is not None and each != ""), None)
    if found is None:
        if provider.known is None:
            raise Unusable(place, "it is not set", "set it to the address of the provider's API")
        return provider.known.base_url
    if not isinstance(found, str) or not is_url(found.strip()):
        raise Unusable(place, "not an address", 'set it to a URL such as "http://127.0.0.1:11434/v1"')
    return found.strip().rstrip("/")


def is_url(address: str) -> bool:
    """Whether the address is an http or https URL with a host."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _headers(place: str, entry: Mapping[str, Any], env: Lookup) -> dict[str, str]:
    written = entry.get("headers")
    if written is None:
        return {}
    if not isinstance(written, dict):
        raise Unusable(f"{place}.headers", "not an object", 'write it as {"name": "value"}')
    found = {}
    for name, value in written.items():
        here = f"{place}.headers.{abbreviate(name)}"
        found[name] = secret(here, value, env)
        if what := mistaken_in(name, found[name]):
            raise Unusable(here, f"this is no secret: {what}", "set it to the secret, or to ${VARIABLE}")
    return found


def plain_name(name: str) -> str:
    """The name of a provider without case and aliases."""
    plain = name.strip().lower()
    return ALIASES.get(plain, plain)
