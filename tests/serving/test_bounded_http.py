"""Bounds of an HTTP connection, each at the bound, against a real server on a real socket."""

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from gateway.serving import quota
from gateway.serving.bounded_http import MAX_HELD, SLICE
from tests.serving.http_scene import HttpScene, Scope, echo, request, run, serving


def padded(size: int) -> bytes:
    """A request whose head is `size` bytes as we count them: the URL, and each header line with its separators."""
    head = b"GET / HTTP/1.1\r\nhost: x\r\n"
    counted = len("/") + len("hostx") + 4
    return head + b"pad: " + b"a" * (size - counted - len("pad") - 4) + b"\r\n\r\n"


def test_a_head_at_the_bound_is_served_and_one_byte_more_is_not() -> None:
    async def scene() -> None:
        async with serving(max_head_bytes=2048) as it:
            fits, over = await it.client(), await it.client()
            await fits.send(padded(2048))
            await over.send(padded(2049))
            assert await fits.status() == 200
            assert await over.status() == 431
            assert b"2048 bytes" in await over.rest()

    run(scene)


def test_a_head_without_end_is_refused_before_it_ends() -> None:
    async def scene() -> None:
        async with serving(max_head_bytes=2048) as it:
            client = await it.client()
            await client.send(b"GET /" + b"a" * 4096)
            assert await client.status() == 431

    run(scene)


def test_header_lines_at_the_bound_are_served_and_one_more_is_not() -> None:
    async def scene() -> None:
        async with serving(max_headers=10) as it:
            fits, over = await it.client(), await it.client()
            await fits.send(request(*[f"h{n}: x" for n in range(8)]))
            await over.send(request(*[f"h{n}: x" for n in range(9)]))
            assert await fits.status() == 200
            assert await over.status() == 431

    run(scene)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_at_the_bound_is_served_and_one_byte_more_is_not(chunked: bool) -> None:
    def sent(size: int) -> bytes:
        if not chunked:
            return request(body=b"b" * size)
        half = size // 2
        parts = [b"b" * half, b"b" * (size - half)]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        return b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks

    async def scene() -> None:
        async with serving(max_body_bytes=1000) as it:
            fits, over = await it.client(), await it.client()
            await fits.send(sent(1000))
            await over.send(sent(1001))
            assert b"200 OK" in await fits.head()
            assert await fits.reader.read(4) == b"1000"
            assert await over.status() == 413

    run(scene)


def test_an_announced_body_over_the_bound_is_refused_before_it_is_sent() -> None:
    async def scene() -> None:
        async with serving(max_body_bytes=1000) as it:
            client = await it.client()
            await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\nexpect: 100-continue\r\n\r\n")
            assert await client.status() == 413

    run(scene)


def test_a_refusal_is_read_although_the_client_goes_on_sending() -> None:
    async def scene() -> None:
        async with serving(max_body_bytes=1000) as it:
            client = await it.client()
            await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10000000\r\n\r\n")
            await client.send(b"b" * 1_000_000)
            assert await client.status() == 413
            assert b"over 1000 bytes" in await client.rest()

    run(scene)


def test_a_head_that_trickles_is_answered_408() -> None:
    async def scene() -> None:
        async with serving(head_timeout_ms=100) as it:
            client = await it.client()
            await client.send(b"GET / HTTP/1.1\r\nhos")
            assert await client.status() == 408

    run(scene)


def test_a_body_that_trickles_is_answered_408() -> None:
    async def scene() -> None:
        async with serving(body_timeout_ms=100) as it:
            client = await it.client()
            await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab")
            assert await client.status() == 408

    run(scene)


@pytest.fixture
def accepting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that says nothing is accepted at once, not after the second that the kernel keeps it for."""
    monkeypatch.setattr("gateway.serving.server.DEFER_ACCEPT_S", 0)


@pytest.mark.usefixtures("accepting")
def test_a_client_that_says_nothing_is_closed_without_a_word() -> None:
    async def scene() -> None:
        async with serving(head_timeout_ms=100) as it:
            client = await it.client()
            assert await client.rest() == b""

    run(scene)


def test_an_idle_connection_is_closed_after_its_time() -> None:
    async def scene() -> None:
        async with serving(keep_alive_ms=50) as it:
            client = await it.client()
            await client.send(request())
            assert await client.status() == 200
            assert await client.rest() == b"0"

    run(scene)


@pytest.mark.usefixtures("accepting")
def test_at_its_bound_the_oldest_of_an_address_gives_way() -> None:
    async def scene() -> None:
        async with serving(max_connections_per_address=2) as it:
            first, second = await it.client(), await it.client()
            await second.send(request())
            assert await second.status() == 200
            third = await it.client()
            assert await first.rest() == b""
            for each in (second, third):
                await each.send(request())
                assert await each.status() == 200
            assert it.server.server_state.unauthenticated.at("127.0.0.1") == 2

    run(scene)


class Holding:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.running = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        self.running += 1
        await self.go.wait()
        await echo(scope, receive, send)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


@pytest.mark.usefixtures("accepting")
def test_a_connection_that_is_being_answered_is_not_evicted() -> None:
    async def scene() -> None:
        app = Holding()
        async with serving(app, max_connections_per_address=1) as it:
            first = await it.client()
            await first.send(request())
            await until(lambda: app.running == 1)
            second = await it.client()
            head = await second.head()
            assert b"503" in head and b"retry-after" in head
            app.go.set()
            assert await first.status() == 200
            third = await it.client()
            await third.send(request())
            assert await third.status() == 200

    run(scene)


FORWARDED = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %b\r\n\r\n"


@pytest.mark.usefixtures("accepting")
def test_behind_a_trusted_proxy_its_clients_are_counted_and_it_is_not() -> None:
    async def scene() -> None:
        app = Holding()
        async with serving(app, max_connections_per_address=1) as it:
            it.server.server_state.proxies = lambda: ["127.0.0.1"]
            clients = [await it.client() for _ in range(3)]
            assert it.server.server_state.unauthenticated.at("127.0.0.1") == 3
            for number, each in enumerate(clients):
                await each.send(FORWARDED % b"10.0.0.%d" % number)
            await until(lambda: app.running == 3)
            assert [it.server.server_state.unauthenticated.at(f"10.0.0.{number}") for number in range(3)] == [1, 1, 1]
            again = await it.client()
            await again.send(FORWARDED % b"10.0.0.1")
            assert b"503" in await again.head()
            app.go.set()
            for each in clients:
                assert await each.status() == 200
            await until(lambda: it.server.server_state.unauthenticated.at("10.0.0.1") == 0)

    run(scene)


@pytest.mark.usefixtures("accepting")
def test_at_the_descriptor_limit_only_the_port_takes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with serving() as it:
            first = await it.client()
            await first.send(request())
            assert await first.status() == 200
            least = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            monkeypatch.setattr(quota, "SPARE_DESCRIPTORS", least)
            second = await it.client()
            assert await second.rest() == b""
            await first.send(request())
            assert await first.status() == 200

    run(scene)


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\xfc", b"\r\n" * 9]
)
def test_garbage_is_answered_400_or_closed(garbage: bytes) -> None:
    async def scene() -> None:
        async with serving(head_timeout_ms=100) as it:
            client = await it.client()
            await client.send(garbage + b"\r\n\r\n")
            answer = await client.rest()
            assert not answer or b" 400 " in answer
            healthy = await it.client()
            await healthy.send(request())
            assert await healthy.status() == 200

    run(scene)


def test_requests_on_one_connection_do_not_add_up() -> None:
    async def scene() -> None:
        async with serving(max_head_bytes=1024, max_body_bytes=600) as it:
            client = await it.client()
            for _ in range(5):
                await client.send(request(body=b"b" * 600))
                assert await client.status() == 200
                assert await client.reader.readexactly(3) == b"600"

    run(scene)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def scene() -> None:
        async with serving() as it:
            client = await it.client()
            await client.send(request(body=b"1") + request(body=b"22") + request(body=b"333"))
            sizes = []
            for _ in range(3):
                assert await client.status() == 200
                sizes.append(await client.reader.readexactly(1))
            assert sizes == [b"1", b"2", b"3"]

    run(scene)


def test_a_client_that_sends_without_end_and_never_reads_costs_little() -> None:
    async def scene() -> None:
        async with serving() as it:
            client = await it.client()
            transport = client.writer.transport
            transport.pause_reading()  # type: ignore[attr-defined]
            while not transport.get_write_buffer_size():  # the server has stopped taking
                client.writer.write(request() * 1000)
                await asyncio.sleep(0.01)
            [connection] = it.server.http
            assert len(connection.pipeline) <= SLICE // len(request()) + 1
            assert len(connection._held) <= MAX_HELD
            healthy = await it.client()
            await healthy.send(request())
            assert await healthy.status() == 200

    run(scene)


@pytest.mark.parametrize("body", [b"", b"b" * 100, b"b" * 5000])
def test_thousands_of_pipelined_requests_are_all_answered_in_order(body: bytes) -> None:
    async def scene() -> None:
        async with serving() as it:
            client = await it.client()
            sizes = [len(body) + n % 7 for n in range(2000)]
            sending = asyncio.ensure_future(
                client.send(b"".join(request(body=body + b"x" * (n % 7)) for n in range(2000)))
            )
            for size in sizes:
                assert await client.status() == 200
                assert await client.reader.readexactly(len(str(size))) == str(size).encode()
            await sending

    run(scene)


def test_a_client_that_outruns_every_pause_is_dropped() -> None:
    async def scene() -> None:
        async with serving() as it:
            client = await it.client()
            await client.send(request())
            await client.status()
            [connection] = it.server.http
            connection.pipeline.append(None)  # type: ignore[arg-type]  # somebody waits
            connection.data_received(b"x" * MAX_HELD)
            assert not connection.transport.is_closing()
            connection.data_received(b"x")
            assert connection.transport.is_closing()
            connection.pipeline.clear()

    run(scene)


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000], ids=lambda size: f"{size} bytes at once")
def test_a_trailer_is_no_header(size: int) -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.append(scope["headers"])

    head = b"POST / HTTP/1.1\r\nhost: x\r\nx-user: ann\r\ntransfer-encoding: chunked\r\n\r\n"
    data = head + b"1\r\na\r\n0\r\nx-user: eve\r\nx-forwarded-for: 1.2.3.4\r\nexpect: 100-continue\r\n\r\n"

    async def scene() -> None:
        async with serving(app) as it:
            client = await it.client()
            for start in range(0, len(data), size):
                await client.send(data[start : start + size])
                await asyncio.sleep(0)
            assert await client.status() == 200
            await client.send(request())
            assert await client.status() == 200

    run(scene)
    assert seen[0] == [(b"host", b"x"), (b"x-user", b"ann"), (b"transfer-encoding", b"chunked")]
    assert seen[1] == [(b"host", b"x"), (b"content-length", b"0")]


@pytest.mark.parametrize("endless", [b"0\r\nX-Trailer: ", b"5;ext="], ids=["trailer", "chunk extension"])
def test_what_leads_to_no_callback_counts_as_head(endless: bytes) -> None:
    async def scene() -> None:
        async with serving(max_head_bytes=4096) as it:
            client = await it.client()
            await client.send(CHUNKED + endless)
            await client.send(b"a" * 100_000)
            assert await client.status() == 431

    run(scene)


def test_many_small_chunks_are_no_head() -> None:
    async def scene() -> None:
        async with serving(max_head_bytes=1024) as it:
            client = await it.client()
            await client.send(CHUNKED + b"1\r\nb\r\n" * 5000 + b"0\r\n\r\n")
            assert await client.status() == 200
            assert await client.reader.readexactly(4) == b"5000"

    run(scene)


@pytest.mark.parametrize(
    "bad",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n",
        b"\x00garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b"b" * 1024 + b"\r\n",
    ],
    ids=["too large", "garbage", "upgrade", "body over the bound"],
)
@pytest.mark.parametrize("earlier", [1, 2])
def test_a_bad_request_does_not_take_the_answers_of_the_ones_before(bad: bytes, earlier: int) -> None:
    async def scene() -> None:
        async with serving(max_body_bytes=1000) as it:
            client = await it.client()
            await client.send(request(body=b"1") * earlier + bad)
            for _ in range(earlier):
                assert await client.status() == 200
                assert await client.reader.readexactly(1) == b"1"
            assert await client.rest() == b""  # closed without a word on the bad one

    run(scene)


def test_a_bad_request_after_an_answer_is_told_so() -> None:
    async def scene() -> None:
        async with serving() as it:
            client = await it.client()
            await client.send(request(body=b"1"))
            assert await client.status() == 200
            await client.reader.readexactly(1)
            await client.send(b"\x00garbage\r\n\r\n")
            assert await client.status() == 400

    run(scene)


BIG = 8_000_000
"""More than the kernel takes for a client that does not read."""


async def big(scope: Scope, receive: Any, send: Callable[[Scope], Awaitable[None]]) -> None:
    size = BIG
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    await send({"type": "http.response.body", "body": b"b" * size})


def test_a_client_that_takes_nothing_of_its_answer_is_dropped() -> None:
    async def scene() -> None:
        async with serving(big, body_timeout_ms=100) as it:
            client = await it.client()
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(request())
            while not it.server.http:
                await asyncio.sleep(0.001)
            while it.server.http:
                await asyncio.sleep(0.01)
            assert it.server.server_state.unauthenticated.at("127.0.0.1") == 0

    run(scene)


@pytest.mark.parametrize("keep_alive_ms", [0, 50])
def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(keep_alive_ms: int) -> None:
    async def scene() -> None:
        async with serving(big, body_timeout_ms=1000, keep_alive_ms=keep_alive_ms) as it:
            client = await it.client()
            await client.send(request())
            assert await client.status() == 200
            loop, taken = asyncio.get_running_loop(), 0
            begun = loop.time()
            while part := await client.reader.read(64_000):
                taken += len(part)
                await asyncio.sleep(0.012)
            assert taken == BIG
            assert loop.time() - begun > 1, "or it was not slow"

    run(scene)


APIS = {"/v1/x": 4096}


@asynccontextmanager
async def serving_apis(**limits: int) -> AsyncIterator[HttpScene]:
    async with serving(**limits) as it:
        it.server.server_state.apis = APIS
        yield it


def test_an_api_has_a_bound_of_its_own_on_bodies_and_refuses_in_json() -> None:
    async def scene() -> None:
        async with serving_apis(max_body_bytes=1024) as it:
            for body, status in ((b"x" * 4096, 200), (b"x" * 4097, 413)):
                client = await it.client()
                await client.send(request(body=body, path="/v1/x?y=1"))
                assert await client.status() == status
                if status == 413:
                    why = {"message": "Request body over 4096 bytes", "type": "invalid_request_error"}
                    assert msgspec.json.decode(await client.rest()) == {"error": why}
            other = await it.client()
            await other.send(request(body=b"x" * 1025, path="/v1/y"))
            assert await other.status() == 413
            assert (await other.rest()).endswith(b": Request body over 1024 bytes\n")

    run(scene)


def test_the_bound_holds_for_a_body_without_a_length_and_not_for_what_comes_after_it() -> None:
    async def scene() -> None:
        async with serving_apis(max_body_bytes=1024) as it:
            client = await it.client()
            chunked = b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n800\r\n%b\r\n0\r\n\r\n"
            await client.send(chunked % (b"/v1/x", b"x" * 2048))
            assert await client.status() == 200
            assert await client.reader.readexactly(4) == b"2048"
            await client.send(chunked % (b"/v1/y", b"x" * 2048))
            assert await client.status() == 413
            assert (await client.rest()).endswith(b": Request body over 1024 bytes\n")

    run(scene)


def test_the_configs_bound_holds_where_it_is_the_wider_one() -> None:
    async def scene() -> None:
        async with serving_apis(max_body_bytes=8192) as it:
            client = await it.client()
            await client.send(request(body=b"x" * 8192, path="/v1/x"))
            assert await client.status() == 200

    run(scene)
