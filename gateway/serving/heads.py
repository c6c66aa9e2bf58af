"""Checks the head of a request for what the parser does not look at. Pure.

A proxy before us may read such a head in another way than we do, so it is refused (RFC 9112, 3.2 and 6.1).
"""

from collections.abc import Iterable

VERSIONS = ("1.1", "1.0")


def judge(version: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, int]:
    """Return why the request is answered 400, or None, and the most bytes that a Content-Length announces.

    Names of headers are in lower case. The parser has refused what is no number.
    """
    if version not in VERSIONS:
        return f"HTTP/{version} is not spoken here", 0
    hosts, coding, announced = 0, None, 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            coding = value if coding is None else b"more than one"
        elif name == b"content-length":
            announced = max(announced, int(value))
    if hosts > 1 or (not hosts and version == "1.1"):
        return "A request needs one Host", announced
    if coding is not None and coding.strip().lower() != b"chunked":
        return "The only transfer coding is chunked", announced
    return None, announced
