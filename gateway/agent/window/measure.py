"""How many tokens a model takes, and how far the estimates of `tokens` are from its provider's counts."""

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
"""Tokens of a window that are left free for the answer; of a small window, a quarter."""
REFUSED_SHARE = 0.6
"""Share of a refused request that is tried next, if the model does not say how much it takes."""
REPORTED_SCALES = (1.0, 4.0)
"""Bounds of the factor on estimates that is taken from an earlier run, whose request may have been cut."""
OWN_SCALES = (0.5, 4.0)
"""Bounds of the factor that is taken from this run."""
MEASURABLE = 1000
"""Tokens of the smallest request that is measured. In a smaller one most tokens are not the text's."""
LEAST_ANSWER = 256
"""Tokens that an answer gets in any case."""
SUMMARY_REST_S = 600.0
"""Seconds after a failed summary in which the same conversation is not summed up again."""
MAX_KNOWN = 256
"""Entries of each table that is kept as long as the agent lives."""

Key = TypeVar("Key")
Value = TypeVar("Value")
ModelName = tuple[str, str, str | None]
"""Provider, id, base URL."""


class RecentEntries(dict[Key, Value]):
    """A dict that drops its oldest entry when it has too many."""

    def __setitem__(self, key: Key, value: Value) -> None:
        self.pop(key, None)
        while len(self) >= MAX_KNOWN:
            del self[next(iter(self))]
        super().__setitem__(key, value)


class LearnedLimits:
    """What the agent has learned of models and conversations in all runs."""

    def __init__(self) -> None:
        self.windows: dict[ModelName, int] = RecentEntries()
        """Tokens of windows, as models have said in refusals."""
        self._failed: dict[str, float] = RecentEntries()
        """For each conversation whose summary has failed, when it failed last (monotonic seconds)."""
        self._forms: dict[tuple[str, ModelName], Form] = RecentEntries()
        """The form in which a model has taken the past of a conversation that it had refused."""

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
    """Limits and corrected estimates for the models of one run."""

    def __init__(self, how: Compaction) -> None:
        self._how = how
        self._scales: dict[ModelName, float] = {}
        self._limits: dict[ModelName, int] = {}
        """For models that have refused a request, the tokens that are tried next."""

    def limit(self, model: Model) -> int | None:
        """Tokens of the largest request that the model takes; None if it is not known."""
        name = _name(model)
        bounds = (self._limits.get(name), learned.windows.get(name), model.context_window, self._how.window)
        return min((bound for bound in bounds if bound), default=None)

    def answer_limit(self, model: Model, asked: int) -> int | None:
        """Tokens that the answer to `asked` tokens may have. The configured bound is often the whole window."""
        limit = learned.windows.get(_name(model)) or model.context_window or self._limits.get(_name(model))
        if model.max_tokens is None or limit is None or asked + model.max_tokens <= limit:
            return model.max_tokens
        return max(limit - int(asked * 1.1), reserve(limit) // 2, LEAST_ANSWER)

    def scale(self, model: Model, history: Sequence[Message], overhead: int) -> float:
        """The factor from estimated to real tokens of a request."""
        name = _name(model)
        if name not in self._scales:
            self._scales[name] = _reported_scale(model, history, overhead)
        return self._scales[name]

    def record_usage(self, answer: Answer, asked: int) -> None:
        """Compare the provider's count of tokens with the estimate `asked`."""
        said = answer.usage.input + answer.usage.cache_read + answer.usage.cache_write
        if said and asked >= MEASURABLE:
            self._correct(answer.model, said / asked)

    def record_refusal(self, model: Model, asked: int, said: str) -> None:
        """The model has refused a request of `asked` tokens with the words `said`: its limit becomes lower."""
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
        """Drop all factors, because the conversation has changed."""
        self._scales.clear()

    def _correct(self, model: Model, factor: float) -> None:
        name, (least, most) = _name(model), OWN_SCALES
        self._scales[name] = min(max(factor * self._scales.get(name, 1.0), least), most)


def _reported_scale(model: Model, history: Sequence[Message], overhead: int) -> float:
    """The factor by the usage of the model's last answer, unless that is older than a summary."""
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
