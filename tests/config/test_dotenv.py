"""`.env` files against what Node's dotenv makes of them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.dotenv import parse_dotenv

RECORDED: list[tuple[str, dict[str, str]]] = json.loads((Path(__file__).parent / "data" / "dotenv.json").read_text())
"""Texts with what dotenv 17.4.2 gave: those of reports, and short ones that a reader of lines takes for another."""
DOTENV = Path(__file__).parents[2] / ".cache" / "conformance" / "2026.9.6"
PARSE = """
const {parse} = require('dotenv'), texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(texts.map(text => Object.entries(parse(Buffer.from(text))))));
"""
PIECES = (
    *("A", "B_1", "a.b", "0", "export", "export ", "__proto__", "=", ":", ": ", " ", "\t", "\n", "\n\n", "\r\n", "\r"),
    *("'", '"', "`", "\\", "\\n", "\\r", "\\'", '\\"', "\\`", "#", " # c", "#c\n", "x", "y z", "$V", "${V}", "-", "!"),
    *("\ufeff", "\u2028", "\u2029", "\xa0", "é", "😀", "='", '="', "=`", "K=", "K=v\n"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)


@pytest.mark.parametrize(("text", "values"), RECORDED, ids=range(len(RECORDED)))
def test_what_dotenv_made_of_it(text: str, values: dict[str, str]) -> None:
    assert parse_dotenv(text) == values


@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_file_of_a_report(before: str, end: str) -> None:
    lines = [
        *('GW="s3cret-abc" # of the gateway', "OTHER='x y' # c"),
        *('PEM="-----BEGIN K-----', "MIIB", '-----END K-----"', 'NL="a\\nb"'),
    ]
    assert parse_dotenv(before + end.join(lines)) == {
        "GW": "s3cret-abc",
        "OTHER": "x y",
        "PEM": "-----BEGIN K-----\nMIIB\n-----END K-----",
        "NL": "a\nb",
    }


@given(st.text() | TEXTS)
def test_no_text_breaks_it(text: str) -> None:
    assert all(name.isidentifier() for name in parse_dotenv(text))


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 99_999 + "!",
        "A\n" * 50_000,
        "A=" + " " * 99_999 + "!",
        'A="' + '\\"x' * 25_000 + '" y',
        "A='\\'\n" * 12_500,
    ],
    ids=["blank lines", "names", "blanks", "escaped quotes", "quotes"],
)
def test_what_is_large_is_read_too(text: str) -> None:
    """Without an end in sight if it took quadratic time."""
    parse_dotenv(text)


@pytest.mark.process
@pytest.mark.skipif(not (shutil.which("node") and DOTENV.exists()), reason="needs node and what make conformance has")
def test_it_agrees_with_dotenv_itself() -> None:
    found: list[str] = []

    @given(st.lists(TEXTS, min_size=50, max_size=50))
    def gather(texts: list[str]) -> None:
        found.extend(texts)

    gather()
    words = ["node", "-e", PARSE]
    done = subprocess.run(words, input=json.dumps(found), cwd=DOTENV, capture_output=True, text=True, check=True)
    answers: list[list[tuple[str, Any]]] = json.loads(done.stdout)
    for text, entries in zip(found, answers, strict=True):
        assert parse_dotenv(text) == {name: value for name, value in entries if name.isidentifier() and name.isascii()}
