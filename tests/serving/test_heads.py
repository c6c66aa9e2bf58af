import pytest

from gateway.serving.heads import fault

HOST = (b"host", b"a")
CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.1", [HOST]),
        ("1.0", [HOST]),
        ("1.0", []),
        ("1.1", [HOST, CHUNKED]),
        ("1.1", [HOST, (b"transfer-encoding", b" Chunked ")]),
        ("1.1", [(b"host", b""), (b"x-host", b"b")]),
    ],
)
def test_what_is_read(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert fault(version, headers) is None


@pytest.mark.parametrize(
    ("version", "headers", "why"),
    [
        ("1.1", [], "one Host"),
        ("1.1", [HOST, HOST], "one Host"),
        ("1.0", [HOST, (b"host", b"b")], "one Host"),
        ("0.9", [], "HTTP/0.9"),
        ("2.0", [HOST], "HTTP/2.0"),
        ("1.1", [HOST, CHUNKED, CHUNKED], "transfer coding"),
        ("1.1", [HOST, (b"transfer-encoding", b"identity, chunked")], "transfer coding"),
        ("1.1", [HOST, (b"transfer-encoding", b"cow"), CHUNKED], "transfer coding"),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip")], "transfer coding"),
    ],
)
def test_what_is_refused(version: str, headers: list[tuple[bytes, bytes]], why: str) -> None:
    assert why in (fault(version, headers) or "")
