import os
import shutil
import subprocess
from pathlib import Path

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


ODD_HOMES = ["/home/o'neil", '/home/qu"ote', "/home/back\\slash", "/home/tab\tx", "/home/nl\nx", "/home/del\x7f"]
"""systemd: "Executable name contains special characters", and no unit."""
PLAIN_HOMES = [
    "/home/with space",
    "/home/a%h%%b",
    "/home/do$HOME",
    "/home/semi;colon",
    "/home/{b}",
    "/home/#x",
    "/home/ü",
]


@pytest.mark.parametrize("home", ODD_HOMES)
def test_a_program_that_systemd_does_not_take_is_started_by_a_shell(home: str) -> None:
    program = f"{home}/bin/openclaw-gateway"
    words = split(command((program, "run", "$x")).replace("%%", "%"))
    assert words == ["/bin/sh", "-c", 'exec "$$0" "$$@"', program.replace("$", "$$"), "run", "$$x"]


@pytest.mark.parametrize("home", PLAIN_HOMES)
def test_any_other_program_is_its_own_command(home: str) -> None:
    program = f"{home}/bin/openclaw-gateway"
    assert split(command((program, "run")).replace("%%", "%")) == [program, "run"]


@pytest.mark.process
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_command_of_every_home(tmp_path: Path) -> None:
    units = []
    for number, home in enumerate((*ODD_HOMES, *PLAIN_HOMES)):
        program = tmp_path / home[1:] / "bin" / "openclaw-gateway"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
        units.append(tmp_path / f"odd{number}.service")
        environment = assignments({"OPENCLAW_STATE_DIR": str(program.parent)})
        units[-1].write_text("\n".join(["[Service]", *environment, f"ExecStart={command((str(program), 'run'))}", ""]))
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    words = ["systemd-analyze", "--user", "verify", *map(str, units)]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "odd" in line] == []
