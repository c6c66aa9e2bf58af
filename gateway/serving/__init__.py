"""The server: uvicorn's classes, with bounds, and with a way of leaving that loses nothing.

uvicorn's package imports its command line, and with it click, multiprocessing and tempfile: a twelfth of all that a
start imports. Nobody starts that here, so something stands in its place.
"""

import sys
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
