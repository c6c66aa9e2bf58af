import logging
import sys

from hypothesis import given
from hypothesis import strategies as st

from gateway.logs.formatting import MAX_MESSAGE, PrefixFormatter, message


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("agent.link", level, "", 0, text, (), None)


@given(st.text(), st.sampled_from([(10, 7), (20, 6), (30, 4), (40, 3), (50, 2)]))
def test_the_journal_gets_a_priority_on_every_line(text: str, numbers: tuple[int, int]) -> None:
    level, priority = numbers
    beginning = f"<{priority}>agent/link: "
    lines = PrefixFormatter().format(record(text.replace("%", ""), level)).split("\n")
    assert all(line.startswith(beginning) for line in lines)
    assert "\n".join(line.removeprefix(beginning) for line in lines) == message(record(text.replace("%", "")))


def test_a_message_has_a_bound_and_its_traceback_counts() -> None:
    assert message(record("x" * 2 * MAX_MESSAGE)) == "x" * MAX_MESSAGE
    try:
        raise ValueError("y" * MAX_MESSAGE)
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    assert message(failed).startswith("failed\nTraceback") and len(message(failed)) == MAX_MESSAGE
