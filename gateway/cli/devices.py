"""`devices`: who waits for an approval, who is paired, with which tokens; asked over the wire as any client would."""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from gateway.cli.call import ask
from gateway.cli.target import find_target
from gateway.units.installation import service_environment

TIMEOUT_S = 10.0
F = TypeVar("F", bound=Callable[..., Any])


def _common(command: F) -> F:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="One line: {ok, payload} or {ok, error}."),
        click.option("--timeout", default=TIMEOUT_S, show_default=True, metavar="SECONDS", help="How long to wait."),
        click.option("--url", metavar="URL", help="Such as ws://127.0.0.1:18789. Default: as for `call`."),
    ):
        command = option(command)
    return command


@click.group()
def devices() -> None:
    """Approve, list and remove the devices that may connect.

    A device on this machine is paired by itself; one from elsewhere waits five minutes for `devices approve`.

    Exit code 0: done · 1: refused or failed · 3: not running · 14: no answer in time.
    """


@devices.command("list")
@_common
def list_(**where: Any) -> int:
    """List the devices that wait, and those that are paired."""
    return _ask("device.pair.list", {}, _tell_list, **where)


@devices.command()
@click.argument("request_id", metavar="REQUEST")
@_common
def approve(request_id: str, **where: Any) -> int:
    """Let the device of REQUEST in; its id is in `devices list`."""
    tell = _sentence("approved {device[deviceId]}; it may connect now")
    return _ask("device.pair.approve", {"requestId": request_id}, tell, **where)


@devices.command()
@click.argument("request_id", metavar="REQUEST")
@_common
def reject(request_id: str, **where: Any) -> int:
    """Turn the device of REQUEST away."""
    return _ask("device.pair.reject", {"requestId": request_id}, _sentence("rejected {deviceId}"), **where)


@devices.command()
@click.argument("device_id", metavar="DEVICE")
@_common
def remove(device_id: str, **where: Any) -> int:
    """Forget DEVICE, end its tokens and close its connections."""
    return _ask("device.pair.remove", {"deviceId": device_id}, _sentence("removed {deviceId}"), **where)


@devices.command()
@click.argument("device_id", metavar="DEVICE")
@click.option("--role", default="operator", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="May be repeated. Default: those of the old token.")
@_common
def rotate(device_id: str, role: str, scopes: tuple[str, ...], **where: Any) -> int:
    """Give DEVICE another token and print it; the old one ends."""
    params = {"deviceId": device_id, "role": role} | ({"scopes": list(scopes)} if scopes else {})
    return _ask("device.token.rotate", params, _sentence("{token}"), **where)


@devices.command()
@click.argument("device_id", metavar="DEVICE")
@click.option("--role", default="operator", show_default=True)
@_common
def revoke(device_id: str, role: str, **where: Any) -> int:
    """End the token of DEVICE. With the gateway's secret it gets another one; `remove` ends that too."""
    tell = _sentence("revoked the {role} token of {deviceId}")
    return _ask("device.token.revoke", {"deviceId": device_id, "role": role}, tell, **where)


def _ask(
    method: str,
    params: dict[str, Any],
    tell: Callable[[Any], None],
    *,
    url: str | None,
    timeout: float,
    as_json: bool,
) -> int:
    return ask(find_target(service_environment(os.environ), url), timeout, method, params, tell, as_json=as_json)


def _sentence(template: str) -> Callable[[Any], None]:
    return lambda payload: click.echo(template.format_map(payload))


def _tell_list(payload: Any) -> None:
    waiting, paired = payload["pending"], payload["paired"]
    for each in waiting:
        click.secho(f"waiting  request {each['requestId']}", fg="yellow")
        click.echo(
            f"         {_describe(each)} from {_plain(each.get('remoteIp', 'this machine'))}, {_when(each['ts'])}"
        )
    for each in paired:
        tokens = [f"{_plain(token['role'])}{' (revoked)' * ('revokedAtMs' in token)}" for token in each["tokens"]]
        click.echo(f"paired   {_describe(each)}, {_when(each['approvedAtMs'])}; tokens: {', '.join(tokens) or 'none'}")
    if not waiting and not paired:
        click.echo("no device waits or is paired")


def _describe(each: Any) -> str:
    name = each.get("displayName") or each.get("clientId") or "unnamed"
    rights = ", ".join([*each.get("roles", []), *each.get("scopes", [])])
    return f"{_plain(each['deviceId'])} {_plain(name)} ({_plain(rights)})"


def _plain(text: str) -> str:
    """A device chose these words itself; a terminal shall not obey them."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
