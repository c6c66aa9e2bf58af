"""How much a model takes, and how far the estimates of `tokens` are from what its provider counts."""

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from gateway.agent.providers.overflow import sizes
from gateway.agent.turn.answer import Answer
from gateway.agent.window import tokens
from gateway.link.spec import COMPACTION, Compaction, Message, Model

if TYPE_CHECKING:
    from gateway.agent.providers.forms import Form

ANSWER_RESERVE = 20_000
"""Tokens of a window that are left free for the answer; of a small one a quarter."""
REFUSED_SHARE = 0.6
"""Of what a model has refused, what it is asked with next if it does not say how much it takes."""
REPORTED_SCALES = (1.0, 4.0)
"""How far an estimate is corrected by what a provider has reported of an earlier run, which may have been cut."""
OWN_SCALES = (0.5, 4.0)
"""By what it has reported in this run."""
MEASURABLE = 1000
"""Tokens of a request that says something of how text is counted; in a smaller one it is what is around the text."""
LEAST_ANSWER = 256
"""Tokens."""
SUMMARY_REST_S = 600.0
"""After a summary that failed, in which none is asked for in the same conversation."""
MAX_KNOWN = 256
"""Models, and conversations, of which something is remembered as long as the agent lives."""

Key = TypeVar("Key")
Value = TypeVar("Value")
ModelName = tuple[str, str, str | None]


class RecentEntries(dict[Key, Value]):
    """Forgets the oldest when there are too many."""

    def __setitem__(self, key: Key, value: Value) -> None:
        self.pop(key, None)
        while len(self) >= MAX_KNOWN:
            del self[next(iter(self))]
        super().__setitem__(key, value)


class LearnedLimits:
    """What the agent has learned of models and conversations."""

    def __init__(self) -> None:
        self.windows: dict[ModelName, int] = RecentEntries()
        """As they said in a refusal."""
        self._failed: dict[str, float] = RecentEntries()
        """Conversations whose summary has failed, and when."""
        self._forms: dict[tuple[str, ModelName], Form] = RecentEntries()
        """In which form a model has taken the past of a conversation that it had refused."""

    def learn_window(self, model: Model, window: int) -> None:
        self.windows[_name(model)] = window

    def record_failed_summary(self, conversation: str) -> None:
        self._failed[conversation] = monotonic()

    def form(self, conversation: str, model: Model) -> "Form | None":
        return self._forms.get((conversation, _name(model)))

    def learn_form(self, conversation: str, model: Model, form: "Form") -> None:
        self._forms[conversation, _name(model)] = form

    def summary_failed_lately(self, conversation: str) -> bool:
        return monotonic() - self._failed.get(conversation, float("-inf")) < SUMMARY_REST_S


learned = LearnedLimits()


def reserve(limit: int) -> int:
    return min(ANSWER_RESERVE, limit // 4)


class Measure:
    """Of the models of one run."""

    def __init__(self, how: Compaction) -> None:
        self._how = how
        self._scales: dict[ModelName, float] = {}
        self._limits: dict[ModelName, int] = {}
        """What is tried of models that have refused."""

    def limit(self, model: Model) -> int | None:
        """Tokens of a whole request; None if nobody has said."""
        name = _name(model)
        bounds = (self._limits.get(name), learned.windows.get(name), model.context_window, self._how.window)
        return min((bound for bound in bounds if bound), default=None)

    def answer_limit(self, model: Model, asked: int) -> int | None:
        """Tokens that an answer may have: what is configured as that is often the whole window."""
        limit = learned.windows.get(_name(model)) or model.context_window or self._limits.get(_name(model))
        if model.max_tokens is None or limit is None or asked + model.max_tokens <= limit:
            return model.max_tokens
        return max(limit - int(asked * 1.1), reserve(limit) // 2, LEAST_ANSWER)

    def scale(self, model: Model, history: Sequence[Message], overhead: int) -> float:
        """How much more a request takes than is estimated."""
        name = _name(model)
        if name not in self._scales:
            self._scales[name] = _reported_scale(model, history, overhead)
        return self._scales[name]

    def record_usage(self, answer: Answer, asked: int) -> None:
        """What a provider has counted of a request that was believed to have so many tokens."""
        said = answer.usage.input + answer.usage.cache_read + answer.usage.cache_write
        if said and asked >= MEASURABLE:
            self._correct(answer.model, said / asked)

    def record_refusal(self, model: Model, asked: int, said: str) -> None:
        """It has refused so many tokens, in these words: next time it gets less."""
        name, (limit, size) = _name(model), sizes(said)
        if limit is not None and limit != learned.windows.get(name):
            learned.learn_window(model, limit)
            if size is not None and size >= limit:
                self._correct(model, size / asked)
                return
            if asked > limit:
                return
        self._limits[name] = max(int(min(asked, self._limits.get(name, asked)) * REFUSED_SHARE), 1)

    def forget_scales(self) -> None:
        """The conversation is another one now."""
        self._scales.clear()

    def _correct(self, model: Model, factor: float) -> None:
        name, (least, most) = _name(model), OWN_SCALES
        self._scales[name] = min(max(factor * self._scales.get(name, 1.0), least), most)


def _reported_scale(model: Model, history: Sequence[Message], overhead: int) -> float:
    """By what the model's last answer says of its own request, unless that was before a summary."""
    least, most = REPORTED_SCALES
    begun = next((each.get("timestamp") or 0 for each in history if each.get("role") == COMPACTION), -1)
    for number in range(len(history) - 1, -1, -1):
        message = history[number]
        asked = tokens.reported(message)
        if asked < MEASURABLE or message.get("model") != model.id or message.get("provider") != model.provider:
            continue
        if (message.get("timestamp") or 0) <= begun:
            break
        estimated = overhead + tokens.of_messages(history[:number])
        return min(max(asked / max(estimated, 1), least), most)
    return least


def _name(model: Model) -> ModelName:
    return model.provider, model.id, model.base_url
