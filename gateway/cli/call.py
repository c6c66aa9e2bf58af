"""`call` and `health`: ask the running gateway over the WebSocket like any client.

A gateway on another machine gets this machine's device identity; on this machine the secret is enough.
"""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.cli.target import Target, find_target, split, target_options, with_scheme
from gateway.config.parse import parse
from gateway.errors import GatewayError, NotRunning, TimedOut
from gateway.exits import ExitCode
from gateway.files.paths import Paths
from gateway.report import Issue
from gateway.terminal.writer import print_json, print_line
from gateway.text.visible import visible_json
from gateway.units.installation import service_environment

if TYPE_CHECKING:
    from http.client import HTTPConnection

    from gateway.client.client import GatewayClient, GatewayEvent

MAX_PROBE = 64 * 1024
"""Bytes of a probe's answer that are read."""

as_answer = click.option("--json", "as_json", is_flag=True, help="One line: {ok, payload} or {ok, error}.")


@click.command()
@click.argument("method")
@click.argument("params", default="{}", metavar="[PARAMS]")
@click.option("-f", "--follow", is_flag=True, help="Then print events as they come, one a line, until Ctrl-C.")
@target_options
@as_answer
def call(method: str, params: str, follow: bool, **where: Any) -> int:
    """Call METHOD over the WebSocket and print what it answers.

    PARAMS is an object in JSON or JSON5. On this machine the secret is found by itself. A gateway elsewhere first wants
    this machine to be approved, and then needs its secret no more.

    \b
    openclaw-gateway call health
    openclaw-gateway call gateway.restart.request '{reason: "new certificates"}'
    openclaw-gateway call health --follow --json

    Exit code 0: answered · 1: refused or failed · 2: bad PARAMS · 3: not running · 14: no answer in time.
    """
    return ask(method, read_params(params), _tell, follow=follow, **where)


def ask(
    method: str,
    params: dict[str, Any],
    tell: Callable[[Any], None],
    *,
    url: str | None,
    token: str | None,
    password: str | None,
    timeout: float,
    as_json: bool,
    follow: bool = False,
) -> int:
    """Call one method and let `tell` print the payload. With `as_json`, errors of the gateway are printed as well."""
    from gateway.client.errors import WireFailure

    target = find_target(service_environment(os.environ), url, token, password)

    async def talk() -> None:
        async with client_of(target, timeout) as client:
            payload = await client.call(method, params)
            print_json({"ok": True, "payload": payload}) if as_json else tell(payload)
            if follow:
                async for event in client.events():
                    _tell_event_json(event) if as_json else _tell_event(event)

    try:
        asyncio.run(talk())
    except WireFailure as failure:
        if not as_json:
            raise
        error = {"code": failure.code, "message": failure.message, "details": failure.details}
        print_json({"ok": False, "error": error})
        return ExitCode.FAILURE
    return ExitCode.OK


def _tell(payload: Any) -> None:
    print_json(payload, indent=2)


def _tell_event(event: "GatewayEvent") -> None:
    print_line(f"{event.name} {visible_json(json.dumps(event.payload, ensure_ascii=False))}")


def _tell_event_json(event: "GatewayEvent") -> None:
    print_json({"event": event.name, "payload": event.payload, "seq": event.seq})


@click.command()
@click.option("--ws", is_flag=True, help="Ask over the WebSocket, with the secret; says more.")
@target_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def health(ws: bool, url: str | None, token: str | None, password: str | None, timeout: float, as_json: bool) -> int:
    """Ask the running gateway for its health.

    Exit code 0: serves and is well · 3: not running · 4: not ready or degraded, and why · 14: no answer in time.
    """
    target = find_target(service_environment(os.environ), url, token, password)
    answer = asyncio.run(_ask_health(client_of(target, timeout))) if ws else probe(target.url, timeout)
    reasons = [*answer.get("failing", []), *answer.get("degraded", [])]
    well = bool(answer.get("ok", True) and answer.get("ready", True) and not reasons)
    if as_json:
        print_json(answer)
    else:
        print_line("ok" if well else f"unhealthy: {', '.join(reasons) or 'not ready'}")
    return ExitCode.OK if well else ExitCode.UNHEALTHY


def read_params(text: str) -> dict[str, Any]:
    document = parse(text.encode("utf-8", "surrogateescape"), "PARAMS", root_object=False)
    if isinstance(document, Issue):
        raise click.UsageError(str(document))
    if not isinstance(document.value, dict):
        raise click.UsageError("PARAMS must be an object: { … }")
    return document.value


async def _ask_health(client: "GatewayClient") -> Any:
    async with client:
        return await client.call("health")


def client_of(target: Target, timeout: float, caps: Sequence[str] = ()) -> "GatewayClient":
    """A client with the identity of this command line; `timeout` in seconds."""
    from gateway.client.client import GatewayClient
    from gateway.client.identity import Identity
    from gateway.lifecycle.peer import PLAINTEXT

    return GatewayClient(
        with_scheme(target.url, {"http": "ws", "https": "wss"}),
        token=target.token,
        password=target.password,
        identity=Identity(Paths.from_env(service_environment(os.environ)).state),
        caps=caps,
        client_id="cli",
        mode="cli",
        timeout_s=timeout,
        plaintext=os.environ.get(PLAINTEXT) == "1",
    )


def probe(url: str, timeout: float) -> dict[str, Any]:
    """The answers of /healthz and /readyz, merged. Raises NotRunning, TimedOut; GatewayError for another server."""
    parts = split(with_scheme(url, {"ws": "http", "wss": "https"}))
    connection = _open(parts.scheme, parts.hostname or "", parts.port, timeout)
    try:
        live = _get(connection, "/healthz")
        return {**live, **_get(connection, "/readyz")}
    except TimeoutError:
        raise TimedOut(f"no answer from {url} within {timeout:g} s") from None
    except OSError as error:
        raise NotRunning(f"no gateway answers at {url}: {error.strerror or error}") from None
    finally:
        connection.close()


def _open(scheme: str, host: str, port: int | None, timeout: float) -> "HTTPConnection":
    import http.client

    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=timeout)


def _get(connection: "HTTPConnection", path: str) -> dict[str, Any]:
    import http.client

    try:
        connection.request("GET", path)
        answer: dict[str, Any] = msgspec.json.decode(connection.getresponse().read(MAX_PROBE), type=dict[str, Any])
    except ConnectionError:
        raise
    except (http.client.HTTPException, msgspec.DecodeError) as error:
        raise GatewayError(f"what answers at {connection.host}:{connection.port} is no gateway: {error}") from None
    return answer
