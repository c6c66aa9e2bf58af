"""The quick tests first, so that a mistake shows before any manager is booted."""

from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent.name == "e2e")


@pytest.fixture
def scripted() -> Iterator[None]:
    """What an agent's runs say is the test's (`tests.agent.scripted`)."""
    from gateway.agent import runs
    from tests.agent.scripted import Scripted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "Conversation", Scripted)
        Scripted.by_session.clear()
        yield
