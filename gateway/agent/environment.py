"""What the gateway knows of the way to the network, and of where things lie, put into the agent's own environment.

From there programs that are started have it, and requests to providers and MCP servers. What the agent's own unit sets
wins, as it does over a `.env` everywhere.
"""

import os
from collections.abc import Mapping

from gateway.machine.inherited import NAMES

_adopted: dict[str, str] = {}


def adopt(given: Mapping[str, str]) -> bool:
    """Whether anything is another now."""
    wanted = {name: given[name] for name in NAMES if name in given and (name in _adopted or name not in os.environ)}
    if wanted == _adopted:
        return False
    for name in _adopted:
        os.environ.pop(name, None)
    os.environ.update(wanted)
    _adopted.clear()
    _adopted.update(wanted)
    return True
