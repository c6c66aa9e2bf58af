"""`devices`: pending and paired devices and their tokens, over the WebSocket like any client."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from gateway.cli.call import as_answer, ask
from gateway.cli.target import target_options
from gateway.terminal.writer import print_line
from gateway.text.visible import YELLOW, paint


@click.group()
def devices() -> None:
    """Approve, list and remove the devices that may connect.

    A device on this machine is paired by itself; one from elsewhere waits five minutes for `devices approve`.

    Exit code 0: done · 1: refused or failed · 3: not running · 14: no answer in time.
    """


@devices.command("list")
@target_options
@as_answer
def list_(**where: Any) -> int:
    """List the devices that wait, and those that are paired."""
    return ask("device.pair.list", {}, _tell_list, **where)


@devices.command()
@click.argument("request_id", metavar="REQUEST")
@target_options
@as_answer
def approve(request_id: str, **where: Any) -> int:
    """Let the device of REQUEST in; its id is in `devices list`."""
    tell = _sentence("approved {device[deviceId]}; it may connect now")
    return ask("device.pair.approve", {"requestId": request_id}, tell, **where)


@devices.command()
@click.argument("request_id", metavar="REQUEST")
@target_options
@as_answer
def reject(request_id: str, **where: Any) -> int:
    """Turn the device of REQUEST away."""
    return ask("device.pair.reject", {"requestId": request_id}, _sentence("rejected {deviceId}"), **where)


@devices.command()
@click.argument("device_id", metavar="DEVICE")
@target_options
@as_answer
def remove(device_id: str, **where: Any) -> int:
    """Forget DEVICE, end its tokens and close its connections."""
    return ask("device.pair.remove", {"deviceId": device_id}, _sentence("removed {deviceId}"), **where)


@devices.command()
@click.argument("device_id", metavar="DEVICE")
@click.option("--role", default="operator", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="May be repeated. Default: those of the old token.")
@target_options
@as_answer
def rotate(device_id: str, role: str, scopes: tuple[str, ...], **where: Any) -> int:
    """Give DEVICE another token and print it; the old one ends."""
    params = {"deviceId": device_id, "role": role} | ({"scopes": list(scopes)} if scopes else {})
    return ask("device.token.rotate", params, _sentence("{token}"), **where)


@devices.command()
@click.argument("device_id", metavar="DEVICE")
@click.option("--role", default="operator", show_default=True)
@target_options
@as_answer
def revoke(device_id: str, role: str, **where: Any) -> int:
    """End the token of DEVICE, and its role with its scopes until they are approved again."""
    tell = _sentence("revoked the {role} token of {deviceId}")
    return ask("device.token.revoke", {"deviceId": device_id, "role": role}, tell, **where)


def _sentence(template: str) -> Callable[[Any], None]:
    return lambda payload: print_line(template.format_map(payload))


def _tell_list(payload: Any) -> None:
    waiting, paired = payload["pending"], payload["paired"]
    for each in waiting:
        print_line(paint(f"waiting  request {each['requestId']}", YELLOW))
        print_line(f"         {_describe(each)} from {each.get('remoteIp', 'this machine')}, {_when(each['ts'])}")
    for each in paired:
        tokens = [f"{token['role']}{' (revoked)' * ('revokedAtMs' in token)}" for token in each["tokens"]]
        print_line(f"paired   {_describe(each)}, {_when(each['approvedAtMs'])}; tokens: {', '.join(tokens) or 'none'}")
    if not waiting and not paired:
        print_line("no device waits or is paired")


def _describe(each: Any) -> str:
    name = each.get("displayName") or each.get("clientId") or "unnamed"
    rights = ", ".join([*each.get("roles", []), *each.get("scopes", [])])
    return f"{each['deviceId']} {name} ({rights})"


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
