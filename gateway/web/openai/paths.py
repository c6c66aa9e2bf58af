"""Paths of the APIs that are switched on by the config; `serving` must know of them before any of them is imported."""

CHAT_COMPLETIONS = "/v1/chat/completions"
MODELS = "/v1/models"
MAX_BODY: dict[str, int] = {CHAT_COMPLETIONS: 20 * 1024 * 1024}
"""Bytes of a request's body, where that may be more than `gateway.http.limits.maxBodyBytes`: pictures come in it."""
