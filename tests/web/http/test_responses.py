"""Whole answers, bodies, headers and a table of paths."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope

from gateway.web.http.responses import ClientGone, Response, headers_of, read_body, router
from tests.fakes.core import FakeCore
from tests.web.asgi import ask


async def count(scope: Scope, receive: Receive) -> Response:
    return Response(str(len(await read_body(receive))), 200, {"x-of": "bytes"}, "text/plain")


TABLE = router({"/read": ("GET", count), "/write": ("POST", count)})


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/read", 200, None),
        ("HEAD", "/read", 200, None),
        ("POST", "/write", 200, None),
        ("POST", "/read", 405, b"GET, HEAD"),
        ("GET", "/write", 405, b"POST"),
        ("OPTIONS", "/write", 405, b"POST"),
        ("GET", "/read/", 404, None),
        ("GET", "/", 404, None),
    ],
)
def test_an_endpoint_is_found_by_path_and_method(method: str, path: str, status: int, allow: bytes | None) -> None:
    answer = ask(FakeCore(), path, method, body=b"abc", app=TABLE)
    assert (answer.status, answer.headers.get(b"allow")) == (status, allow)
    assert status != 200 or (answer.body, answer.headers) == (
        b"3",
        {b"x-of": b"bytes", b"content-length": b"1", b"content-type": b"text/plain; charset=utf-8"},
    )


def test_an_answer_without_a_body_has_no_length() -> None:
    assert Response(status=204).headers == {}
    assert Response(b"{}", media_type="application/json").headers == {
        "content-length": "2",
        "content-type": "application/json",
    }


def talk(*messages: dict[str, Any]) -> list[Any]:
    """What is sent to a client that sends this."""
    waiting, sent = list(messages), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(TABLE({"path": "/write", "method": "POST"}, receive, send))
    return sent


def test_a_body_comes_in_parts() -> None:
    part = {"type": "http.request", "body": b"ab", "more_body": True}
    assert talk(part, part, {**part, "more_body": False})[1]["body"] == b"6"


def test_who_has_gone_is_not_answered() -> None:
    part = {"type": "http.request", "body": b"ab", "more_body": True}
    assert talk(part, {"type": "http.disconnect"}) == []


def test_whoever_reads_a_body_hears_that_the_client_has_gone() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        asyncio.run(read_body(receive))


def test_of_a_header_that_was_sent_twice_the_first_one_counts() -> None:
    assert headers_of({"headers": [(b"a", b"1"), (b"b", b"\xe4"), (b"a", b"2")]}) == {"a": "1", "b": "ä"}
