"""Where `call`, `health` and `devices` connect to, and with which secret.

Address and secret come from the options, the environment, the config, and the generated token file, in this order.
What lies on this machine is sent to this machine only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from gateway.cli.served import door
from gateway.config import files, lastgood
from gateway.config.schema import Config
from gateway.lifecycle.token import token_file
from gateway.paths import Paths
from gateway.protocol.approach import is_near

TIMEOUT_S = 10.0
F = TypeVar("F", bound=Callable[..., Any])


def target_options(command: F) -> F:
    """`url`, `token`, `password` and `timeout`, for each command that asks a gateway."""
    timeout = click.option(
        "--timeout", default=TIMEOUT_S, show_default=True, metavar="SECONDS", help="How long to wait."
    )
    return address_options(timeout(command))


def address_options(command: F) -> F:
    """`url`, `token` and `password`, for a command with a time of its own."""
    for option in (
        click.option("--password", help="Better in OPENCLAW_GATEWAY_PASSWORD."),
        click.option("--token", help="Better in OPENCLAW_GATEWAY_TOKEN: options show in the process list."),
        click.option(
            "--url",
            metavar="URL",
            help="Such as ws://127.0.0.1:18789. Default: OPENCLAW_GATEWAY_URL, then the config's port.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Target:
    url: str
    token: str | None = field(repr=False)
    password: str | None = field(repr=False)


def find_target(
    env: Mapping[str, str], url: str | None = None, token: str | None = None, password: str | None = None
) -> Target:
    """Where to connect, and with which secret. An option for one secret leaves out what would be found for both."""
    paths = Paths.from_env(env)
    found = _config(paths, env)
    config = found or Config()
    named = url or env.get("OPENCLAW_GATEWAY_URL")
    address = named or f"ws://{_host(config)}:{config.gateway.port}"
    if token or password:
        return Target(address, token, password)
    token, password = env.get("OPENCLAW_GATEWAY_TOKEN"), env.get("OPENCLAW_GATEWAY_PASSWORD")
    split(address)
    if is_near(address):
        token = config.gateway.auth.token or token
        password = config.gateway.auth.password or password
        if found is None or (not token and not password):
            # What only the service has: a variable of its unit, a credential, a program that only it may run.
            opened = door(env)
            token, password = (opened.token, opened.password) if opened else (token, password)
            address = f"ws://127.0.0.1:{opened.port}" if opened and not named and found is None else address
        if not token and not password:
            token = _generated(paths)
    return Target(address, token, password)


def _config(paths: Paths, env: Mapping[str, str]) -> Config | None:
    """What the gateway runs on, as far as this shell can tell: the file, else the last good one."""
    snapshot = files.read(paths.config, env, paths.state, door_only=True)
    good = None if snapshot.config else lastgood.load(paths.state, paths.config, env)
    return snapshot.config or (good.config if good else None)


def _host(config: Config) -> str:
    host = config.gateway.custom_bind_host if config.gateway.bind == "custom" else None
    return f"[{host}]" if host and ":" in host else host or "127.0.0.1"


def _generated(paths: Paths) -> str | None:
    try:
        return token_file(paths.state).read_text().strip() or None
    except OSError:
        return None  # without it the gateway says what is missing


def with_scheme(url: str, other: Mapping[str, str]) -> str:
    parts = split(url)
    return parts._replace(scheme=other.get(parts.scheme, parts.scheme)).geturl()


def split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("ws", "wss", "http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise click.UsageError(f"{url!r} is no address of a gateway; one looks like ws://127.0.0.1:18789")
