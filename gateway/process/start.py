"""One process image, from its first line to the exec of the next one.

The order of a start matters. Signals are blocked until they have handlers; inherited descriptors are made close-on-exec
before anything else can run.
"""

import faulthandler
import gc
import logging
import os
import resource
import secrets
import sys
from typing import NoReturn, TextIO, cast

import uvloop

from gateway.errors import GatewayError
from gateway.files.paths import Paths
from gateway.lifecycle.lease import acquire
from gateway.lifecycle.phases import Way
from gateway.lifecycle.record import Record
from gateway.logs.setup import Logs
from gateway.machine import holders
from gateway.process import signals
from gateway.process.process import Process
from gateway.process.startup import Options, Startup
from gateway.systemd.descriptors import LEASE, RECORD, hand_over, inherit
from gateway.systemd.notify import Notifier
from gateway.text.visible import EscapingStream, hanging


def main(options: Options | None = None) -> NoReturn:
    """The command `run`: ends the process, with a sentence on stderr and its exit code if it cannot serve."""
    if sys.stderr.isatty():
        sys.stderr = cast("TextIO", EscapingStream(sys.stderr))
    try:
        run(options or Options())
    except GatewayError as error:
        sys.stderr.write(f"openclaw-gateway: {hanging(str(error), '  ')}\n")
        sys.exit(error.exit_code)


def run(options: Options) -> NoReturn:
    """Serve until told to leave, then exit with 0, or become the next image.

    Raises GatewayError if it cannot serve at all: port busy, lease held, unusable descriptors.
    """
    # A reload signal that comes before its handler would end the process. Blocked, it is delivered later.
    signals.block()
    # The unit does the same: memory has tokens, and others read core files. Child processes inherit the limit.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stacks in the journal
    gc.freeze()  # the objects that imports have made live as long as the process
    uvloop.run(_serve(_prepare(options)))


async def _serve(start: Startup) -> NoReturn:
    """End the process from inside the loop: closing the loop would close connections that are passed on.

    Finalizing the interpreter would cost 12 ms more, in which the clients of a cold restart wait.
    """
    process = Process(start)
    if await process.serve() is Way.REEXEC:
        _become_next_image(start, process)
    logging.shutdown()
    os._exit(0)


def _prepare(options: Options) -> Startup:
    boot_id = secrets.token_hex(8)
    logs = Logs(os.environ, boot_id)
    notifier = Notifier(os.environ)
    inherited = inherit(os.environ)
    paths = Paths.from_env(os.environ)
    _raise_descriptor_limit()
    lease = acquire(paths.state, inherited.others.get(LEASE), paths.lock)
    record = Record(inherited.others.get(RECORD))
    if not record.inherited:
        notifier.store(RECORD, record.fd)
    return Startup(options, paths, inherited, notifier, lease, record, logs, boot_id, holders.unit(os.getpid()))


def _raise_descriptor_limit() -> None:
    # The usual soft limit of 1024 is for programs that use select(2); each client costs a descriptor here.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _become_next_image(start: Startup, process: Process) -> NoReturn:
    """Execute this program again in the same pid, with the variables and descriptors that systemd would give it."""
    others = [(RECORD, start.record.fd), *process.passed]
    if start.lease.fd is not None:
        others.append((LEASE, start.lease.fd))
    words = hand_over(process.listeners, start.inherited.held_by_systemd, others)
    environ = {**os.environ, **start.notifier.environment(), **words}
    os.execve(sys.executable, sys.orig_argv, environ)
