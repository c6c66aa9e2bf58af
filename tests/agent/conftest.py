"""Each test of the agent has an event loop of its own, and connections of the last one's would be dead in it."""

import ssl
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def no_certificates() -> Iterator[None]:
    """Nobody here speaks TLS, and a client of a provider's library reads a hundred certificates up to three times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **options: None)
        yield


@pytest.fixture(autouse=True)
def fresh_clients() -> Iterator[None]:
    yield
    if (providers := sys.modules.get("gateway.agent.providers.clients")) is not None:
        sys.modules["gateway.agent.providers.transport"]._pool.cache_clear()
        providers._make.cache_clear()
