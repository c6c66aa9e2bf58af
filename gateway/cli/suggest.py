"""Completions that the running gateway gives: keys of sessions, names of models."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import click

from gateway.cli.call import client_of
from gateway.cli.target import find_target
from gateway.errors import GatewayError
from gateway.units.installation import service_environment

PATIENCE_S = 1.0
"""Seconds that a completion may take."""
MOST = 200


def session_keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Keys of sessions, those of the default agent without `agent:<id>:`: bash ends a word at a colon."""

    def read(sessions: Any, agents: Any) -> list[str]:
        prefix = f"agent:{agents['defaultId']}:"
        return [str(row["key"]).removeprefix(prefix) for row in sessions["sessions"]]

    return _starting(incomplete, _ask(ctx, read, ("sessions.list", {"limit": MOST}), ("agents.list", {})))


def model_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    def read(found: Any) -> list[str]:
        return [f"{row['provider']}/{row['id']}" for row in found["models"]]

    return _starting(incomplete, _ask(ctx, read, ("models.list", {})))


def _starting(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _ask(ctx: click.Context, read: Callable[..., list[str]], *calls: tuple[str, dict[str, Any]]) -> list[str]:
    given = [ctx.params.get(name) for name in ("url", "token", "password")]

    async def ask() -> list[str]:
        async with client_of(find_target(service_environment(os.environ), *given), PATIENCE_S) as client:
            return read(*[await client.call(method, params) for method, params in calls])

    try:
        return asyncio.run(ask())
    except (GatewayError, click.UsageError):
        return []  # without a gateway there are no completions
