"""A group of commands whose default command is `list`: `sessions`, `models`."""

from typing import Any

import click

DEFAULT = "list"


class DefaultListGroup(click.Group):
    """Options without a command belong to `list`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "no_args_is_help": False})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        if not named and not ctx.resilient_parsing:  # during completion the name may not be typed yet
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)
