import sys
from pathlib import Path

import pytest

from tests.fuzz import run
from tests.fuzz.run import LAST_WORDS, UNAVAILABLE, dictionary, main, tell


def test_without_a_fuzzer_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["http"]) == 2
    assert capsys.readouterr().err == UNAVAILABLE + "\n"


def test_an_unknown_target_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["htp"])
    assert "no target htp; there are http, " in capsys.readouterr().err


@pytest.mark.parametrize(("failing", "code"), [((), 0), (("http", "rpc"), 2)])
def test_targets_share_the_time_and_those_that_fail_are_counted(
    monkeypatch: pytest.MonkeyPatch, failing: tuple[str, ...], code: int
) -> None:
    times: dict[str, float] = {}

    def fuzz(name: str, seconds: float) -> bool:
        times[name] = seconds
        return name not in failing

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(run, "fuzz", fuzz)
    assert main(["http", "rpc", "--minutes", "3"]) == code
    assert times == {"http": 90, "rpc": 90}


def test_an_input_is_tried_again_without_a_fuzzer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"{a: 1}")
    assert main(["config", "--replay", str(file)]) == 0
    assert capsys.readouterr().out == f"config: nothing wrong with {file}\n"


def test_the_fuzzer_gets_both_corpora_and_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "CACHE", tmp_path)
    said = run.command("http", 90.4, tmp_path / "crashes")
    assert said[:6] == [sys.executable, "-m", "tests.fuzz.child", "http", str(tmp_path / "found/http"), said[5]]
    assert Path(said[5]).is_dir() and (tmp_path / "found/http").is_dir() and (tmp_path / "crashes").is_dir()
    assert "-max_total_time=90" in said and said[-1] == f"-dict={tmp_path}/http.dict"
    assert not any(word.startswith("-dict") for word in run.command("rpc", 1, tmp_path / "crashes"))


def test_a_word_is_spelled_so_that_it_may_hold_any_byte() -> None:
    assert dictionary([b'\xff"', b"a"]) == '"\\xff\\x22"\n"\\x61"\n'


def test_progress_is_told_now_and_then_and_the_last_words_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["#1 NEW\n", "#2 NEW\n", *(f"{number}\n" for number in range(LAST_WORDS + 1))]
    assert list(tell("http", lines)) == lines[3:]
    assert capsys.readouterr().out == "  http #1 NEW\n"
