"""The README's list of what is absent is what the code says."""

from scripts.absent import BEGIN, END, README, by_key, by_method, keys, methods, subjects_of, table


def test_the_readme_has_the_table() -> None:
    assert BEGIN + table() + END in README.read_text(), "python -m scripts.absent writes it"


def test_each_key_that_is_not_honoured_has_a_subject() -> None:
    assert [key for key in keys() if subjects_of(key, by_key()) is None] == []


def test_each_method_that_says_there_is_nothing_has_a_subject() -> None:
    assert [name for name in methods() if subjects_of(name, by_method()) is None] == []


def test_no_subject_names_what_is_there() -> None:
    assert [word for word in by_key() if not any(f"{key}.".startswith(f"{word}.") for key in keys())] == []
    assert [word for word in by_method() if not any(f"{name}.".startswith(f"{word}.") for name in methods())] == []
