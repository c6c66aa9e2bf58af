from collections.abc import Callable
from typing import Any

import msgspec
from click.testing import Result

from gateway import __version__
from gateway.report import StatusReport

Invoke = Callable[..., Result]


def test_what_is_installed(invoke: Invoke, home: Any, gateway: Any) -> None:
    assert invoke("version").stdout == f"openclaw-gateway {__version__}\n"


def test_what_runs_when_it_is_another_one(
    invoke: Invoke, home: Any, gateway: Any, report: Callable[..., StatusReport]
) -> None:
    gateway.report = report(version=__version__)
    assert len(invoke("version").stdout.splitlines()) == 1
    gateway.report = report(version="0.0.9")
    assert "the running gateway is 0.0.9" in invoke("version").stdout
    told = msgspec.json.decode(invoke("version", "--json").stdout)
    assert (told["version"], told["running"]) == (__version__, "0.0.9")
