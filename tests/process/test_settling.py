import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.process import settling
from gateway.process.settling import settle
from gateway.systemd import manager
from gateway.systemd.descriptors import Inherited


@pytest.mark.parametrize("managed", [True, False])
def test_runs_go_on_first_then_comes_what_no_client_waits_for(managed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def store_size(unit: str) -> int:
        return 77

    async def note(what: str) -> None:
        done.append(what)

    monkeypatch.setattr(manager, "store_size", store_size)
    monkeypatch.setattr(settling, "warm_up", lambda: done.append("warm"))
    start: Any = SimpleNamespace(inherited=Inherited(), unit="x.service", under_systemd=managed)
    status: Any = SimpleNamespace(settled=False, changed=lambda: done.append("told"))
    keeper: Any = SimpleNamespace(store_size=None)
    configuration: Any = SimpleNamespace(begin_watching=lambda: note("watching"))

    async def scenario() -> None:
        await settle(start, status, configuration, keeper, asyncio.ensure_future(note("runs")))

    gc.disable()
    asyncio.run(scenario())
    assert done == ["runs", "warm", "watching", "told"] and status.settled
    assert keeper.store_size == (77 if managed else None)
    assert gc.isenabled()
    gc.unfreeze()
