import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.agent.logs import TerminalFormatter
from tests.slack import LIMIT_S

PROGRAM = """
import logging, os, warnings
from gateway.agent import logs
logs.set_up(os.environ)
logging.getLogger("agent.link").debug("quiet")
logging.getLogger("agent.link").info("hello")
logging.getLogger("mcp").info("chatter")
logging.getLogger("mcp").warning("theirs")
warnings.warn("old")
"""


def record(message: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("agent.link", level, "", 0, message, (), None)


def test_a_person_gets_the_time() -> None:
    line = TerminalFormatter().format(record("hello"))
    assert line[2] == line[5] == ":" and line.endswith(" info    agent/link: hello")


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert TerminalFormatter().format(record("a\x1b[31mb\rc")).endswith("a\\x1b[31mb\\x0dc")


def lines(**environ: str) -> list[str]:
    environ = {**os.environ, **environ, "PYTHONPATH": os.getcwd()}
    environ.pop("INVOCATION_ID", None)  # a unit's, where the tests run in one
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=LIMIT_S)
    return [line.partition(" ")[2].strip() for line in done.stderr.splitlines()]


@pytest.mark.process
def test_ours_is_told_from_the_level_on_and_others_only_when_they_warn() -> None:
    assert lines()[:2] == ["info    agent/link: hello", "warning mcp: theirs"]
    assert lines(OPENCLAW_LOG_LEVEL="debug")[0] == "debug   agent/link: quiet"
    assert lines(OPENCLAW_LOG_LEVEL="warn")[0] == "warning mcp: theirs"
    assert lines(OPENCLAW_LOG_LEVEL="nonsense")[0] == "info    agent/link: hello"


@pytest.mark.process
def test_the_journal_is_known_by_its_device_and_inode(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as file:
        found = os.fstat(file.fileno())
        environ = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}", "PYTHONPATH": os.getcwd()}
        subprocess.run([sys.executable, "-c", PROGRAM], env=environ, stderr=file, timeout=LIMIT_S)
    assert (tmp_path / "journal").read_text().startswith("<6>agent/link: hello\n<4>mcp: theirs\n<4>py/warnings: ")
