"""Runs the project's own targets on another release."""

import os
import shlex
from collections.abc import Sequence

from tests.distros.root import hold

SUITES = ("trixie", "sid")
"""Debian 13, and what comes after."""
RUN_SECONDS = 3000.0
PASSED_ON = ("EFFORT", "WORKERS", "SLOWEST")
VERSIONS = (
    """. /etc/os-release; echo "$PRETTY_NAME: $(systemctl --version | head -n1), $(.venv/bin/python --version)" """
)


def run(suite: str, command: Sequence[str], seconds: float = RUN_SECONDS) -> int:
    """The exit status of a command on that release; its output is ours. Raises `Unavailable` where this cannot be."""
    with hold(suite) as root:
        root.bring()
        root.install()
        root.run(("sh", "-c", VERSIONS), seconds)
        wanted = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return root.run(command, seconds, wanted)


def make(target: str, options: Sequence[str] = ()) -> list[str]:
    """The command for a target of the Makefile, with options for pytest."""
    return ["make", target, *([f"ARGS={shlex.join(options)}"] if options else [])]
