"""The texts that `install` writes: the shipped units with this installation's command, and the drop-in for addresses.

Pure. The same input gives the same bytes: `doctor` compares the files on disk with them to find stale ones.
"""

from collections.abc import Iterable, Mapping, Sequence

from gateway.units import MARK, SHIPPED_COMMANDS, shipped
from gateway.units.addresses import ListenAddress
from gateway.units.syntax import assignments, command

_HEAD = f"{MARK}, which would overwrite a change made here.\n# To change it: systemctl --user edit {{unit}}\n"


def service(name: str, program: Sequence[str], environment: Mapping[str, str]) -> str:
    """A service that runs `program`, an absolute command such as `("/home/u/.local/bin/openclaw-gateway",)`."""
    text = shipped(name).replace(SHIPPED_COMMANDS[name], command(program))
    lines = text.splitlines()
    if environment:
        place = lines.index("[Service]") + 1
        lines[place:place] = assignments(environment)
    return _HEAD.format(unit=name) + "\n".join(lines) + "\n"


def unchanged(name: str) -> str:
    """A unit that is the same in each installation: a socket, or `GONE`."""
    return _HEAD.format(unit=name) + shipped(name)


def listen(addresses: Iterable[ListenAddress]) -> str:
    """The drop-in that replaces the shipped addresses. Its empty assignment clears them."""
    lines = [f"{MARK}: --port and --bind.", "[Socket]", "ListenStream="]
    return "\n".join(lines + [f"ListenStream={address}" for address in addresses]) + "\n"
