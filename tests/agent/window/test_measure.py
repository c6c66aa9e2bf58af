"""What is learned of a model, and what not."""

import pytest

from gateway.agent.turn.answer import Answer
from gateway.agent.window import measure
from gateway.agent.window.measure import (
    ANSWER_RESERVE,
    MAX_KNOWN,
    REFUSED_SHARE,
    SUMMARY_REST_S,
    LearnedLimits,
    Measure,
    RecentEntries,
    reserve,
)
from gateway.link.messages import Usage
from gateway.link.spec import Compaction, Model

MODEL = Model("mock", "m1", "openai-completions", context_window=10_000, max_tokens=4000)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> LearnedLimits:
    known = LearnedLimits()
    monkeypatch.setattr(measure, "learned", known)
    return known


def answered(asked: int) -> Answer:
    return Answer(MODEL, usage=Usage(input=asked))


def test_a_reserve_is_a_quarter_of_a_small_window() -> None:
    assert (reserve(8000), reserve(80_000), reserve(1_000_000)) == (2000, ANSWER_RESERVE, ANSWER_RESERVE)


def test_the_smallest_bound_holds(nothing_known: LearnedLimits) -> None:
    assert Measure(Compaction()).limit(MODEL) == 10_000
    assert Measure(Compaction(window=5000)).limit(MODEL) == 5000
    nothing_known.learn_window(MODEL, 3000)
    assert Measure(Compaction(window=5000)).limit(MODEL) == 3000
    assert Measure(Compaction()).limit(Model("mock", "m2", "openai-completions")) is None


@pytest.mark.parametrize(("asked", "most"), [(6000, 4000), (6001, 10_000 - 6601), (9990, 1250)])
def test_an_answer_gets_what_is_left_of_the_window(asked: int, most: int) -> None:
    assert Measure(Compaction()).answer_limit(MODEL, asked) == most


def test_a_refusal_with_numbers_is_learned_and_one_without_gets_less() -> None:
    of_run = Measure(Compaction())
    of_run.record_refusal(MODEL, 5000, "prompt is too long: 8000 tokens > 4000 maximum")
    assert of_run.limit(MODEL) == 4000 and of_run.scale(MODEL, [], 0) == 1.6
    of_run.record_refusal(MODEL, 5000, "prompt is too long")
    of_run.record_refusal(MODEL, 5000, "prompt is too long")
    assert of_run.limit(MODEL) == int(int(5000 * REFUSED_SHARE) * REFUSED_SHARE)
    assert Measure(Compaction()).limit(MODEL) == 4000, "what was only tried is not known of the model"


@pytest.mark.parametrize(("said", "scale"), [(4000, 2.0), (100_000, 4.0), (500, 0.5), (0, 1.0)])
def test_an_answer_corrects_the_estimate_within_bounds(said: int, scale: float) -> None:
    of_run = Measure(Compaction())
    of_run.record_usage(answered(said), 2000)
    assert of_run.scale(MODEL, [], 0) == scale
    of_run.forget_scales()
    assert of_run.scale(MODEL, [], 0) == 1.0


def test_a_request_that_is_too_small_says_nothing() -> None:
    of_run = Measure(Compaction())
    of_run.record_usage(answered(4000), measure.MEASURABLE - 1)
    assert of_run.scale(MODEL, [], 0) == 1.0


def test_a_failed_summary_is_not_tried_again_for_a_while(
    nothing_known: LearnedLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(measure, "monotonic", lambda: now)
    assert not nothing_known.summary_failed_lately("c")
    nothing_known.record_failed_summary("c")
    now += SUMMARY_REST_S - 1
    assert nothing_known.summary_failed_lately("c") and not nothing_known.summary_failed_lately("d")
    now += 1
    assert not nothing_known.summary_failed_lately("c")


def test_the_oldest_is_forgotten() -> None:
    kept: RecentEntries[int, int] = RecentEntries()
    for number in range(MAX_KNOWN + 1):
        kept[number] = kept[0] = number
    assert len(kept) == MAX_KNOWN and 0 in kept and 1 not in kept
