"""Who answers what, and what a start does not have to import."""

import subprocess
import sys

import pytest

from tests.fakes.core import FakeCore
from tests.web.asgi import UNIX, ask

PROGRAM = """
import sys
import gateway.runtime
late = ["starlette.routing", "websockets", "gateway.web.socket", "gateway.rpc.dispatch", "watchdog.observers"]
late += ["sqlite3", "gateway.conversations", "gateway.link.client"]
print([name for name in late if name in sys.modules])
from gateway.web.app import warm_up
warm_up()
print([name for name in late if name not in sys.modules])
"""


def test_the_same_path_means_another_thing_over_the_control_socket() -> None:
    assert ask(FakeCore(), "/control/status", **UNIX).status == 200
    assert ask(FakeCore(), "/control/status").status == 404
    assert ask(FakeCore(), "/healthz").status == 200
    assert ask(FakeCore(), "/healthz", **UNIX).status == 404


@pytest.mark.process
def test_a_start_imports_only_what_a_probe_needs_and_the_rest_comes_later() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    before, missing = done.stdout.splitlines()
    assert before == "[]"
    assert missing == "['watchdog.observers', 'gateway.conversations']"  # who needs them imports them
