"""The command line. Each command has its own module, which is imported when it is used, so that `run` starts fast.

A GatewayError becomes `error: …` on stderr and its exit code; Ctrl-C is 130 and a closed pipe is quiet, as in a shell.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from gateway import __version__
from gateway.errors import GatewayError
from gateway.exits import ExitCode
from gateway.terminal import writer
from gateway.text.visible import hanging

PROGRAM = "openclaw-gateway"
INTERRUPTED = 128 + 2
COMPLETING = "_OPENCLAW_GATEWAY_COMPLETE"
"""Set by a shell that asks for completions."""

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("gateway.cli.run:run", "Serve until SIGTERM or Ctrl-C."),
    "install": ("gateway.cli.install:install", "Write, enable and start the systemd units."),
    "uninstall": ("gateway.cli.install:uninstall", "Stop and remove the systemd units."),
    "start": ("gateway.cli.service:start", "Open the port and start the gateway."),
    "stop": ("gateway.cli.service:stop", "Stop the gateway and the agent, and close the port."),
    "restart": ("gateway.cli.service:restart", "Restart without a client noticing."),
    "reload": ("gateway.cli.service:reload", "Take the config file as it is now."),
    "status": ("gateway.cli.status:status", "Show port, units, process, config and restarts."),
    "health": ("gateway.cli.call:health", "Ask the running gateway for its health."),
    "call": ("gateway.cli.call:call", "Call METHOD over the WebSocket and print what it answers."),
    "chat": ("gateway.cli.chat:chat", "Talk with the assistant."),
    "agent": ("gateway.cli.agent:agent", "Give an agent one message and print its answer."),
    "sessions": ("gateway.cli.sessions:sessions", "List, show, rename, shorten and delete conversations."),
    "models": ("gateway.cli.models:models", "List the models that there are to talk to."),
    "devices": ("gateway.cli.devices:devices", "Approve, list and remove the devices that may connect."),
    "logs": ("gateway.cli.logs:logs", "Show and follow the log."),
    "config": ("gateway.cli.config:config", "Check, plan, read and change the config."),
    "doctor": ("gateway.cli.doctor:doctor", "Find what is wrong and name the remedy."),
    "version": ("gateway.cli.version:version", "Show the version."),
    "completion": ("gateway.cli.completion:completion", "Print the shell's completion script."),
}
"""Name -> its module, and the line that `--help` shows without importing it."""


class LazyCommands(click.Group):
    """A group that imports its commands on use, and prints errors as sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = PROGRAM, *rest: Any, **options: Any
    ) -> Any:
        """Run the command and exit with its exit code."""
        options["standalone_mode"] = False
        if COMPLETING in os.environ:
            import_module("gateway.cli.completion").offer_harmless()
        with writer.escaped_streams():
            code = self._run(args, prog_name, *rest, **options)
        sys.exit(code if isinstance(code, int) else 0)

    def _run(self, *words: Any, **options: Any) -> Any:
        """The exit code, or the result of the command."""
        try:
            return super().main(*words, **options)
        except GatewayError as error:
            writer.print_error(str(error))
            return int(error.exit_code)
        except click.ClickException as error:
            shown = io.StringIO()
            error.show(shown)
            usage, mark, message = shown.getvalue().rstrip("\n").partition("Error: ")
            writer.print_text(usage + mark + hanging(message, "  "), err=True)
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            return INTERRUPTED
        except BrokenPipeError:
            # The interpreter flushes stdout at exit, and would print an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return int(ExitCode.FAILURE)  # click's own code for a closed pipe
        except OSError as error:
            # The user can mend a full disk or a foreign folder: a sentence, not a traceback.
            writer.print_error(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
            return int(ExitCode.FAILURE)
        except Exception:
            # A bug. Its text may come from anywhere, so it is escaped.
            writer.print_text(traceback.format_exc().rstrip("\n"), err=True)
            return int(ExitCode.FAILURE)


@click.command(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """OpenClaw's gateway, with systemd holding the port.

    First time: `openclaw-gateway install --now`, then `openclaw-gateway status`. Each command has its own --help.
    """
