"""The part of the gateway's sandbox that needs namespaces: tried by `install`, written only where it works.

Where a user manager cannot make them (a container, WSL, unprivileged user namespaces switched off), a unit that asks
for them does not start: 226/NAMESPACE, 218/CAPABILITIES. So it is a drop-in; without it the gateway serves as well.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.units import MARK, SANDBOX_DROP_IN, shipped
from gateway.units.places import read
from gateway.units.syntax import parse, quote
from gateway.units.systemctl import Systemctl

FAILURES = {217: "USER", 218: "CAPABILITIES", 226: "NAMESPACE", 228: "SECCOMP"}
"""Exit statuses of a unit whose sandbox could not be made; systemd's names for them."""
NEVER_TRIED = "no user manager answered when it was installed, so nobody knows whether it can make namespaces"
FAILED = (
    "this user manager cannot make user and mount namespaces (a container, WSL, AppArmor, user.max_user_namespaces)"
)

_SHIPPED = "sandbox.conf"
_REFUSED = f"{MARK}, without the namespaces: "


def text(refusal: str | None) -> str:
    """The drop-in; with a refusal it holds nothing but the reason, for `doctor` and for who looks."""
    if refusal is None:
        return f"{MARK}.\n{shipped(_SHIPPED)}"
    return f"{_REFUSED}{refusal}.\n# Running it again tries again.\n"


def refusal_on_disk(folder: Path) -> str | None:
    """Why an earlier `install` left the namespaces out; None where it did not, or there was none."""
    first = next(iter((read(folder / SANDBOX_DROP_IN) or "").splitlines()), "")
    return first.removeprefix(_REFUSED).removesuffix(".") if first.startswith(_REFUSED) else None


def find_refusal(
    systemctl: Systemctl | None, folder: Path, env: Mapping[str, str], program: Sequence[str]
) -> str | None:
    """Try it, with the program that will run in it. None: it works."""
    if systemctl is None:
        return refusal_on_disk(folder) if (folder / SANDBOX_DROP_IN).exists() else NEVER_TRIED
    return None if systemctl.try_out(_properties(env.get("HOME", "")), [*program, "--version"]) else FAILED


def _properties(home: str) -> list[str]:
    """As a transient unit takes them, which knows no specifiers."""
    settings = [(each.key, each.value) for each in parse(shipped(_SHIPPED)) if home or "%h" not in each.value]
    return [f"{key}={' '.join(quote(word.replace('%h', home)) for word in value.split())}" for key, value in settings]
