"""Processes by the mark in their environment."""

import os
import signal
import subprocess

import pytest

from gateway.agent.mcp.descendants import MARK, signal_marked

pytestmark = pytest.mark.process


def test_those_with_the_mark_are_signalled_wherever_they_have_gone() -> None:
    environment = {**os.environ, MARK: "one"}
    with (
        subprocess.Popen(["sleep", "1000"], env=environment, start_new_session=True) as escaped,
        subprocess.Popen(["sleep", "1000"], env={**os.environ, MARK: "other"}) as other,
    ):
        assert signal_marked("one", 0) == [escaped.pid]
        assert signal_marked("one", signal.SIGTERM, but=escaped.pid) == []
        assert signal_marked("one", signal.SIGKILL) == [escaped.pid]
        assert escaped.wait(10) == -signal.SIGKILL and other.poll() is None
        other.kill()
    assert signal_marked("one", 0) == []
