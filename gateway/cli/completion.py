"""`completion`: the script that makes a shell complete our commands and options."""

import click
from click.shell_completion import get_completion_class

from gateway.cli.writer import page

PROGRAM = "openclaw-gateway"
VARIABLE = "_OPENCLAW_GATEWAY_COMPLETE"


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
    # `source()` would first run the shell to check its version; the text is the same.
    made = source(ctx.find_root().command, {}, PROGRAM, VARIABLE)
    page(made.source_template % made.source_vars())
