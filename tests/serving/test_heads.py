import pytest

from gateway.serving.heads import judge

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
    assert judge(version, headers)[0] is None


@pytest.mark.parametrize(("lengths", "most"), [((), 0), ((b"7",), 7), ((b"7", b"9", b"8"), 9)])
def test_the_longest_body_that_is_announced(lengths: tuple[bytes, ...], most: int) -> None:
    assert judge("1.1", [HOST, *((b"content-length", length) for length in lengths)]) == (None, most)


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
    assert why in (judge(version, headers)[0] or "")
