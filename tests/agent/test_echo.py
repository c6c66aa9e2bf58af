import asyncio
import subprocess
import sys
from typing import Any

import pytest

from gateway.agent.echo import Echo, text_of
from gateway.agent.turn.answer import Answer, ToolCall
from gateway.link.spec import Model
from tests.slack import LIMIT_S


def collect(prompt: str, pace_ms: int = 0) -> tuple[list[str], Answer]:
    async def ask() -> tuple[list[str], Answer]:
        answer = Answer(Model("builtin", "echo", "builtin", pace_ms=pace_ms))
        pieces: list[str] = []

        async def tell(piece: Any) -> None:
            pieces.append(piece.delta)

        await Echo({"role": "user", "content": prompt}).ask(answer, tell)
        return pieces, answer

    return asyncio.run(ask())


def test_it_says_what_it_is_and_which_key_to_set_and_then_the_question() -> None:
    pieces, answer = collect("how are\n you?")
    text = "".join(pieces)
    assert text == answer.text
    assert text.startswith("No model is configured: this is the gateway's built-in echo")
    assert "agents.defaults.model.primary" in text and text.endswith("\n\nYou said: how are\n you?")


def test_it_comes_word_by_word_at_the_pace_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pieces, _ = collect("a b", pace_ms=250)
    assert all(len(piece.split()) == 1 for piece in pieces)
    assert pauses == [0.25] * (len(pieces) - 1)


def test_what_is_no_text_is_named() -> None:
    assert text_of({"content": [{"type": "text", "text": "see"}, {"type": "image", "data": ""}]}) == "see\n[image]"
    assert text_of({}) == ""


def test_it_has_no_tools() -> None:
    with pytest.raises(AssertionError):
        Echo({}).add_result(ToolCall("1", "t", {}), [], ok=True)


@pytest.mark.process
def test_a_run_with_it_imports_no_models_and_no_tools() -> None:
    program = """
import asyncio, sys
from gateway.agent.mcp.idle import IdleServers
from gateway.agent.run_loop import RunLoop
from gateway.link.spec import Model, Server, Spec
async def emit(what): pass
spec = Spec("s", "main", {"content": "x"}, [Model("builtin", "echo", "builtin")], servers=[Server("x", command="no")])
print(asyncio.run(RunLoop(spec, emit, IdleServers()).run()).status)
print([name for name in ("pydantic_ai", "pydantic", "mcp", "httpx2", "openai") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.stdout == "done\n[]\n", done.stderr
