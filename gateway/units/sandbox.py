"""The part of the gateway's sandbox that needs namespaces. `install` tries it, and writes it only if it works.

If a user manager cannot make namespaces (in a container or WSL, or without unprivileged user namespaces), a unit that
asks for them does not start: 226/NAMESPACE, 218/CAPABILITIES. So they are in a drop-in, and the gateway serves without.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.units import MARK, SANDBOX_DROP_IN, shipped
from gateway.units.places import read
from gateway.units.syntax import parse, quote
from gateway.units.systemctl import Systemctl

FAILURES = {217: "USER", 218: "CAPABILITIES", 226: "NAMESPACE", 228: "SECCOMP"}
"""Exit statuses of a unit whose sandbox could not be set up -> systemd's names for them."""
NEVER_TRIED = "no user manager answered when it was installed, so nobody knows whether it can make namespaces"
FAILED = (
    "this user manager cannot make user and mount namespaces (a container, WSL, AppArmor, user.max_user_namespaces)"
)

_SHIPPED = "sandbox.conf"
_REFUSED = f"{MARK}, without the namespaces: "


def text(refusal: str | None) -> str:
    """The drop-in. With a refusal it has no setting, only the reason, for `doctor` and for the user."""
    if refusal is None:
        return f"{MARK}.\n{shipped(_SHIPPED)}"
    return f"{_REFUSED}{refusal}.\n# Running it again tries again.\n"


def refusal_on_disk(folder: Path) -> str | None:
    """Why an earlier `install` left the namespaces out. None if it did not, or there was no `install`."""
    first = next(iter((read(folder / SANDBOX_DROP_IN) or "").splitlines()), "")
    return first.removeprefix(_REFUSED).removesuffix(".") if first.startswith(_REFUSED) else None


def find_refusal(
    systemctl: Systemctl | None, folder: Path, env: Mapping[str, str], program: Sequence[str]
) -> str | None:
    """Try the sandbox with the program that will run in it. None if it works, else why not."""
    if systemctl is None:
        return refusal_on_disk(folder) if (folder / SANDBOX_DROP_IN).exists() else NEVER_TRIED
    return None if systemctl.try_out(_properties(env.get("HOME", "")), [*program, "--version"]) else FAILED


def _properties(home: str) -> list[str]:
    """The settings as `NAME=VALUE` for a transient unit, which does not resolve specifiers."""
    settings = [(each.key, each.value) for each in parse(shipped(_SHIPPED)) if home or "%h" not in each.value]
    return [f"{key}={' '.join(quote(word.replace('%h', home)) for word in value.split())}" for key, value in settings]
