"""One process image, from its first line to the exec of the next one.

The order of a start matters. Signals are held back until someone handles them; inherited descriptors are made
close-on-exec before anything else can run.
"""

import faulthandler
import gc
import logging
import os
import resource
import secrets
import signal
import sys
from typing import NoReturn

import uvloop

from gateway.errors import GatewayError
from gateway.lifecycle import sockets
from gateway.lifecycle.lease import acquire
from gateway.lifecycle.notify import Notifier
from gateway.lifecycle.phases import Way
from gateway.lifecycle.record import Record
from gateway.logs import Logs
from gateway.paths import Paths
from gateway.process import SIGNALS, Options, Process, Start


def main(options: Options | None = None) -> NoReturn:
    """`run` as a program: the sentence of what stands in the way on stderr, and its exit code."""
    try:
        code = run(options or Options())
    except GatewayError as error:
        sys.stderr.write(f"openclaw-gateway: {error}\n")
        sys.exit(error.exit_code)
    logging.shutdown()
    os._exit(code)  # taking the interpreter apart costs 12 ms, in which the clients of a cold restart wait


def run(options: Options) -> int:
    """Serve until told to leave. Returns the exit code of a stop; a hot restart does not return.

    Raises GatewayError where it cannot serve at all: port busy, lease held, unusable descriptors.
    """
    # A reload signal that comes before its handler would end the process. Held back, it is delivered later.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stacks in the journal
    gc.freeze()  # what the imports made lives as long as the process
    start = _begin(options)
    process = Process(start)
    way = uvloop.run(process.serve())
    if way is Way.REEXEC:
        _become_next_image(start, process)
    return 0


def _begin(options: Options) -> Start:
    boot_id = secrets.token_hex(8)
    logs = Logs(os.environ, boot_id)
    notifier = Notifier(os.environ)
    inherited = sockets.inherit(os.environ)
    paths = Paths.from_env(os.environ)
    _raise_descriptor_limit()
    lease = acquire(paths.state, inherited.others.get(sockets.LEASE))
    record = Record(inherited.others.get(sockets.RECORD))
    if not record.inherited:
        notifier.store(sockets.RECORD, record.fd)
    return Start(options, paths, inherited, notifier, lease, record, logs, boot_id)


def _raise_descriptor_limit() -> None:
    # The usual soft limit of 1024 is for programs that use select(2); each client costs a descriptor here.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _become_next_image(start: Start, process: Process) -> None:
    """Execute this program anew in the same pid, with the words and descriptors that systemd would give it."""
    others = {sockets.RECORD: start.record.fd}
    if start.lease.fd is not None:
        others[sockets.LEASE] = start.lease.fd
    words = sockets.hand_over(process.listeners, start.inherited.held_by_systemd, others)
    environ = {**os.environ, **start.notifier.environment(), **words}
    os.execve(sys.executable, sys.orig_argv, environ)
