import ctypes
from pathlib import Path

import pytest

from gateway.sessions.openclaw.zstd import NoZstd, decompress

HELLO = bytes.fromhex("28b52ffd2005290000") + b"hello"


def test_a_text_comes_out_as_it_went_in() -> None:
    assert decompress(HELLO, 5) == b"hello"


@pytest.mark.parametrize(("data", "size"), [(HELLO, 4), (HELLO, 6), (HELLO[:-1], 5), (b"plain", 5), (b"", 5)])
def test_what_is_damaged_says_so(data: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="damaged"):
        decompress(data, size)


def test_a_machine_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", lambda name: real(str(tmp_path / name)))
    with pytest.raises(NoZstd, match="libzstd.so.1 is not installed"):
        decompress(HELLO, 5)
