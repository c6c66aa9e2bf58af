"""The server: uvicorn's classes, with bounds, and with a way of leaving that loses nothing.

uvicorn's package imports its command line, and with it click, multiprocessing and tempfile: a twelfth of all that a
start imports. Nobody starts that here, so something stands in its place.
"""

import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any


class _CommandLine(ModuleType):
    """`uvicorn.main`, with the names that the package takes from it."""

    main = run = None

    @property
    def Server(self) -> Any:
        from uvicorn.server import Server

        return Server


sys.modules.setdefault("uvicorn.main", _CommandLine("uvicorn.main"))


def _import_without(module: str, part: str) -> None:
    """Import a module without a part of the standard library that it imports, and does not use for what we need."""
    if part in sys.modules:
        return
    sys.modules[part] = ModuleType(part)
    try:
        with suppress(AttributeError):  # another version uses it while it is imported: then it is imported with it
            import_module(module)
    finally:
        del sys.modules[part]


# Pickle, and servers that receive log records: a megabyte. We configure logs ourselves.
_import_without("uvicorn.config", "logging.config")
# email, zipfile and tempfile: another megabyte. Only a version of websockets between two releases looks itself up.
_import_without("websockets.version", "importlib.metadata")
