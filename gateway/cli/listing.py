"""A group of commands that lists when it is told nothing else: `sessions`, `models`."""

from typing import Any

import click

DEFAULT = "list"


class DefaultListGroup(click.Group):
    """Options without a command are those of `list`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "no_args_is_help": False})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        if not named and not ctx.resilient_parsing:  # a shell that completes has not got to the name yet
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)
