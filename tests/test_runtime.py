"""What gateways of released versions import when they rehearse a restart into this one."""

from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["gateway.runtime", "gateway.conversations", "gateway.web.app"])
def test_a_name_that_a_rehearsal_imports_is_there(name: str) -> None:
    assert import_module(name)


def test_a_rehearsal_warms_up() -> None:
    assert callable(import_module("gateway.web.app").warm_up)
