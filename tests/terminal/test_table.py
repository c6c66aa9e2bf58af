import sys

import pytest

from gateway.terminal.table import print_table

ROWS = [("a", "1", "short"), ("日本", "12,345", "a title that is long")]


def test_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("KEY", "N", "TITLE"), ROWS, right=("N",))
    assert capsys.readouterr().out == (
        "KEY        N  TITLE\n"
        "a          1  short\n"
        "日本  12,345  a title that is long\n"
    )  # fmt: skip


@pytest.mark.parametrize("environ", ["", "1"])
def test_the_head_is_dim(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, environ: str) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", environ)
    print_table(("KEY",), [("a",)])
    assert capsys.readouterr().out == ("KEY\na\n" if environ else "\x1b[2mKEY\x1b[0m\na\n")


def test_a_terminal_has_an_edge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "34")
    print_table(("KEY", "N", "TITLE"), ROWS)
    assert capsys.readouterr().out.splitlines()[-1] == "日本  12,345  a title that is long"
    monkeypatch.setenv("COLUMNS", "33")
    print_table(("KEY", "N", "TITLE"), ROWS)
    assert capsys.readouterr().out.splitlines()[-1] == "日本  12,345  a title that is lo…"


def test_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("KEY", "N"), [])
    assert capsys.readouterr().out == "KEY  N\n"
