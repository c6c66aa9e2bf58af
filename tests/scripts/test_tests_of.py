"""Which tests `make test-of` runs."""

import sys
from pathlib import Path

import pytest

from scripts import tests_of as module
from scripts.tests_of import tests_of as found_for

FILES = {
    "gateway/hub.py": "",
    "gateway/runs/__init__.py": "",
    "gateway/runs/owner.py": "",
    "gateway/runs/spec.py": "",
    "gateway/runs/alone.py": "",
    "gateway/runs/words.py": "",
    "scripts/render.py": "",
    "scripts/other.py": "",
    "bench/run.py": "",
    "tests/test_hub.py": "",
    "tests/runs/test_owner.py": "from gateway.runs.owner import Owner\n",
    "tests/runs/test_live.py": "from gateway.runs import live, spec\nfrom gateway.runs.owner import Owner\n",
    "tests/test_process.py": "import gateway.runs.spec\nfrom gateway.runs import words\n",
    "tests/test_other.py": "from gateway.runs.special import x\nfrom gateway.runs import specials\n",
    "tests/test_late.py": "def test_it():\n    from gateway.runs.words import Word\n",
    "tests/scripts/test_render.py": "",
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "tests"),
    [
        ("gateway/hub.py", ["tests/test_hub.py"]),
        ("gateway/runs/owner.py", ["tests/runs/test_owner.py"]),
        ("gateway/runs/spec.py", ["tests/runs/test_live.py"]),
        ("gateway/runs/words.py", ["tests/test_late.py", "tests/test_process.py"]),
        ("gateway/runs/alone.py", []),
        ("tests/test_hub.py", ["tests/test_hub.py"]),
        ("tests/runs", ["tests/runs"]),
        ("scripts/render.py", ["tests/scripts/test_render.py"]),
    ],
)
def test_its_namesake_or_who_imports_it(file: str, tests: list[str]) -> None:
    assert [str(path) for path in found_for(Path(file))] == tests


def test_a_path_may_be_a_whole_one(project: Path) -> None:
    assert found_for(project / "gateway/hub.py") == [Path("tests/test_hub.py")]


@pytest.mark.parametrize("file", ["gateway/nothing.py", "../x.py", "/etc/passwd", "bench/run.py", "scripts/other.py",
                                  "gateway/runs"])  # fmt: skip
def test_other_files_have_none(file: str) -> None:
    with pytest.raises(ValueError, match=r"is no file of this project|is neither a file below gateway/ nor a test"):
        found_for(Path(file))


@pytest.mark.parametrize(
    ("words", "code", "out", "err"),
    [
        (["gateway/hub.py"], 0, "tests/test_hub.py\n", ""),
        (["gateway/runs/alone.py"], 2, "", "no test imports gateway/runs/alone.py\n"),
        (["gateway/no.py"], 2, "", "is no file of this project\n"),
        ([], 2, "", "usage: make test-of FILE=gateway/runs/owner.py\n"),
        (["a", "b"], 2, "", "usage: make test-of FILE=gateway/runs/owner.py\n"),
    ],
)
def test_what_is_printed(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    out: str,
    err: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["tests_of.py", *words])
    assert module.main() == code
    said = capsys.readouterr()
    assert said.out == out and said.err.endswith(err) and bool(said.err) == bool(err)
