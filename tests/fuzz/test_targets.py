"""The corpus, replayed: what was found once does not come back. And the rules that keep it small."""

import pytest

from tests.fuzz.corpus import FOLDER, MAX_BYTES, MAX_FILES, name
from tests.fuzz.targets import TARGETS, load

MAX_TOTAL = 500 * 1024


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_of_the_corpus_fails(target: str) -> None:
    one, files = load(target).one, sorted((FOLDER / target).glob("*"))
    assert files
    for path in files:
        try:
            one(path.read_bytes())
        except Exception as error:
            error.add_note(f"python -m tests.fuzz {target} --replay {path}")
            raise


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_bears_nothing_and_anything(target: str) -> None:
    for data in (b"", b"\0" * 100, b"\xff" * 100, bytes(range(256))):
        load(target).one(data)


def test_the_corpus_is_small_and_named_by_what_is_in_it() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {*TARGETS}
    for target in TARGETS:
        assert len([path for path in files if path.parent.name == target]) <= MAX_FILES
    assert [path for path in files if path.name != name(path.read_bytes()) or path.stat().st_size > MAX_BYTES] == []
    assert sum(path.stat().st_size for path in files) <= MAX_TOTAL
