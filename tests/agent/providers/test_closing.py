"""What libraries leave open, left here by hand."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx2
import pytest

from gateway.agent.providers.closing import closing_opened, note_response
from tests.slack import LIMIT_S

Heard = list[str]


async def numbers(name: str, heard: Heard) -> AsyncGenerator[int, None]:
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)
        heard.append(f"{name} closed")


async def doubled(heard: Heard) -> AsyncGenerator[int, None]:
    inner = numbers("inner", heard)
    try:
        async for number in inner:
            yield 2 * number
    finally:
        heard.append("outer closed")


def play(scene: Callable[[Heard], Awaitable[None]]) -> Heard:
    heard: Heard = []
    asyncio.run(asyncio.wait_for(scene(heard), LIMIT_S))  # type: ignore[arg-type]
    return heard


def test_generators_are_closed_in_their_middle_the_outer_ones_first() -> None:
    async def scene(heard: Heard) -> None:
        async with closing_opened():
            left = doubled(heard)
            assert await anext(left) == 2
        assert heard == ["outer closed", "inner closed"]

    play(scene)


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_after_an_error_too_which_goes_on(error: type[BaseException]) -> None:
    async def scene(heard: Heard) -> None:
        left = numbers("it", heard)
        with pytest.raises(error):
            async with closing_opened():
                await anext(left)
                raise error
        assert heard == ["it closed"]

    play(scene)


def test_what_another_task_has_begun_is_its_own() -> None:
    async def scene(heard: Heard) -> None:
        theirs = numbers("theirs", heard)

        async def begin() -> None:
            await anext(theirs)

        async with closing_opened():
            await asyncio.create_task(begin())
        assert heard == [] and await anext(theirs) == 2
        await theirs.aclose()

    play(scene)


def test_what_began_before_or_has_ended_is_let_be() -> None:
    async def scene(heard: Heard) -> None:
        before = numbers("before", heard)
        await anext(before)
        async with closing_opened():
            assert [number async for number in numbers("whole", heard)] == [1, 2]
            assert await anext(before) == 2
        assert heard == ["whole closed"]
        await before.aclose()

    play(scene)


def test_one_that_does_not_end_does_not_keep_the_others_from_it() -> None:
    async def stubborn() -> AsyncGenerator[int, None]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    async def scene(heard: Heard) -> None:
        first, second = stubborn(), numbers("second", heard)
        async with closing_opened():
            await anext(first)
            await anext(second)
        assert heard == ["second closed"]

    play(scene)


def test_the_event_loop_hears_of_generators_all_the_same() -> None:
    """It closes at its end what is open then."""
    kept = []

    async def scene(heard: Heard) -> None:
        async with closing_opened():
            pass
        kept.append(numbers("it", heard))
        await anext(kept[0])

    assert play(scene) == ["it closed"]


def test_responses_are_closed() -> None:
    async def scene(heard: Heard) -> None:
        response = httpx2.Response(200, stream=_Body())
        async with closing_opened():
            note_response(response)
        assert response.is_closed

    play(scene)


class _Body(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        yield b""
