"""What `install` writes: the shipped units with this installation's command in them, and the drop-in for the addresses.

Pure, and the same input gives the same bytes: `doctor` compares files on disk with it to find stale ones.
"""

from collections.abc import Iterable, Mapping, Sequence

from gateway.units import MARK, SHIPPED_COMMANDS, shipped
from gateway.units.addresses import Address
from gateway.units.syntax import assignments, command

_HEAD = f"{MARK}, which would overwrite a change made here.\n# To change it: systemctl --user edit {{unit}}\n"


def service(name: str, program: Sequence[str], environment: Mapping[str, str]) -> str:
    """`program` is the absolute command without its verb, such as `("/home/u/.local/bin/openclaw-gateway",)`."""
    text = shipped(name).replace(SHIPPED_COMMANDS[name], command(program))
    lines = text.splitlines()
    if environment:
        place = lines.index("[Service]") + 1
        lines[place:place] = assignments(environment)
    return _HEAD.format(unit=name) + "\n".join(lines) + "\n"


def unchanged(name: str) -> str:
    """A unit that says nothing of this installation: a socket, and what comes when a program is gone."""
    return _HEAD.format(unit=name) + shipped(name)


def listen(addresses: Iterable[Address]) -> str:
    """The drop-in that replaces the shipped addresses; the empty assignment clears them first."""
    lines = [f"{MARK}: --port and --bind.", "[Socket]", "ListenStream="]
    return "\n".join(lines + [f"ListenStream={address}" for address in addresses]) + "\n"
