"""The rehearsal of a restart: the installed program imports itself in a child while this process still serves."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE

from gateway.aio.subprocesses import subprocess

REHEARSAL_S = 60.0
"""Seconds for a program that hangs; this process serves meanwhile. An import takes half a second of processor time, and
on a machine with forty times the work twenty seconds: that program can start."""
TAIL_BYTES = 16 * 1024


async def rehearse(program: str) -> str | None:
    """Why the installed version cannot execute `program`, a line of Python; None if it can.

    A half-installed version does not end the service then. And what an upgrade brought is compiled while we still
    serve, so that the real start finds it compiled.
    """
    try:
        async with (
            subprocess(sys.executable, "-c", program, out=DEVNULL, err=PIPE) as process,
            asyncio.timeout(REHEARSAL_S),
        ):
            assert process.stderr is not None
            errors = await _tail(process.stderr)
            await process.wait()
    except TimeoutError:
        return f"importing it took over {REHEARSAL_S:.0f} s"
    except OSError as error:
        return f"{sys.executable}: {error.strerror}"
    if process.returncode == 0:
        return None
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {process.returncode}"


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The last `TAIL_BYTES` of the stream: the reason stands in the last line, however much comes before it."""
    tail = b""
    while chunk := await stream.read(TAIL_BYTES):
        tail = (tail + chunk)[-TAIL_BYTES:]
    return tail
