"""The failure of a try or a run, and the secrets that are kept out of its words."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from gateway.link.messages import Failure
from gateway.link.spec import Model, Server, Spec
from gateway.text.unicode import well_formed

MIN_SECRET = 6
"""Characters of the shortest secret. A shorter value occurs in ordinary words: hiding it makes messages unreadable."""
MAX_SAID = 300
"""Characters of other people's text that go into a message."""


class Failed(Exception):
    """A try or a run has failed. `str()` is for the user. `retry_after` is the provider's wish, in seconds."""

    def __init__(self, failure: Failure, retry_after: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_after = retry_after


class Secrets:
    """Hides the keys of a run in text about it."""

    def __init__(self, spec: Spec) -> None:
        how = spec.compaction
        models = [*spec.models, *(how.models if how else ()), *([how.model] if how and how.model else ())]
        values = [value for model in models for value in _of_model(model)]
        self._values = _words([*values, *(value for server in spec.servers for value in _of_server(server))])

    @classmethod
    def of_server(cls, server: Server) -> "Secrets":
        """The secrets that an MCP server is given."""
        secrets = cls.__new__(cls)
        secrets._values = _words(_of_server(server))
        return secrets

    def hide(self, text: str) -> str:
        for value in self._values:
            text = text.replace(value, "***")
        return text


def _words(values: Iterable[str]) -> list[str]:
    """The values and their words, longest first: of a header `Bearer <key>`, a message may quote only the key."""
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
    """Other people's text on one line, cut to MAX_SAID."""
    line = " ".join(well_formed(text).split())
    return line if len(line) <= MAX_SAID else line[: MAX_SAID - 1] + "…"
