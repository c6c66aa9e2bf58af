import ast
import asyncio
import os
import sys
from importlib import import_module
from typing import Any

import pytest

from gateway.lifecycle import rehearsal
from gateway.lifecycle.rehearsal import rehearse
from gateway.process.process import REHEARSAL


def test_the_names_that_a_rehearsal_imports_exist() -> None:
    modules = [
        alias.name for node in ast.walk(ast.parse(REHEARSAL)) if isinstance(node, ast.Import) for alias in node.names
    ]
    assert modules
    for name in modules:
        import_module(name)
    calls = [ast.unparse(node.func) for node in ast.walk(ast.parse(REHEARSAL)) if isinstance(node, ast.Call)]
    assert calls
    for call in calls:
        module, _, function = call.rpartition(".")
        assert module in modules and callable(getattr(import_module(module), function))


@pytest.mark.process
def test_the_installed_program_can_start() -> None:
    assert asyncio.run(rehearse(REHEARSAL)) is None


@pytest.mark.process
def test_a_program_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text("raise ImportError('half installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert asyncio.run(rehearse(REHEARSAL)) == "ImportError: half installed"


@pytest.mark.process
def test_an_interpreter_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert asyncio.run(rehearse(REHEARSAL)) == "/nonexistent/python: No such file or directory"


@pytest.mark.process
def test_a_program_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text("import signal\nsignal.pause()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(rehearsal, "REHEARSAL_S", 0.2)
    problem = asyncio.run(rehearse(REHEARSAL))
    assert problem is not None and "took over" in problem


@pytest.mark.process
def test_of_a_program_that_says_much_the_last_words_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text(
        "import sys\nsys.stderr.write('x' * 5_000_000)\nraise ImportError('last words')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert asyncio.run(rehearse(REHEARSAL)) == "ImportError: last words"


@pytest.mark.process
def test_a_rehearsal_that_is_called_off_leaves_no_child_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "msgspec.py").write_text(
        f"import os, signal\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nsignal.pause()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def scene() -> int:
        task = asyncio.ensure_future(rehearse(REHEARSAL))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return int((tmp_path / "pid").read_text())

    pid = asyncio.run(scene())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
