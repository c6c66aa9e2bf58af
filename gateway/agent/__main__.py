"""`openclaw-agent`, also as `python -m gateway.agent`: started by systemd's socket or by a gateway, not by hand."""

import argparse
import asyncio
import faulthandler
import logging
import os
import socket
import sys

from gateway import __version__
from gateway.agent import activation, logs
from gateway.agent.service import Service, idle_s
from gateway.errors import GatewayError
from gateway.exits import ExitCode
from gateway.systemd.notify import Notifier
from gateway.text.visible import visible

ABOUT = """\
Runs models and tools for openclaw-gateway. It is not for starting by hand: openclaw-agent.socket starts it with the
first message, and where there is no systemd the gateway does. It leaves when it has had nothing to do for five minutes.
"""
NO_SOCKET = f"""\
openclaw-agent: there is no socket to serve on.
{ABOUT}
  with systemd:     openclaw-gateway install --now
  without systemd:  openclaw-gateway run
"""


def main() -> None:
    options = _parse(sys.argv[1:])
    logs.set_up(os.environ)
    notifier = Notifier(os.environ)
    try:
        listener = activation.inherit_listener(os.environ)
        connection = None if options.fd is None else activation.adopt_connection(options.fd)
    except GatewayError as error:
        sys.stderr.write(f"openclaw-agent: {visible(str(error))}\n")
        sys.exit(error.exit_code)
    if listener is None and connection is None:
        sys.stderr.write(NO_SOCKET)
        sys.exit(ExitCode.USAGE)
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stacks in the journal
    asyncio.run(_live(Service(notifier, idle_s(os.environ)), listener, connection))


async def _live(service: Service, listener: socket.socket | None, connection: socket.socket | None) -> None:
    """Serve, then end the process inside the loop: its end would wait for threads that import or resolve a name."""
    await service.serve(listener=listener, connection=connection)
    logging.shutdown()
    os._exit(ExitCode.OK)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("openclaw-agent", description=ABOUT)
    parser.add_argument("--fd", type=int, metavar="N", help="serve on descriptor N, one end of a socket pair")
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
