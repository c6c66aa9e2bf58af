"""The machine and the versions that a result belongs to. No names of hosts or places: results.md is published."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.programs import Installation

_VERSIONS = """
import importlib.metadata as m, platform
print(platform.python_version())
for name in ("openclaw-gateway", "uvicorn", "uvloop", "httptools", "starlette", "msgspec", "watchdog"):
    try:
        print(name, m.version(name))
    except m.PackageNotFoundError:
        pass
"""


def facts(installation: Installation) -> list[str]:
    python, *packages = _output(str(installation.python), "-c", _VERSIONS).splitlines()
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}, {installation.origin}",
        f"Linux {platform.release()}, {_systemd()}",
        f"{os.cpu_count()} × {_processor()}, {_memory_gib():.0f} GiB",
        f"Python {python}, {', '.join(packages)}",
    ]


def load_average() -> str:
    return f"{os.getloadavg()[0]:.2f}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, platform.machine())


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _systemd() -> str:
    words = _output("systemctl", "--version").split()
    return f"systemd {words[1]}" if len(words) > 1 else "no systemd"


def _commit() -> str:
    commit = _output("git", "rev-parse", "--short", "HEAD").strip()
    return f"{commit}{' with changes' if _output('git', 'status', '--porcelain', 'gateway') else ''}" or "unknown"


def _output(*command: str) -> str:
    """The output of the command; "" if it is missing or fails."""
    try:
        here = Path(__file__).parent
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=here.parent).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
