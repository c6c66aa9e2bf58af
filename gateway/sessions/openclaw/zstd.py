"""Decompression of OpenClaw's texts by libzstd, which dpkg and rpm depend on."""

import ctypes


class NoZstd(Exception):
    """libzstd is not installed."""


def decompress(data: bytes, size: int) -> bytes:
    """The text. `size`: its bytes. Raises NoZstd, and ValueError if the data is damaged."""
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
