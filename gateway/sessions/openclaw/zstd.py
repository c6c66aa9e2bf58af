"""Texts that OpenClaw has compressed. Where dpkg or rpm is, its library is there too."""

import ctypes


class NoZstd(Exception):
    """libzstd is not installed."""


def decompress(data: bytes, size: int) -> bytes:
    """`size`: bytes of the text. Raises NoZstd, and ValueError for what is damaged."""
    library = _library()
    text = ctypes.create_string_buffer(size)
    got = library.ZSTD_decompress(text, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)))
    if library.ZSTD_isError(ctypes.c_size_t(got)) or got != size:
        raise ValueError("damaged: it cannot be decompressed")
    return text.raw


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError as error:
        raise NoZstd("compressed, and libzstd.so.1 is not installed") from error
    library.ZSTD_decompress.restype = ctypes.c_size_t
    return library
