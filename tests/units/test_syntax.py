import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.units.syntax import assignments, command, environment, merged, parse, quote, split


def test_sections_comments_and_continued_lines() -> None:
    text = "[Unit]\n# a comment\nAfter=a.service \\\n; in between\n  b.service\n\n[Service]\nExecStart = /bin/true\n"
    assert [(s.section, s.key, s.value) for s in parse(text)] == [
        ("Unit", "After", "a.service  b.service".replace("  ", " ")),
        ("Service", "ExecStart", "/bin/true"),
    ]


def test_an_unfinished_line_at_the_end_still_counts() -> None:
    assert parse("[Service]\nType=\\\nnotify\\")[0].value == "notify"


def test_an_empty_value_clears_the_list() -> None:
    texts = [
        "[Socket]\nListenStream=1\nListenStream=2\n",
        "[Socket]\nListenStream=\nListenStream=3\n",
        "[X]\nListenStream=4\n",
    ]
    assert merged(texts, "Socket", "ListenStream") == ["3"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", []),
        ("a  b", ["a", "b"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        (r"a\sb \"x\"", ["a b", '"x"']),
        ('"" x', ["", "x"]),
        ("A=1 'B=2 3'", ["A=1", "B=2 3"]),
    ],
)
def test_splitting(value: str, words: list[str]) -> None:
    assert split(value) == words


def test_environment_of_a_service() -> None:
    text = '[Service]\nEnvironment=A=1 "B=two words"\nEnvironment=C=100%% D\n[Unit]\nEnvironment=E=no\n'
    assert environment(text) == {"A": "1", "B": "two words", "C": "100%"}


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,8}", fullmatch=True),
        st.text(st.characters(codec="ascii", exclude_characters="\0\r\x1c\x1d\x1e\x1f\x0b\x0c")),
        max_size=3,
    )
)
def test_what_we_write_is_what_we_read(values: dict[str, str]) -> None:
    assert environment("[Service]\n" + "\n".join(assignments(values))) == values


def test_a_plain_word_is_not_quoted() -> None:
    assert quote("/usr/bin/x") == "/usr/bin/x"
    assert quote("50%") == "50%%"
    assert quote("") == '""'


def test_a_dollar_in_a_command_is_no_variable() -> None:
    assert command(["/bin/sh", "-c", "$X y"]) == '/bin/sh -c "$$X y"'


def test_a_dollar_in_the_path_of_the_program_is_taken_as_it_is() -> None:
    assert command(["/a$b/c", "d"]) == "/a$b/c d"
