"""Why a try, or a run, does not go on; and that no secret gets into it."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from gateway.link.messages import Failure
from gateway.link.spec import Model, Server, Spec
from gateway.text.unicode import well_formed

MIN_SECRET = 6
"""Characters. A shorter value is found in ordinary words, and to hide those would make a message unreadable."""
MAX_SAID = 300
"""Characters of what somebody else has said that go into a message."""


class Failed(Exception):
    """`str()` is for the user. `retry_after` is what the provider asks for, in seconds."""

    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_after = retry_after


class Secrets:
    """Takes the keys of a run out of what is said about it."""

    def __init__(self, spec: Spec) -> None:
        how = spec.compaction
        models = [*spec.models, *(how.models if how else ()), *([how.model] if how and how.model else ())]
        values = [value for model in models for value in _of_model(model)]
        self._values = _words([*values, *(value for server in spec.servers for value in _of_server(server))])

    @classmethod
    def of_server(cls, server: Server) -> "Secrets":
        """Those that an MCP server is given."""
        secrets = cls.__new__(cls)
        secrets._values = _words(_of_server(server))
        return secrets

    def hide(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, "***")
        return text


def _words(values: Iterable[str]) -> list[str]:
    """Longest first. A header is often `Bearer <key>`, and what quotes it may leave the first word out."""
    words = {word for value in values for word in (value, *value.split())}
    return sorted((word for word in words if len(word) >= MIN_SECRET), key=len, reverse=True)


def _of_server(server: Server) -> list[str]:
    return [*server.env.values(), *server.headers.values(), (server.url or "").partition("?")[2]]


def _of_model(model: Model) -> Iterable[str]:
    way = model.way
    hidden = [model.api_key, way.tls.key, way.tls.passphrase, way.proxy_tls.key, way.proxy_tls.passphrase]
    hidden.append(urlsplit(way.proxy).password if way.proxy else None)
    return [*(value for value in hidden if value), *model.headers.values()]


def quote(text: str) -> str:
    """What somebody else has said, on one line and not too long."""
    line = " ".join(well_formed(text).split())
    return line if len(line) <= MAX_SAID else line[: MAX_SAID - 1] + "…"
