"""The work of a start for which no client waits."""

import asyncio
import gc

from gateway.handover.keeper import Keeper
from gateway.process.configuration import Configuration
from gateway.process.startup import Startup
from gateway.process.status import ProcessStatus
from gateway.web.app import warm_up

RUNS_S = 1.0
"""Seconds in which runs may go on before the rest is imported: their clients wait."""


async def settle(
    start: Startup,
    status: ProcessStatus,
    configuration: Configuration,
    keeper: Keeper,
    conversing: asyncio.Task[None],
) -> None:
    """Wait for `conversing`, then do the rest; the report's `settled` then becomes true."""
    await asyncio.wait([conversing], timeout=RUNS_S)
    try:
        await asyncio.to_thread(warm_up)
    finally:
        # What was imported lives on. Clients do not, so they go to the oldest generation: as the youngest, a thousand
        # of them would be searched at once, for 40 ms.
        gc.freeze()
        if start.inherited.has_clients:
            gc.unfreeze()
        gc.enable()  # __main__ has disabled it
    await configuration.begin_watching()
    if start.unit and start.under_systemd:
        from gateway.systemd.manager import store_size

        keeper.store_size = await store_size(start.unit)
    status.settled = True
    status.changed()
