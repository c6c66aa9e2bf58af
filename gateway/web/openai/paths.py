"""Paths of the APIs that the config switches on. `serving` must know them before their modules are imported."""

CHAT_COMPLETIONS = "/v1/chat/completions"
MODELS = "/v1/models"
MAX_BODY: dict[str, int] = {CHAT_COMPLETIONS: 20 * 1024 * 1024}
"""Bytes of a request's body, by path, where pictures may make it larger than `gateway.http.limits.maxBodyBytes`."""
