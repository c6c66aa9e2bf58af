"""The gateway's variables that name files and the way to the network, put into the agent's own environment.

There they apply to programs that the agent starts, and to its requests to providers and MCP servers. A variable that
the agent's unit sets has precedence, as over a `.env`.
"""

import os
from collections.abc import Mapping

from gateway.machine.inherited import NAMES

_adopted: dict[str, str] = {}


def adopt(given: Mapping[str, str]) -> bool:
    """Set the variables of `given` that are in `NAMES`, and remove those of the call before that are not given now.

    Return whether a variable has changed.
    """
    wanted = {name: given[name] for name in NAMES if name in given and (name in _adopted or name not in os.environ)}
    if wanted == _adopted:
        return False
    for name in _adopted:
        os.environ.pop(name, None)
    os.environ.update(wanted)
    _adopted.clear()
    _adopted.update(wanted)
    return True
