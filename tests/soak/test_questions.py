"""The questions of the soak are the same for the same seed, and their answers are what provider and echo say."""

import random

import pytest

from tests.agent import script
from tests.agent.script import Heard
from tests.soak.book import Question, same
from tests.soak.questions import ECHO, FORGETFUL, LENGTH, Questions

BURST = 4
"""The most that is asked at once."""


def many(kind: str, seed: int = 1, count: int = 400) -> list[Question]:
    questions = Questions("t", kind, random.Random(seed))
    return [question for _ in range(count) for question in questions.some()]


@pytest.mark.parametrize("kind", ["", ECHO, FORGETFUL])
def test_a_seed_gives_the_same_questions(kind: str) -> None:
    assert many(kind) == many(kind)
    assert many(kind) != many(kind, seed=2)


def test_no_two_questions_are_one_run() -> None:
    ids = [question.id for question in many("")]
    assert len(set(ids)) == len(ids)


def test_a_session_becomes_only_so_long() -> None:
    sessions = [question.session for question in many("")]
    assert max(map(sessions.count, set(sessions))) < LENGTH + BURST


def test_the_provider_answers_what_is_expected() -> None:
    for question in many(""):
        if question.says is None:
            continue
        heard = Heard(question.model or "m1", question.prompt, [], ["look"])
        answer = script.write(heard, well=question.model is not None)
        if question.first:
            assert answer.call is not None
            assert same("".join(answer.text), question.first)
            heard.results.append(f"a {answer.call.args['word']}")
            answer = script.write(heard, well=False)
        assert same("".join(answer.text), question.says)


def test_only_a_forgetful_session_forgets_and_the_echo_gets_no_wishes() -> None:
    assert "new" in {question.kind for question in many(FORGETFUL)}
    assert "new" not in {question.kind for question in many("")}
    assert not any("!" in question.prompt for question in many(ECHO))
