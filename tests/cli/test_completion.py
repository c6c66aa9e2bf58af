import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Invoke = Callable[..., Result]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_for_our_name(invoke: Invoke, shell: str) -> None:
    result = invoke("completion", shell)
    assert result.exit_code == 0
    assert "openclaw-gateway" in result.stdout
    assert "_OPENCLAW_GATEWAY_COMPLETE" in result.stdout


@pytest.mark.process
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_a_command_with_it(invoke: Invoke, tmp_path: Path) -> None:
    program = tmp_path / "openclaw-gateway"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
    program.chmod(0o755)
    script = (
        f"{invoke('completion', 'bash').stdout}\n"
        "COMP_WORDS=(openclaw-gateway sta) COMP_CWORD=1\n"
        '$(complete -p openclaw-gateway | sed "s/.*-F \\([^ ]*\\).*/\\1/") openclaw-gateway\n'
        'echo "${COMPREPLY[@]}"'
    )
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": root}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.split() == ["start", "status"]
