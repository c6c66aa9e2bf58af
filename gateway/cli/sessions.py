"""`sessions`: the gateway's conversations, over the WebSocket like any client."""

import sys
from collections.abc import Callable
from typing import Any

import click

from gateway.cli.call import as_answer, ask
from gateway.cli.listing import DefaultListGroup
from gateway.cli.suggest import session_keys
from gateway.cli.target import target_options
from gateway.cli.upkeep import backup, check, import_, recover
from gateway.machine.clock import now_ms
from gateway.terminal.format import duration, title_of
from gateway.terminal.table import print_table
from gateway.terminal.writer import confirm, is_terminal, print_line, print_text, wants_colour

DEFAULT_LIMIT = 50
MAX_MESSAGES = 1000
"""Messages of one session in one answer of the gateway."""

SUM_UP_S = 900.0
"""Seconds for a model to sum up a conversation."""

key_argument = click.argument("key", shell_complete=session_keys)


@click.group(cls=DefaultListGroup)
def sessions() -> None:
    """List, show, rename, shorten and delete conversations.

    KEY is as `sessions list` shows it; `main`, or what is behind `agent:<id>:` of the default agent, is enough.

    Exit code 0: done · 1: refused or failed · 3: not running · 14: no answer in time.
    """


for command in (import_, backup, check, recover):
    sessions.add_command(command)


@sessions.command("list")
@click.option("--agent", metavar="ID", help="Only those of this agent.")
@click.option("--search", metavar="TEXT", help="Only those with this in their key or title.")
@click.option("--limit", type=click.IntRange(1), default=DEFAULT_LIMIT, show_default=True, metavar="N")
@target_options
@as_answer
def list_(agent: str | None, search: str | None, limit: int, **where: Any) -> int:
    """List the sessions, the one that was used last first."""
    params: dict[str, Any] = {"limit": limit, "includeDerivedTitles": True, "includeGlobal": True}
    params |= {"agentId": agent} if agent else {}
    params |= {"search": search} if search else {}
    return ask("sessions.list", params, _tell_list, **where)


@sessions.command()
@key_argument
@click.option("--limit", type=click.IntRange(1, MAX_MESSAGES), default=MAX_MESSAGES, show_default=True, metavar="N",
              help="The last N messages.")  # fmt: skip
@target_options
@as_answer
def show(key: str, limit: int, **where: Any) -> int:
    """Print what was said in KEY."""
    return ask("chat.history", {"sessionKey": key, "limit": limit}, _tell_messages, **where)


@sessions.command()
@key_argument
@target_options
@as_answer
def reset(key: str, **where: Any) -> int:
    """Empty the session KEY: forget what was said, keep the settings."""
    return ask("sessions.reset", {"key": key}, _sentence("reset {key}"), **where)


@sessions.command()
@key_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@target_options
@as_answer
def delete(key: str, yes: bool, **where: Any) -> int:
    """Forget KEY and all that was said in it."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody is there to be asked: say --yes")
        confirm(f"Forget {key} and all that was said in it?")
    return ask("sessions.delete", {"key": key}, _tell_deleted, **where)


@sessions.command()
@key_argument
@click.option("--keep", type=click.IntRange(1), metavar="N", help="Forget all but so many messages.")
@target_options
@as_answer
def compact(key: str, keep: int | None, **where: Any) -> int:
    """Have a model sum up what was said in KEY, or forget all but the last messages."""
    if keep is not None:
        return ask("sessions.compact", {"key": key, "maxLines": keep}, _tell_compacted, **where)
    where["timeout"] = max(where["timeout"], SUM_UP_S)
    return ask("sessions.compact", {"key": key}, _tell_compacted, **where)


@sessions.command()
@key_argument
@click.argument("label")
@target_options
@as_answer
def rename(key: str, label: str, **where: Any) -> int:
    """Give KEY the title LABEL; an empty one takes it away."""
    tell = _sentence("renamed {key}" if label else "{key} has no title of its own any more")
    return ask("sessions.patch", {"key": key, "label": label or None}, tell, **where)


def _sentence(template: str) -> Callable[[Any], None]:
    return lambda payload: print_line(template.format_map(payload))


def _tell_list(payload: Any) -> None:
    rows = payload["sessions"]
    if not rows:
        print_line("no session")
        return
    now = now_ms()
    print_table(
        ("SESSION", "AGE", "TOKENS", "MODEL", "TITLE"),
        [
            (
                row["key"],
                duration(max(now - row["updatedAt"], 0) / 1000) if row.get("updatedAt") else "",
                f"{row.get('totalTokens') or 0:,}",
                "/".join(part for part in (row.get("modelProvider"), row.get("model")) if part),
                " ".join(title_of(row).split()),
            )
            for row in rows
        ],
        right=("AGE", "TOKENS"),
    )
    if (more := payload.get("totalCount", 0) - len(rows)) > 0:
        print_line(f"{more} more: --limit {payload['totalCount']}")


def _tell_messages(payload: Any) -> None:
    from gateway.cli.conversation.events import read_row
    from gateway.cli.conversation.renderer import Renderer
    from gateway.terminal.format import columns

    renderer = Renderer(columns if is_terminal() else lambda: sys.maxsize, wants_colour())
    rows = [read_row(message) for message in payload["messages"]]
    print_text(renderer.past_messages(rows, None).rstrip("\n") or "nothing was said")


def _tell_deleted(payload: Any) -> None:
    print_line(f"deleted {payload['key']}" if payload["deleted"] else f"there is no session {payload['key']}")


def _tell_compacted(payload: Any) -> None:
    if (result := payload.get("result")) is not None:
        done = f"summed up ({result.get('tokensBefore')} → {result.get('tokensAfter')} tokens)"
    else:
        done = f"{payload.get('kept', 0)} of its messages are left"
    why = {"no sessionId": "there is no such session", "no transcript": "nothing was said there"}
    reason = payload.get("reason")
    print_line(f"{payload['key']}: {why.get(reason, reason) if reason else done}")
