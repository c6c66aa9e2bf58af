"""The requests of OpenAI's library with and without its walk through the types of each message."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.agent.providers import clients, plain_requests
from gateway.link.spec import Api
from tests.agent.provider import Provider
from tests.agent.providers.test_source import TOOL, Asked, model, spec, with_provider

PICTURE = {"type": "image", "data": "iVBORw0KGgouLi4uSUVORA==", "mimeType": "image/png"}
PAST = [
    {"role": "user", "content": [{"type": "text", "text": "look"}, PICTURE]},
    {"role": "assistant", "content": [{"type": "text", "text": "I see"}]},
]


def _bodies(api: Api, monkeypatch: pytest.MonkeyPatch, send: Callable[[Any], None]) -> list[Any]:
    """What the provider is asked in a run with a picture, a tool and its result."""
    monkeypatch.setattr(plain_requests, "send_plainly", send)
    bodies: list[Any] = []

    async def test(provider: Provider) -> None:
        clients.forget_clients()
        asked_model = model(provider, api, max_tokens=7, headers={"X-Extra": "yes"})
        asked = Asked(spec(asked_model, "!tool=look", *PAST), system="Be kind.", tools=[TOOL])
        await asked.ask()
        (call,) = asked.answer.calls
        asked.models.add_result(call, [{"type": "text", "text": "seen"}, PICTURE], ok=True)
        await asked.ask()
        assert [request.headers["x-extra"] for request in provider.requests] == ["yes"] * 2
        bodies.extend(request.body for request in provider.requests)

    with_provider(test)
    clients.forget_clients()
    return bodies


@pytest.mark.parametrize("api", ["openai-completions", "openai-responses"])
def test_the_library_has_nothing_to_change_in_a_request(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _bodies(api, monkeypatch, plain_requests.send_plainly)
    assert len(plain) == 2 and plain == _bodies(api, monkeypatch, lambda client: None)
