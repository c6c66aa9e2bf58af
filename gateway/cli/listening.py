"""The port and addresses that `install` gives the socket unit: of the options, the config, or the installed unit."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config import files
from gateway.config.validate import REFUSING, SECRET_VARIABLES, unguarded
from gateway.errors import ConfigInvalid
from gateway.files.paths import Paths
from gateway.machine.container import bind_word
from gateway.units import installation
from gateway.units.addresses import DEFAULT_PORT, ListenAddress, resolve
from gateway.units.installation import installed_addresses
from gateway.units.places import unit_folder


@dataclass(frozen=True)
class Choice:
    addresses: tuple[ListenAddress, ...]
    notes: tuple[str, ...]
    """Notes for the user about the choice."""
    guarded: bool
    """Whether clients need a secret that the user has chosen."""
    open_to: tuple[str, ...] = ()
    """Addresses that other machines can reach, with the user's drop-ins for the socket unit."""
    refusal: str | None = None
    """The config's issue, if it would let other machines in without a secret."""


def choose(env: Mapping[str, str], port: int | None, bind: str | None, replaced_port: int | None = None) -> Choice:
    """`replaced_port` is the port of a unit that ours replaces; it is the last choice."""
    paths = Paths.from_env(env)
    snapshot = files.read(paths.config, _of_the_service(env), paths.state, access_only=True)
    present = installed_addresses(unit_folder(env)) or ()
    notes: list[str] = []
    if snapshot.config is None:
        notes.append(f"{paths.config} has errors, so it does not say the port: openclaw-gateway config check")
    section = snapshot.config.gateway if snapshot.config else None
    set_port = section.port if section and ("port" in _gateway(snapshot) or env.get("OPENCLAW_GATEWAY_PORT")) else None
    chosen = port or set_port or (present[0].port if present else None) or replaced_port or DEFAULT_PORT
    if port and set_port and port != set_port:
        way_out = f"openclaw-gateway config set gateway.port {port}"
        notes.append(f"the config says port {set_port}, and clients that read it look there: {way_out}")
    word = bind
    if word is None and section and "bind" in _gateway(snapshot):
        word = _bind_word(section.bind, section.custom_bind_host, notes)
    if word is None and present:
        addresses = tuple(ListenAddress(address.host, chosen) for address in present)
    else:
        addresses = resolve(bind_word(word or "loopback"), chosen)
    guarded = section is not None and unguarded(section.auth) is None
    refusal = next((str(issue) for issue in snapshot.issues if issue.message.startswith(REFUSING)), None)
    refusal = refusal if bind is None else None
    in_force = installation.in_force(unit_folder(env), addresses)
    open_to = tuple(str(address) for address in in_force if not address.is_loopback)
    return Choice(addresses, tuple(notes), guarded, open_to, refusal)


def _of_the_service(env: Mapping[str, str]) -> dict[str, str]:
    """The service's environment: without this shell's secrets, with the variables of drop-ins."""
    kept = {name: value for name, value in env.items() if name not in SECRET_VARIABLES.values()}
    return kept | installation.drop_in_environment(unit_folder(env))


def _gateway(snapshot: files.Snapshot) -> Mapping[str, object]:
    section = snapshot.tree.get("gateway")
    return section if isinstance(section, dict) else {}


def _bind_word(bind: str, host: str | None, notes: list[str]) -> str:
    if bind in ("custom", "tailnet"):
        if host:
            return host
        notes.append(f"gateway.bind is {bind} without an address, so it is loopback; name one with --bind ADDRESS")
        return "loopback"
    return bind


def refuse_open_port(choice: Choice) -> None:
    """Refuse addresses for other machines if clients need no secret. Raises ConfigInvalid."""
    if choice.refusal is not None:
        raise ConfigInvalid(f"{choice.refusal}; nothing was changed")
    if choice.open_to and not choice.guarded:
        raise ConfigInvalid(
            f"{REFUSING} to {', '.join(choice.open_to)} without auth; nothing was changed. Set a token first, in the "
            "config file or in .env beside the state, because the service does not have this shell's variables "
            "(openclaw-gateway config set gateway.auth.token …, and gateway.auth.mode token), or use --bind loopback"
        )
