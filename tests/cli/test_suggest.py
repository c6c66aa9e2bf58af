"""Tab in a shell, with a real gateway behind it."""

import pytest

from tests.cli.talking import Talking

pytestmark = pytest.mark.process


def completed(talking: Talking, *words: str, **environ: str) -> list[str]:
    """What click says to a shell that completes the last of these words."""
    line = {"COMP_WORDS": " ".join(["openclaw-gateway", *words]), "COMP_CWORD": str(len(words))}
    done = talking.cli(_OPENCLAW_GATEWAY_COMPLETE="bash_complete", **line, **environ)
    return [each.partition(",")[2] for each in done.stdout.splitlines() if each.startswith("plain,")]


@pytest.fixture(scope="module", autouse=True)
def sessions(talking: Talking) -> None:
    for key in ("suggested", "agent:other:suggested"):
        talking.call("sessions.patch", key=key, label="x")


@pytest.mark.parametrize(
    "words", [("sessions", "show"), ("sessions", "delete"), ("chat", "--session"), ("agent", "-m", "x", "--session")]
)
def test_sessions(talking: Talking, words: tuple[str, ...]) -> None:
    assert completed(talking, *words, "sugg") == ["suggested"]


def test_sessions_of_another_agent(talking: Talking) -> None:
    assert completed(talking, "sessions", "show", "agent:ot") == ["agent:other:suggested"]


@pytest.mark.parametrize("words", [("chat", "--model"), ("agent", "--model")])
def test_models(talking: Talking, words: tuple[str, ...]) -> None:
    assert completed(talking, *words, "built") == ["builtin/echo"]


def test_a_gateway_that_is_not_there_completes_nothing(talking: Talking) -> None:
    nobody = {"OPENCLAW_GATEWAY_URL": "ws://127.0.0.1:1"}
    assert completed(talking, "sessions", "show", "sugg", **nobody) == []
    assert completed(talking, "chat", "--model", "b", OPENCLAW_GATEWAY_URL="nonsense") == []
    assert completed(talking, "sessions", "sh", **nobody) == ["show"]
