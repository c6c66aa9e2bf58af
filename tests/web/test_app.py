"""Who answers what, and what a start does not have to import."""

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.web import app
from gateway.web.app import LATER, MISSING
from scripts.rooms import imported, module_of
from tests.fakes.core import FakeCore
from tests.slack import LIMIT_S
from tests.test_layers import MODULES, WITH_CODE
from tests.web.asgi import UNIX, ask, bearer

ELSEWHERE = ("agent/", "cli", "doctor/", "units/", "client", "__main__", "web/app")
"""What does not run in the gateway's process, and the list itself."""

PROGRAM = """
import sys
import gateway.process.start
late = ["gateway.web.routes", "websockets.protocol", "gateway.web.socket", "gateway.rpc.dispatch", "watchdog.observers"]
late += ["sqlite3", "gateway.conversations.service", "gateway.link.client"]
never = ["click", "dataclasses", "multiprocessing", "uvicorn.supervisors"]  # a type of a start is a Struct
print([name for name in late + never if name in sys.modules])
from gateway.web.app import warm_up
warm_up()
print([name for name in late if name not in sys.modules])
# Each of them costs half a megabyte or more, and nothing of it is needed.
needless = ["anyio", "click", "cryptography", "email.message", "html.entities", "http.client", "importlib.metadata"]
needless += ["logging.config", "multiprocessing", "prometheus_client", "starlette.requests", "zoneinfo"]
print([name for name in needless if name in sys.modules])
"""


def test_the_same_path_means_another_thing_over_the_control_socket() -> None:
    assert ask(FakeCore(), "/control/status", **UNIX).status == 200
    assert ask(FakeCore(), "/control/status").status == 404
    assert ask(FakeCore(), "/healthz").status == 200
    assert ask(FakeCore(), "/healthz", **UNIX).status == 404


@pytest.mark.process
def test_a_start_imports_only_what_a_probe_needs_and_the_rest_comes_later() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    before, missing, needless = done.stdout.splitlines()
    assert before == "[]"
    assert missing == "[]"
    assert needless == "[]"


def later(module: str) -> Iterator[str]:
    """Modules of ours that a function imports, or names to `import_module`."""
    for function in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            names = [name for each in function.body for name in imported(each)]
            names += [
                node.value for node in ast.walk(function) if isinstance(node, ast.Constant) and names_module(node)
            ]
            yield from (found for name in names if (found := module_of(name)))


def names_module(node: ast.Constant) -> bool:
    text = node.value
    return isinstance(text, str) and text.startswith("gateway.") and text[8:].replace(".", "/") in WITH_CODE


def test_what_is_imported_on_first_use_is_imported_in_the_quiet_after_ready() -> None:
    """By the first use an upgrade may have replaced it."""
    lazy = {name for module in MODULES if not module.startswith(ELSEWHERE) for name in later(module)}
    lazy -= {"process/adoption"}  # a start needs it or nobody
    warm = {name.removeprefix("gateway.").replace(".", "/") for name in LATER}
    assert lazy and lazy <= warm, f"name them in web/app.LATER: {lazy - warm}"


@pytest.mark.parametrize("path", ["/", "/metrics", "/v1/models"])
def test_what_cannot_be_imported_any_more_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    monkeypatch.setitem(sys.modules, "gateway.web.routes", None)
    answer = ask(FakeCore(), path)
    assert (answer.status, answer.body) == (503, MISSING.encode())
    assert answer.headers[b"retry-after"] == str(app.RETRY_AFTER_S).encode()
    assert "cannot be imported" in caplog.text and "Traceback" not in caplog.text


def test_a_route_whose_part_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.web.metrics", None)
    answer = ask(FakeCore(), "/metrics", headers=bearer("t0k"))
    assert (answer.status, answer.body) == (503, MISSING.encode())
