"""Checks the head of a request for what the parser does not look at. Pure.

A proxy before us may read such a head in another way than we do, so it is refused (RFC 9112, 3.2 and 6.1).
"""

from collections.abc import Iterable

VERSIONS = ("1.1", "1.0")


def fault(version: str, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return why the request is answered 400, or None. Names of headers are in lower case."""
    if version not in VERSIONS:
        return f"HTTP/{version} is not spoken here"
    hosts, encodings = 0, []
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            encodings.append(value)
    if hosts > 1 or (not hosts and version == "1.1"):
        return "A request needs one Host"
    if encodings and (len(encodings) > 1 or encodings[0].strip().lower() != b"chunked"):
        return "The only transfer coding is chunked"
    return None
