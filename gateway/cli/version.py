"""`version`: the installed version, and the running one."""

import os
import platform
import sys

import click

from gateway import __version__
from gateway.client.control import Control
from gateway.errors import GatewayError
from gateway.terminal.writer import print_json, print_line
from gateway.units.installation import service_environment


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: version, running, python, executable.")
def version(as_json: bool) -> None:
    """Show the version.

    Names the running gateway's version too when it is another one: an upgrade takes effect with a restart.
    """
    running = _running()
    if as_json:
        facts = {
            "version": __version__,
            "running": running,
            "python": platform.python_version(),
            "executable": sys.executable,
        }
        print_json(facts)
        return
    print_line(f"openclaw-gateway {__version__}")
    if running and running != __version__:
        print_line(f"the running gateway is {running}; `openclaw-gateway restart` starts {__version__}")


def _running() -> str | None:
    try:
        return Control.from_env(service_environment(os.environ)).status(timeout=1.0).version
    except GatewayError:
        return None
