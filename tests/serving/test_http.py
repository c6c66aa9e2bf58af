"""What an HTTP connection says of itself while the process leaves, and what becomes of it."""

import asyncio
from typing import Any

import pytest

from tests.serving.http_scene import Client, HttpScene, request, run, serving

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"


async def arrived(it: HttpScene, client: Client, data: bytes) -> Any:
    """The connection, once it has read all of it."""
    await client.send(data)
    while not it.server.http or not it.server.http[0].received:
        await asyncio.sleep(0)
    return it.server.http[0]


@pytest.mark.parametrize(
    ("data", "busy", "begun", "waits_for_us"),
    [
        (HEAD[:20], True, False, False),
        (HEAD, True, True, False),
        (HEAD + b"hel", True, True, False),
        (HEAD + b"hello", True, True, True),
    ],
)
def test_a_head_alone_is_not_begun_and_who_is_waited_for_is_known(
    data: bytes, busy: bool, begun: bool, waits_for_us: bool
) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def scene() -> None:
        async with serving(never) as it:
            each = await arrived(it, await it.client(), data)
            assert (each.busy, each.begun, each.waits_for_us) == (busy, begun, waits_for_us)
            assert each.leave() and each.pass_on() is None, "it is finished first"
            each.transport.abort()
            assert not each.busy
            for task in it.server.server_state.tasks:
                task.cancel()

    run(scene)


async def idle(it: HttpScene) -> tuple[Any, Client]:
    client = await it.client()
    each = await arrived(it, client, request())
    assert await client.status() == 200 and await client.reader.readexactly(1) == b"0"
    assert not each.busy and not each.begun
    return each, client


def test_an_idle_connection_is_closed_where_nobody_goes_on_with_it() -> None:
    async def scene() -> None:
        async with serving() as it:
            each, client = await idle(it)
            assert each.leave() is False
            assert await client.rest() == b""

    run(scene)


def test_an_idle_connection_is_passed_on_and_read_no_more() -> None:
    async def scene() -> None:
        async with serving() as it:
            each, client = await idle(it)
            it.server.server_state.carry = True
            assert each.leave() is False
            fd = each.transport.get_extra_info("socket").fileno()
            assert each.pass_on() == (fd, None)
            received = each.received
            await client.send(request())
            for _ in range(20):
                await asyncio.sleep(0)
            assert each.received == received and not each.transport.is_closing()
            each.transport.abort()

    run(scene)


def test_a_request_that_is_not_read_yet_is_waited_for() -> None:
    async def scene() -> None:
        async with serving() as it:
            each, client = await idle(it)
            each.flow.pause_reading()
            await client.send(request())
            assert each.leave() is True and not each.transport.is_closing()
            each.flow.resume_reading()
            assert await client.status() == 200

    run(scene)


def test_a_client_whose_answer_has_not_begun_is_told_to_come_again() -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def scene() -> None:
        async with serving(never) as it:
            client = await it.client()
            each = await arrived(it, client, request())
            each.give_up()
            assert await client.status() == 503
            assert b"The gateway is restarting" in await client.rest()
            assert not each.busy

    run(scene)


UPGRADE = b"GET / HTTP/1.%d\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"


def test_an_upgrade_needs_http_1_1() -> None:
    async def scene() -> None:
        async with serving() as it:
            client = await it.client()
            await client.send(UPGRADE % 0)
            assert await client.status() == 400
            assert b"An upgrade needs HTTP/1.1" in await client.rest()

    run(scene)
