"""The address and the secret that commands use for the gateway.

Both come from the options, the environment, the config, and the generated token file, in this order. Secrets in files
of this machine are sent to gateways on this machine only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click

from gateway.access.token import token_file
from gateway.client.handshake import is_loopback_url
from gateway.client.served import access_point
from gateway.config import files, lastgood
from gateway.config.schema import Config
from gateway.files.paths import Paths

TIMEOUT_S = 10.0
F = TypeVar("F", bound=Callable[..., Any])


def target_options(command: F) -> F:
    """The options `url`, `token`, `password` and `timeout` (seconds)."""
    timeout = click.option(
        "--timeout", default=TIMEOUT_S, show_default=True, metavar="SECONDS", help="How long to wait."
    )
    return address_options(timeout(command))


def address_options(command: F) -> F:
    """The options `url`, `token` and `password`, for a command with a timeout of its own."""
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
    """Find address and secret. An option for one secret replaces all secrets that would be found.

    Raises click.UsageError for a bad address.
    """
    paths = Paths.from_env(env)
    snapshot = files.read(paths.config, env, paths.state, access_only=True)
    # The service may have secrets that this shell lacks: variables of its unit, credentials, programs.
    opened = access_point(env) if snapshot.config is None else None
    config = snapshot.config or (None if opened else _last_good(paths, env)) or Config()
    port = opened.port if opened else config.gateway.port
    address = url or env.get("OPENCLAW_GATEWAY_URL") or f"ws://{_host(config)}:{port}"
    if token or password:
        return Target(address, token, password)
    token, password = env.get("OPENCLAW_GATEWAY_TOKEN"), env.get("OPENCLAW_GATEWAY_PASSWORD")
    split(address)
    if is_loopback_url(address):
        auth = config.gateway.auth
        token, password = auth.token or token, auth.password or password
        opened = opened or (None if token or password else access_point(env))
        token, password = (opened.token, opened.password) if opened else (token, password)
        if not token and not password:
            token = _generated(paths)
    return Target(address, token, password)


def _last_good(paths: Paths, env: Mapping[str, str]) -> Config | None:
    good = lastgood.load(paths.state, paths.config, env)
    return good.config if good else None


def _host(config: Config) -> str:
    host = config.gateway.custom_bind_host if config.gateway.bind == "custom" else None
    return f"[{host}]" if host and ":" in host else host or "127.0.0.1"


def _generated(paths: Paths) -> str | None:
    try:
        return token_file(paths.state).read_text().strip() or None
    except OSError:
        return None  # without a token the gateway says what is missing


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
