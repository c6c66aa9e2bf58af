"""`models`: the models of the running gateway's config."""

from typing import Any

import click

from gateway.cli.call import as_answer, ask
from gateway.cli.listing import DefaultListGroup
from gateway.cli.target import target_options
from gateway.terminal.table import print_table
from gateway.terminal.writer import print_line


@click.group(cls=DefaultListGroup)
def models() -> None:
    """List the models that there are to talk to.

    A model is any that its provider has; these are the ones that the config names. Choose one with /model in `chat`,
    with `--model`, or for everybody with agents.defaults.model in the config.

    Exit code 0: done · 1: refused or failed · 3: not running · 14: no answer in time.
    """


@models.command("list")
@click.option("--provider", metavar="NAME", help="Only those of this provider.")
@target_options
@as_answer
def list_(provider: str | None, **where: Any) -> int:
    """List the models, which is the default (*), and for which a key is missing."""
    return ask("models.list", {"provider": provider} if provider else {}, _tell, **where)


def _tell(payload: Any) -> None:
    rows = payload["models"]
    if not rows:
        print_line("the config names no model")
        return
    print_table(
        ("", "MODEL", "CONTEXT", "USABLE", "TAKES"),
        [
            (
                "*" if "default" in row.get("tags", ()) else "",
                f"{row['provider']}/{row['id']}",
                f"{row['contextWindow']:,}" if row.get("contextWindow") else "",
                {True: "yes", False: "no key"}.get(row.get("available"), ""),
                ", ".join(row.get("input", ())),
            )
            for row in rows
        ],
        right=("CONTEXT",),
    )
