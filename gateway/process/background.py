"""What a process does beside serving: keep STATUS= true, watch the installation, rehearse a restart."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable

from gateway.files.installed import Installation, InstalledFiles
from gateway.report import StatusReport
from gateway.systemd.notify import Notifier

log = logging.getLogger("gateway")

STATUS_EVERY_S = 1.0
"""STATUS= is sent at most this often."""
REHEARSAL_S = 20.0
ASK_S = 1.0
"""For the service manager to say what it is doing; it is asked while we still serve."""
MANAGERS = ("--user", "--system")
"""Either may be the one that runs us."""
TAIL_BYTES = 16 * 1024
LOOK_S = 2.0
"""Between two looks at the installed files; what is the same in two of them is at rest."""
UNFINISHED_S = 60.0
"""For an installer to write its last file."""


async def tell_status(notifier: Notifier, wanted: asyncio.Event, report: Callable[[], StatusReport]) -> None:
    """Send STATUS= whenever `wanted` is set and the line has changed."""
    said = ""
    while True:
        await wanted.wait()
        wanted.clear()
        if (line := status_line(report())) != said:
            said = line
            notifier.status(line)
        await asyncio.sleep(STATUS_EVERY_S)


def status_line(report: StatusReport) -> str:
    """What `systemctl status` shows: address, clients, config, last reload.

    `Serving 127.0.0.1:18789, [::1]:18789 | 3 clients | config good | reload 12:03:11: applied …`
    """
    clients = f"{report.websockets} client{'s' if report.websockets != 1 else ''}"
    parts = [f"Serving {', '.join(report.listeners)}", clients, _config(report)]
    last = report.config.last_reload
    if last is not None and last.outcome != "unchanged":
        parts.append(f"reload {time.strftime('%H:%M:%S', time.localtime(last.at / 1000))}: {last.message}")
    return " | ".join(parts)


def _config(report: StatusReport) -> str:
    config = report.config
    if config.state == "missing":
        return f"no config at {config.path}, defaults"
    if "config" not in report.degraded:
        return "config good"
    runs = {"last-good": "running on the last known good one", "defaults": "running on safe defaults"}
    why = f"{config.issues[0]}" if config.issues else config.suspect or "it is not what runs"
    more = f" (+{len(config.issues) - 1} more)" if len(config.issues) > 1 else ""
    return f"DEGRADED config: {why}{more}; {runs.get(config.source, 'running on the one before')}"


async def watch_installation(
    installed: Installation, replaced: Callable[[str], object], clock: Callable[[], float] = time.monotonic
) -> None:
    """Call `replaced` with what has happened, once for each state of the files that has come to rest."""
    told: InstalledFiles | None = None
    before, since = await asyncio.to_thread(installed.inspect), clock()
    while True:
        await asyncio.sleep(LOOK_S)
        look = await asyncio.to_thread(installed.inspect)
        if look != before:
            before, since = look, clock()
            continue
        patient = installed.problem(look) is not None and clock() - since < UNFINISHED_S
        if look != told and installed.replaced(look) and not patient:
            told = look
            replaced(f"the installed program is another one now: {look.version or 'its files were replaced'}")


async def rehearse() -> str | None:
    """Let the installed program import itself once. None if it can, else why not.

    It keeps a half-installed version from ending the service, and it compiles what an upgrade brought while we still
    serve, so that the real start finds it compiled.
    """
    words = (sys.executable, "-c", "import gateway.process.start, gateway.web.app; gateway.web.app.warm_up()")
    try:
        async with _child(*words, out=DEVNULL, err=PIPE) as process, asyncio.timeout(REHEARSAL_S):
            assert process.stderr is not None
            errors = await _tail(process.stderr)
            await process.wait()
    except TimeoutError:
        return f"importing it took over {REHEARSAL_S:.0f} s"
    except OSError as error:
        return f"{sys.executable}: {error.strerror}"
    if process.returncode == 0:
        return None
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {process.returncode}"


async def is_being_stopped(unit: str) -> bool:
    """Whether systemd is stopping this unit for good, and not to start it again. False where it does not say."""
    answers = await _ask_managers("list-jobs", "--plain", "--no-legend", unit)
    jobs = [line.split() for answer in answers for line in answer]
    return any(job[1:3] == [unit, "stop"] for job in jobs)


async def store_size(unit: str) -> int | None:
    """How many descriptors systemd keeps for this unit, in which we are the main process. None if it does not say."""
    names = ("--property=MainPID", "--property=FileDescriptorStoreMax")
    for answer in await _ask_managers("show", unit, *names):
        shown = dict(line.split("=", 1) for line in answer if "=" in line)
        size = shown.get("FileDescriptorStoreMax", "")
        if shown.get("MainPID") == str(os.getpid()) and size.isdecimal():
            return int(size)
    return None


async def _ask_managers(*words: str) -> list[list[str]]:
    """Both at once. Not by `gather`, which is over when the first is called off."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_ask_manager(manager, *words)) for manager in MANAGERS]
    return [each.result() for each in asked]


async def _ask_manager(manager: str, *words: str) -> list[str]:
    """The lines of its answer, none where there is no answer. At most `ASK_S`."""
    words = ("systemctl", manager, "--no-pager", *words)
    try:
        async with _child(*words, out=PIPE, err=DEVNULL) as process, asyncio.timeout(ASK_S):
            out, _ = await process.communicate()
    except OSError:  # no systemctl, or no answer in time
        return []
    return out.decode(errors="replace").splitlines() if process.returncode == 0 else []


@contextlib.asynccontextmanager
async def _child(*words: str, out: int, err: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that does not outlive the block: it takes too long, or nobody wants its answer any more, as we leave.

    Raise OSError if it cannot be started.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=out, stderr=err))
    try:
        yield await asyncio.shield(starting)
    finally:
        process = await starting  # who is called off while it starts has a child all the same
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                process.kill()
            await process.wait()


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The last bytes of all that comes: however much a broken program says, its last words are what counts."""
    tail = b""
    while chunk := await stream.read(TAIL_BYTES):
        tail = (tail + chunk)[-TAIL_BYTES:]
    return tail
