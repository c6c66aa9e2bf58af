"""A group of commands that lists when it is told nothing else: `sessions`, `models`."""

from typing import Any

import click

DEFAULT = "list"


class Listing(click.Group):
    """Options without a command are those of `list`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "no_args_is_help": False})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)
