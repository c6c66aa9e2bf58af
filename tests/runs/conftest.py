from collections.abc import Iterator

import pytest

from gateway.agent import runs
from tests.agent.scripted import Scripted


@pytest.fixture
def scripted() -> Iterator[None]:
    """What an agent's runs say is the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "Conversation", Scripted)
        Scripted.by_session.clear()
        yield
