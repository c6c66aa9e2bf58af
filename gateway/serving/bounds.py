"""Counts what a client sends of its HTTP requests, and says when a bound is met. Pure.

httptools parses whatever it is fed, so it is counted here: the caller adds to `head_bytes` before the parser gets
bytes, calls `begin`, `head`, `length`, `body` and `end` from its callbacks, and asks `head_too_large` afterwards.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.serving import heads

if TYPE_CHECKING:
    from gateway.config.schema import Limits


class RequestRefused(Exception):
    """Raised in a callback of the parser, which reports an error then; `RequestBounds.refusal` says the answer."""


class RequestBounds:
    __slots__ = (
        *("_announced", "_apis", "_body_bytes", "_limits", "_max_body"),
        *("api", "head_bytes", "in_head", "receiving", "refusal"),
    )

    def __init__(self, limits: "Limits", apis: Mapping[str, int]) -> None:
        """`apis`: paths where a body may have more bytes than the limit says, each with how many."""
        self._limits = limits
        self._apis = apis
        self._max_body = limits.max_body_bytes
        self._body_bytes = self._announced = 0
        self.receiving = False
        """A request has begun and is not complete."""
        self.in_head = False
        """Its head is not complete."""
        self.api = False
        """Its head is complete, and names the path of an API."""
        self.head_bytes = 0
        """Bytes fed since the last callback that is not of a head: those of a head, or of trailers, so far."""
        self.refusal: tuple[int, str] | None = None
        """Status and text of the answer, once a request has been refused in a callback."""

    def begin(self) -> None:
        self.receiving = self.in_head = True
        self.api = False
        self._max_body = self._limits.max_body_bytes
        self._body_bytes = 0

    def head(self, version: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """The head is complete. Raise RequestRefused if it is too large, or not one of HTTP/1.1 or 1.0."""
        self.in_head = False
        if len(headers) > self._limits.max_headers:
            raise self.refuse(431, f"More than {self._limits.max_headers} header lines")
        # What was fed may have the beginning of the body too.
        most = self._limits.max_head_bytes
        if self.head_bytes > most and _size(target, headers) > most:
            raise self.refuse(*self.head_refusal)
        self.head_bytes = 0
        body = self._apis.get(target.partition(b"?")[0].decode("latin-1"))
        if body is not None:
            self.api, self._max_body = True, max(self._max_body, body)
        fault, self._announced = heads.judge(version, headers)
        if fault is not None:
            raise self.refuse(400, fault)

    def length(self) -> None:
        """Raise RequestRefused if the head announces too large a body."""
        if self._announced > self._max_body:
            raise self._too_large_a_body()

    def body(self, size: int) -> None:
        """Raise RequestRefused if the body has become too large."""
        self.head_bytes = 0
        self._body_bytes += size
        if self._body_bytes > self._max_body:
            raise self._too_large_a_body()

    def end(self) -> None:
        self.receiving = False
        self.head_bytes = 0

    @property
    def head_too_large(self) -> bool:
        """Bytes that led to no callback are a head that goes on, or a trailer."""
        return self.head_bytes > self._limits.max_head_bytes

    @property
    def head_refusal(self) -> tuple[int, str]:
        """Status and text of the answer to a head that is too large."""
        return 431, f"Request head over {self._limits.max_head_bytes} bytes"

    def _too_large_a_body(self) -> RequestRefused:
        return self.refuse(413, f"Request body over {self._max_body} bytes")

    def refuse(self, status: int, text: str) -> RequestRefused:
        """Note the answer; the caller raises what is returned."""
        self.refusal = (status, text)
        return RequestRefused(text)


def _size(target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Bytes of a head: its target, and each line with its separators."""
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
