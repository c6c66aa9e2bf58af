"""The system prompt."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.runs.prompt import FILES, MAX_FILE_CHARS, MAX_FILES_CHARS, shorten, system_prompt


def test_who_the_agent_is() -> None:
    assert system_prompt({}, "main", {}) == "You are a personal assistant."
    tree = {"agents": {"list": [{"id": "a", "identity": {"name": "Samantha", "theme": "helpful sloth"}}]}}
    assert system_prompt(tree, "A", {}) == "You are Samantha, a personal assistant. Your character: helpful sloth."


def test_where_the_user_is() -> None:
    tree = {"agents": {"defaults": {"userTimezone": "Europe/Vienna"}}}
    assert system_prompt(tree, "main", {}).endswith("\n\nThe user's time zone is Europe/Vienna.")


def test_files_in_their_order_and_no_others() -> None:
    found = system_prompt({}, "main", {"USER.md": " b \n", "AGENTS.md": "a", "other.md": "c", "SOUL.md": " "})
    assert found.endswith("how to work.\n\n## AGENTS.md\n\na\n\n## USER.md\n\nb")
    assert "SOUL" not in found and "other" not in found


def test_a_file_that_is_too_long_keeps_its_beginning_and_its_end() -> None:
    assert shorten("X.md", "x" * 100, 100) == "x" * 100
    cut = shorten("X.md", "a" * 70 + "b" + "c" * 30, 100)
    assert cut == "a" * 70 + "\n\n[… X.md is longer; its middle is left out here …]\n\n" + "c" * 30


def test_bounds_on_each_file_and_on_all() -> None:
    tree: dict[str, Any] = {}
    most = MAX_FILE_CHARS
    assert "left out" not in system_prompt(tree, "main", {"SOUL.md": "x" * most})
    assert "SOUL.md is longer" in system_prompt(tree, "main", {"SOUL.md": "x" * (most + 1)})
    every = system_prompt(tree, "main", dict.fromkeys(FILES, "x" * most))
    assert every.count("x" * most) == MAX_FILES_CHARS // most
    tree = {"agents": {"defaults": {"bootstrapMaxChars": 10}, "list": [{"id": "a", "bootstrapMaxChars": 20}]}}
    assert "is longer" in system_prompt(tree, "main", {"SOUL.md": "x" * 11})
    assert "is longer" not in system_prompt(tree, "a", {"SOUL.md": "x" * 20})


def test_no_files_where_the_config_wants_none() -> None:
    tree = {"agents": {"defaults": {"contextInjection": "never"}}}
    assert system_prompt(tree, "main", {"SOUL.md": "x"}) == "You are a personal assistant."


NAMES = st.sampled_from(["agents", "defaults", "list", "entries", "id", "identity", "bootstrapMaxChars", "main", "ui"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(NAMES, ANYTHING, max_size=5), st.dictionaries(st.sampled_from(FILES), st.text(max_size=50)))
def test_nothing_in_a_file_can_break_it(tree: dict[str, Any], files: dict[str, str]) -> None:
    assert system_prompt(tree, "main", files).startswith("You are")
