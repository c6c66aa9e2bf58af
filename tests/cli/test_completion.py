import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import COMPLETING, PROGRAM, cli, suggest
from tests.pty_screen import ENVIRON, Terminal

Invoke = Callable[..., Result]

WORDS = [("sessions", "show"), ("chat", "--session"), ("chat", "--model"), ("agent", "--model")]
HARMLESS = ["zebra", "agent:other:z-1", "openai/gpt_5.1+x@y", "zündel", "日本"]
HARMFUL = ["a;touch pwned;", "b$(touch pwned)", "c`touch pwned`", "d\nx\n", "e&touch pwned&", "f>pwned", "g|h",
           "h x", "~", "*", "i?", "{a,b}", "j'", 'k"', "l\\", "m\x1b[2J", "n\u202e", "o\u200b", "p\x9b", "-h",
           "--url=ws://e", "", "=x", "!!", "#", "q\tr", "file,x\nfile,y", "%s", "^a^b", "r\xa0s"]  # fmt: skip
"""To some shell, as a word that is not quoted."""
SCRIPT = """\
#!{python}
import json, os, sys
sys.path.insert(0, {root!r})
from gateway.cli import cli, suggest
suggest._ask = lambda *words: {offered!r}
if {variable!r} in os.environ or sys.argv[1] == "completion":
    cli()
open("called", "a").write(json.dumps(sys.argv[1:]) + "\\n")
"""


def answered(monkeypatch: pytest.MonkeyPatch, shell: str, offered: list[str], *words: str) -> str:
    """What a shell is told that completes the last of these words, where the gateway has these names."""
    monkeypatch.setattr(suggest, "_ask", lambda *_: offered)
    monkeypatch.setenv(COMPLETING, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join([PROGRAM, *words]))
    monkeypatch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words)))
    return CliRunner().invoke(cli, prog_name=PROGRAM).stdout


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_offered_only_what_means_itself(
    monkeypatch: pytest.MonkeyPatch, shell: str, words: tuple[str, ...]
) -> None:
    given = {"zsh": "plain\n{}\n_\n", "bash": "plain,{}\n", "fish": "plain,{}\n"}[shell]
    told = answered(monkeypatch, shell, [*HARMFUL, *HARMLESS], *words, "")
    assert told == "".join(map(given.format, HARMLESS))


def test_behind_two_dashes_a_name_may_have_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(monkeypatch, "bash", ["-x", "-;y"], "sessions", "show", "--", "-") == "plain,-x\n"


def test_commands_options_and_files_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "plain,--limit\n" in answered(monkeypatch, "bash", [], "sessions", "show", "--")
    assert answered(monkeypatch, "bash", [], "config", "check", "x;y") == "file,x;y\n"
    assert "plain,zsh\n" in answered(monkeypatch, "bash", [], "completion", "")


@pytest.mark.process
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_key_is_no_command_to_bash(tmp_path: Path) -> None:
    program, root = tmp_path / PROGRAM, str(Path(__file__).parents[2])
    offered = ["a;touch pwned;", "b$(touch pwned)", "c`touch pwned`", "--url=ws://evil", "zebra"]
    program.write_text(SCRIPT.format(python=sys.executable, root=root, offered=offered, variable=COMPLETING))
    program.chmod(0o755)
    env = {**os.environ, **ENVIRON, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PS1": "$ ", "HISTFILE": ""}
    with Terminal(partial(subprocess.Popen, ["bash", "--norc", "--noprofile", "-i"], cwd=tmp_path, env=env)) as bash:
        bash.type('eval "$(openclaw-gateway completion bash)"; echo rea""dy\r')
        bash.until("ready")
        for begun in ("a", "b", "c", "z"):
            bash.type(f"openclaw-gateway sessions show {begun}\t\recho ne''xt\r")
            bash.until("next\n")
        bash.type("exit\r")
        bash.end()
    called = [json.loads(line)[-1] for line in (tmp_path / "called").read_text().splitlines()]
    assert called == ["a", "b", "c", "zebra"]
    assert not (tmp_path / "pwned").exists()


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
