"""The bounds, fed as a connection feeds them: by httptools' callbacks, in slices."""

from dataclasses import dataclass, field

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.schema import Limits
from gateway.serving.bounds import RequestBounds, RequestRefused
from tests.effort import examples

LIMITS = Limits(max_head_bytes=1024, max_headers=5, max_body_bytes=100)
APIS = {"/api": 300}
SLICE = 256


class Fed:
    """What a connection does with the bounds."""

    def __init__(self) -> None:
        self.bounds = RequestBounds(LIMITS, APIS)
        self.parser = httptools.HttpRequestParser(self)
        self.served = 0
        self.refusal: tuple[int, str] | None = None

    def feed(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            if self.refusal is not None:
                return
            part = data[start : start + SLICE]
            self.bounds.head_bytes += len(part)
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserError:
                self.refusal = self.bounds.refusal or (400, "")
            else:
                if self.bounds.receiving and self.bounds.head_too_large:
                    self.refusal = self.bounds.head_refusal
            assert self.refusal or self.bounds.head_bytes <= LIMITS.max_head_bytes + SLICE, "so much is held at most"

    def on_message_begin(self) -> None:
        self.bounds.begin()
        self.url, self.headers = b"", []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.bounds.in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.bounds.head(self.parser.get_http_version(), self.url, self.headers)
        self.bounds.length()

    def on_body(self, body: bytes) -> None:
        self.bounds.body(len(body))

    def on_message_complete(self) -> None:
        self.bounds.end()
        self.served += 1


@dataclass
class WireRequest:
    """One request as a client writes it."""

    path: str
    headers: list[tuple[str, str]]
    body: int
    chunks: int | None
    """Bytes of each chunk; None: the body's length is announced."""
    trailer: int
    wire: bytes = field(init=False)
    head: int = field(init=False)

    def __post_init__(self) -> None:
        length = "transfer-encoding: chunked" if self.chunks else f"content-length: {self.body}"
        lines = [f"POST {self.path} HTTP/1.1", "host: x", length, *(f"{name}: {value}" for name, value in self.headers)]
        head = "\r\n".join([*lines, "", ""]).encode()
        self.head = len(head)
        self.wire = head + (b"b" * self.body if self.chunks is None else self._chunked(self.chunks))

    def _chunked(self, size: int) -> bytes:
        sizes = [min(size, self.body - at) for at in range(0, self.body, size)]
        trailer = b"t: %b\r\n" % (b"t" * self.trailer) if self.trailer else b""
        return b"".join(b"%x\r\n%b\r\n" % (n, b"b" * n) for n in sizes) + b"0\r\n" + trailer + b"\r\n"

    @property
    def counted(self) -> int:
        """The size of the head as it is counted once it is complete: without the words of its first line."""
        return self.head - len("POST  HTTP/1.1\r\n") - len("\r\n")

    @property
    def refused(self) -> set[int | None]:
        """The answers that are right."""
        if len(self.headers) + 2 > LIMITS.max_headers or self.counted > LIMITS.max_head_bytes:
            return {431}
        if self.body > (APIS["/api"] if self.path in ("/api", "/api?q=1") else LIMITS.max_body_bytes):
            # Of a head that is over the bound by its first line alone both may be said.
            return {413} if self.head <= LIMITS.max_head_bytes else {413, 431}
        if self.chunks and self.trailer > LIMITS.max_head_bytes + 2 * SLICE:
            return {431}
        slack = self.chunks and self.trailer + SLICE > LIMITS.max_head_bytes
        return {None} if self.head <= LIMITS.max_head_bytes and not slack else {None, 431}


requests = st.builds(
    WireRequest,
    path=st.sampled_from(["/", "/api", "/api?q=1", "/apis", "/" + "p" * 900]),
    headers=st.lists(
        st.tuples(st.sampled_from(["a", "b", "cookie"]), st.integers(1, 500).map(lambda n: "v" * n)), max_size=4
    ),
    body=st.sampled_from([0, 1, 99, 100, 101, 299, 300, 301, 2000]),
    chunks=st.sampled_from([None, None, 1, 7, 150]),
    trailer=st.sampled_from([0, 0, 10, 700, 1100, 5000]),
)


@given(asked=st.lists(requests, min_size=1, max_size=4), data=st.data())
@settings(max_examples=examples(300), deadline=None)
def test_what_is_within_the_bounds_is_served_and_what_is_beyond_them_is_not(
    asked: list[WireRequest], data: st.DataObject
) -> None:
    fed = Fed()
    for number, each in enumerate(asked):
        cut = data.draw(st.integers(0, len(each.wire)))
        fed.feed(each.wire[:cut])
        fed.feed(each.wire[cut:])
        status = fed.refusal and fed.refusal[0]
        assert status in each.refused
        if status is not None:
            return
        assert fed.served == number + 1 and not fed.bounds.receiving and fed.bounds.head_bytes == 0


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "A request needs one Host"),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"x" * 1100, "Request head over 1024 bytes"),
        (b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 301\r\n\r\n", "Request body over 300 bytes"),
        (b"GET / HTTP/1.1\r\nhost: x\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\n\r\n", "More than 5 header lines"),
    ],
)
def test_the_answer_says_which_bound_it_was(wire: bytes, text: str) -> None:
    fed = Fed()
    fed.feed(wire)
    assert fed.refusal is not None and fed.refusal[1] == text


def test_what_the_caller_refuses_is_noted_as_well() -> None:
    bounds = RequestBounds(LIMITS, APIS)
    with pytest.raises(RequestRefused, match="Too many"):
        raise bounds.refuse(503, "Too many")
    assert bounds.refusal == (503, "Too many")


def test_a_path_is_an_apis_until_the_next_request_begins() -> None:
    fed = Fed()
    fed.feed(b"POST /api?x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhel")
    assert fed.bounds.api and fed.bounds.receiving and not fed.bounds.in_head
    fed.feed(b"loGET")
    assert not fed.bounds.api and fed.bounds.in_head
