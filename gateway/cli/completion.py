"""`completion`: the script with which a shell completes our commands, and a filter of the words offered to it."""

import re

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    get_completion_class,
)

from gateway.cli import COMPLETING, PROGRAM
from gateway.terminal.writer import print_text

_HARMLESS = re.compile(r"[\w.@:/+-]+")


class Harmless(ShellComplete):
    """Offers only words without special characters, because bash inserts them unquoted.

    The filter is here for all completions, because keys of sessions and names of models may have any characters.
    """

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        return [item for item in super().get_completions(args, incomplete) if _is_harmless(item, incomplete)]


def _is_harmless(item: CompletionItem, incomplete: str) -> bool:
    if item.type != "plain":
        return True  # the shell completes files itself, and quotes them
    value = str(item.value)
    looks_like_option = value.startswith("-") and not incomplete.startswith("-")
    return _HARMLESS.fullmatch(value) is not None and not looks_like_option


class Bash(Harmless, BashComplete):
    pass


class Zsh(Harmless, ZshComplete):
    pass


class Fish(Harmless, FishComplete):
    pass


def offer_harmless() -> None:
    """To be called before completions are printed."""
    for kind in (Bash, Zsh, Fish):
        add_completion_class(kind)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the shell's completion script.

    \b
    bash:  eval "$(openclaw-gateway completion bash)"        in ~/.bashrc
    zsh:   eval "$(openclaw-gateway completion zsh)"         in ~/.zshrc
    fish:  openclaw-gateway completion fish > ~/.config/fish/completions/openclaw-gateway.fish
    """
    source = get_completion_class(shell)
    if source is None:
        raise click.UsageError(f"no completion for {shell}")
    # `source()` would run the shell first, to check its version; the text is the same.
    made = source(ctx.find_root().command, {}, PROGRAM, COMPLETING)
    print_text(made.source_template % made.source_vars())
