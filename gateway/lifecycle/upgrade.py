"""Notices that the program was replaced on disk while it runs."""

import asyncio
import time
from collections.abc import Callable

from gateway.files.installed import Installation, InstalledFiles

LOOK_EVERY_S = 2.0
"""The pause between two looks at the installed files; they are at rest if two looks find the same."""
UNFINISHED_S = 60.0
"""The longest that an installer may take to write its last file."""


async def watch_installation(
    installed: Installation, replaced: Callable[[str], object], clock: Callable[[], float] = time.monotonic
) -> None:
    """Call `replaced` with a sentence, once for each state of the files that has come to rest. Runs until cancelled."""
    told: InstalledFiles | None = None
    before, since = await asyncio.to_thread(installed.inspect), clock()
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        look = await asyncio.to_thread(installed.inspect)
        if look != before:
            before, since = look, clock()
            continue
        unfinished = installed.problem(look) is not None and clock() - since < UNFINISHED_S
        if look != told and installed.replaced(look) and not unfinished:
            told = look
            replaced(f"the installed program is another one now: {look.version or 'its files were replaced'}")
