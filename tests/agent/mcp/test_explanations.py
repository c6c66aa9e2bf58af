"""Why something failed, in a sentence."""

import pytest

from gateway.agent.mcp.explanations import Explained, explain
from gateway.agent.turn.failed import MAX_SAID


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ExceptionGroup("", [ExceptionGroup("", [ValueError("a\n b")]), ValueError("c")]), "a b"),
        (FileNotFoundError(2, "No such file or directory", "/no/such"), "No such file or directory: /no/such"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError(), "TimeoutError"),
        (Explained("x" * 1000), "x" * 1000),
    ],
)
def test_the_first_error_in_its_own_words(error: BaseException, sentence: str) -> None:
    assert explain(error) == sentence


def test_what_others_say_is_bounded() -> None:
    assert len(explain(ValueError("x" * 1000))) == MAX_SAID
