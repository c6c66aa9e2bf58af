import asyncio
from asyncio.subprocess import DEVNULL, PIPE

import pytest

from gateway.aio.subprocesses import subprocess
from tests.processes import alive
from tests.slack import LIMIT_S

pytestmark = pytest.mark.process


def test_a_program_that_ends_in_the_block_has_its_output_and_code() -> None:
    async def scene() -> tuple[bytes, int | None]:
        async with subprocess("sh", "-c", "echo said; exit 3", out=PIPE, err=DEVNULL) as process:
            out, _ = await process.communicate()
        return out, process.returncode

    assert asyncio.run(scene()) == (b"said\n", 3)


def test_a_program_does_not_outlive_the_block() -> None:
    async def scene() -> int:
        async with subprocess("sleep", "900", out=DEVNULL, err=DEVNULL) as process:
            assert alive(process.pid)
        return process.pid

    assert not alive(asyncio.run(asyncio.wait_for(scene(), LIMIT_S)))


def test_a_program_that_cannot_be_started_raises() -> None:
    async def scene() -> None:
        async with subprocess("/nonexistent/program", out=DEVNULL, err=DEVNULL):
            pass

    with pytest.raises(FileNotFoundError):
        asyncio.run(scene())
