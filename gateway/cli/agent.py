"""`agent`: one message to an agent, and its answer."""

import asyncio
import math
import os
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.call import client_of
from gateway.cli.chat import CAPS, GIVE_UP_AFTER_S
from gateway.cli.suggest import model_names, session_keys
from gateway.cli.target import TIMEOUT_S, address_options, find_target
from gateway.errors import GatewayError, TimedOut
from gateway.exits import ExitCode
from gateway.terminal.format import columns
from gateway.terminal.writer import is_terminal, print_json, print_result, wants_colour, write_text
from gateway.units.installation import service_environment

if TYPE_CHECKING:
    from gateway.cli.target import Target
    from gateway.client.reconnecting import ReconnectingClient

ANSWER_S = 600.0
"""Seconds for the whole answer by default, as in OpenClaw's `agent`."""


@click.command()
@click.option("-m", "--message", required=True, metavar="TEXT", help="What to say; - reads it from a pipe.")
@click.option("--agent", "agent_id", metavar="ID", help="To which agent. Default: the config's.")
@click.option("--session", metavar="KEY", help="In which session. Default: the agent's main one.",
              shell_complete=session_keys)  # fmt: skip
@click.option("--model", metavar="PROVIDER/NAME", help="For this message only.", shell_complete=model_names)
@click.option("--thinking", metavar="LEVEL", help="off, minimal, low, medium, high, xhigh.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=ANSWER_S, show_default=True,
              metavar="SECONDS", help="For the whole answer.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One line: {ok, payload} or {ok, error}.")
@address_options
def agent(
    message: str,
    agent_id: str | None,
    session: str | None,
    model: str | None,
    thinking: str | None,
    timeout: float,
    as_json: bool,
    url: str | None,
    token: str | None,
    password: str | None,
) -> int:
    """Give an agent one message and print its answer.

    To a terminal as it comes, else when it is whole. A gateway that restarts meanwhile, or dies, is asked again, and
    answers the same message only once. Ctrl-C ends the answer.

    \b
    openclaw-gateway agent -m "Is the build green?"
    journalctl -p err -b | openclaw-gateway agent -m - --session ops

    Exit code 0: answered · 1: failed · 3: not running · 14: no answer in time · 130: Ctrl-C.
    """
    text = sys.stdin.read().strip() if message == "-" else message
    if not text:
        raise click.UsageError("nothing to say: TEXT is empty")
    named: dict[str, Any] = {"agentId": agent_id, "sessionKey": session, "model": model, "thinking": thinking}
    params = {"message": text, "idempotencyKey": str(uuid.uuid4()), "timeout": math.ceil(timeout)}
    params |= {name: value for name, value in named.items() if value is not None}
    target = find_target(service_environment(os.environ), url, token, password)
    return asyncio.run(_ask(target, params, timeout, as_json))


async def _ask(target: "Target", params: dict[str, Any], limit_s: float, as_json: bool) -> int:
    from gateway.cli.conversation.once import abort
    from gateway.client.errors import CallFailed
    from gateway.client.reconnecting import ReconnectingClient

    client = ReconnectingClient(lambda: client_of(target, TIMEOUT_S, CAPS), GIVE_UP_AFTER_S)
    await client.connect()
    key = params.get("sessionKey") or (f"agent:{params['agentId']}:main" if "agentId" in params else "main")
    begun = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            streams = is_terminal() and not as_json
            payload = await (_stream(client, key, params) if streams else _call(client, params))
    except (TimeoutError, asyncio.CancelledError) as error:
        await abort(client, key, params["idempotencyKey"])
        if isinstance(error, asyncio.CancelledError):
            raise
        raise TimedOut(f"no answer within {limit_s:g} s; it was stopped") from None
    except CallFailed as failure:
        if time.monotonic() - begun >= limit_s:
            raise TimedOut(f"no answer within {limit_s:g} s: {failure.message}") from None
        if not as_json:
            raise
        error_object = {"code": failure.code, "message": failure.message, "details": failure.details}
        print_json({"ok": False, "error": error_object})
        return ExitCode.FAILURE
    finally:
        await client.close()
    if as_json:
        print_json({"ok": True, "payload": payload})
    elif not streams and (said := _text(payload)):
        print_result(said)
    if payload["result"]["meta"].get("aborted"):
        if not as_json:
            raise GatewayError("the answer was stopped")
        return ExitCode.FAILURE
    return ExitCode.OK


async def _call(client: "ReconnectingClient", params: dict[str, Any]) -> Any:
    return await client.call("agent", params, math.inf, final=True)


def _text(payload: Any) -> str:
    return "\n\n".join(each["text"] for each in payload["result"]["payloads"] if each.get("text"))


async def _stream(client: "ReconnectingClient", key: str, params: dict[str, Any]) -> Any:
    """Print the answer as it comes. Returns the payload, which has the whole answer."""
    from gateway.cli.conversation.events import ChatEvent, RunEnded
    from gateway.cli.conversation.once import follow_run
    from gateway.cli.conversation.renderer import Renderer
    from gateway.terminal.spinner import ANSWER_QUIET_S, Spinner

    renderer, spinner = Renderer(columns, wants_colour()), Spinner("thinking", quiet_s=ANSWER_QUIET_S)

    def show(text: str) -> None:
        spinner.stop()
        write_text(text)

    def on_event(event: ChatEvent) -> None:
        show(renderer.finish() if isinstance(event, RunEnded) else renderer.render(event))
        if renderer.at_line_start and not isinstance(event, RunEnded):
            spinner.start()

    spinner.start()
    try:
        return await follow_run(client, key, params["idempotencyKey"], _call(client, params), _text, on_event)
    finally:
        show(renderer.finish())
