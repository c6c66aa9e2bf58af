"""Half a minute of `make soak`, so that it still says what it is to say."""

import pytest

from conformance import providing
from tests.e2e.manager import UserManager
from tests.soak.machine import Machine, crowd
from tests.soak.soak import Soak, summary


@pytest.mark.exhaustive
def test_a_short_soak_finds_nothing(manager: UserManager) -> None:
    """What it disturbs is disturbed one by one in test_connections, test_runs and test_chat; how it compares
    what was asked with what is there has its tests in tests/soak.
    """
    machine = Machine(manager)
    with providing.provider(machine.enter) as port, crowd(machine, seed=1) as people:
        machine.set_up(port)
        soak = Soak(machine, people, seed=1)
        soak.last(30)
    told = summary(soak)
    assert not soak.problems, told
    assert soak.disturbances.total() > 0
    assert "asked: plain" in told
