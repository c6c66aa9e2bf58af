"""A subprocess that does not outlive the block that uses it."""

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def subprocess(*words: str, out: int, err: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The running program; at the end of the block it is killed if it has not ended, also when the block is cancelled.

    `out` and `err` are PIPE or DEVNULL. Raises OSError if the program cannot be started.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=out, stderr=err))
    try:
        yield await asyncio.shield(starting)
    finally:
        process = await starting  # a caller that is cancelled during the start has a child all the same
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                process.kill()
            await process.wait()
