"""The conversation of a run, kept within the window of the model that is asked.

A conversation that does not fit is shortened in steps, until it fits: old results of tools are cut; older turns are
summed up by the model, once in a run; all results of the past are cut; older turns are left out; the results of this
run are cut. The last message of the user is never changed. A model that still refuses is asked again with less, until
nothing is left to leave out.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from gateway.agent.providers.failures import may_refuse_past
from gateway.agent.providers.forms import OMITTED, Form, next_form, unchanged
from gateway.agent.providers.source import ModelSource, Note, Offered, forget_clients
from gateway.agent.turn.answer import Answer, ToolCall, spell_usage
from gateway.agent.turn.failed import Failed, Secrets
from gateway.agent.turn.source import Piece, Tell
from gateway.agent.window import tokens
from gateway.agent.window.measure import Measure, learned, reserve
from gateway.agent.window.shortening import LEAST_RESULT, cut_blocks, cut_results, recent_start, shared_bound
from gateway.agent.window.summary import Summarizer
from gateway.link.messages import Failure, Said, Waiting
from gateway.link.spec import COMPACTION, Compaction, Message, Model, Spec, spoken
from gateway.machine.clock import now_ms

__all__ = ["WindowedSource", "forget_clients", "make_source"]

log = logging.getLogger("agent.window")

RECENT_SHARE = 0.6
"""Share of the free tokens that the kept turns may take when the rest is summed up."""
PAST_SHARE = 0.25
"""Share of the free tokens that the past keeps before the results of this run are cut."""
SUMMARY_SHARE = 0.5
"""Share of a run's time that a summary in it may take. The rest is for the answer."""
MAX_REFUSALS = 8
"""Refusals of one answer after each of which the model is asked again with less."""

Overhead = Callable[[Model], int]


def make_source(spec: Spec, system: str, offered: Offered, secrets: Secrets, note: Note) -> "WindowedSource":
    how = spec.compaction or Compaction()
    if how.only:
        spec = replace(spec, models=how.models)

    def overhead(model: Model) -> int:
        tools = (f"{tool.name} {tool.description} {tool.schema}" for tool in offered(model))
        return tokens.of_text(system) + sum(map(tokens.of_text, tools))

    return WindowedSource(
        spec, ModelSource(spec, system, offered, secrets, note), Summarizer(spec, how, secrets), overhead
    )


class _OwnResult:
    """The result of a call in this run."""

    def __init__(self, call: ToolCall, blocks: list[dict[str, Any]], ok: bool) -> None:
        self.call = call
        self.blocks = blocks
        self.ok = ok
        self.size = tokens.of_blocks(blocks)
        self.max_chars: int | None = None
        """Characters of the result that the model gets; None for all."""


class WindowedSource:
    """Implements `turn/source.Source`. Keeps each request within the window of the model that is asked."""

    def __init__(self, spec: Spec, models: ModelSource, summarizer: Summarizer, overhead: Overhead) -> None:
        """`overhead` estimates the tokens of the system prompt and the tools for a model."""
        self._spec = spec
        self._models = models
        self._summarizer = summarizer
        self._overhead_for = overhead
        self._overhead = 0
        self._compaction = spec.compaction or Compaction()
        self._history = list(spec.history)
        self._ids = list(spec.ids)
        self._prompt = tokens.of_message(spec.prompt)
        self._answers = 0
        self._results: list[_OwnResult] = []
        self._past = self._history
        self._measure = Measure(self._compaction)
        self._form: Form = unchanged
        self._summed_up = False
        self._name = spec.conversation or spec.session
        """Name of the conversation in `learned`. A conversation without a next run has a session of its own."""

    async def ask(self, answer: Answer, tell: Tell) -> None:
        model, refused = answer.model, 0
        self._overhead = self._overhead_for(model)
        self._form = learned.form(self._name, model) or unchanged
        while True:
            async for said in self._fit(model, hard=refused > 0):
                await tell(said)
            asked = self._size(self._past, model)
            self._models.set_past(
                [*self._form(self._past), self._spec.prompt], self._measure.answer_limit(model, asked)
            )
            try:
                await self._models.ask(answer, tell)
            except Failed as error:
                if answer.begun:
                    raise
                if may_refuse_past(error) and (form := next_form(self._form, self._past)):
                    await tell(self._switch_form(form, model, error.failure))
                    continue
                refused += 1
                if error.failure.kind != "context":
                    raise
                if refused > MAX_REFUSALS or not self._learn_refusal(model, asked, error.failure.message):
                    raise Failed(self._too_large(model, error.failure)) from error
                log.info("%s/%s refuses about %d tokens: asked again with less", model.provider, model.id, asked)
            else:
                if self._form is not unchanged:
                    learned.learn_form(self._name, model, self._form)
                self._measure.record_usage(answer, asked)
                self._answers += tokens.of_message(answer.message())
                return

    def add_result(self, call: ToolCall, blocks: list[dict[str, Any]], *, ok: bool) -> None:
        self._results.append(_OwnResult(call, blocks, ok))
        self._models.add_result(call, blocks, ok=ok)

    async def sum_up(self, model: Model) -> AsyncGenerator[Piece, None]:
        """Sum up all but the last turns, because a user or a client has asked for it. Raises Failed."""
        size = self._size(self._history, model)
        limit = self._measure.limit(model) or size
        free, half = self._free(limit, model), tokens.of_messages(self._history) / 2
        split = recent_start(self._history, min(self._compaction.keep_tokens, RECENT_SHARE * free, half))
        if not any(each.get("role") != COMPACTION for each in self._history[:split]):
            return
        async for said in self._sum_up(model, split, size, forced=True):
            yield said

    # -- making room -----------------------------------------------------------------------------------------------

    async def _fit(self, model: Model, *, hard: bool) -> AsyncGenerator[Piece, None]:
        """Choose the past that is sent. With `hard`, the model has refused the request before."""
        self._past = self._history
        self._cut_own_results(None)
        limit = self._measure.limit(model)
        if limit is None or not (hard or self._compaction.enabled):
            return
        target = limit - reserve(limit)
        if self._size(self._past, model) <= target:
            return
        if self._fits(model, target, recent_start(self._history, 0, self._compaction.keep_turns, float("inf"))):
            return
        free = self._free(limit, model)
        split = recent_start(
            self._history,
            min(self._compaction.keep_tokens, RECENT_SHARE * free),
            self._compaction.keep_turns,
            RECENT_SHARE * free,
        )
        if self._may_sum_up(split):
            async for said in self._sum_up(model, split, self._size(self._history, model)):
                yield said
            if self._fits(model, target, 0):
                return
        if not self._fits(model, target, len(self._history)):
            self._drop_turns(target / self._scale(model))

    def _fits(self, model: Model, target: int, cut_until: int) -> bool:
        """Cut the results of tools before an index, and return whether the request fits then."""
        self._past = cut_results(self._history, cut_until)
        return self._size(self._past, model) <= target

    def _drop_turns(self, target: float) -> None:
        """Leave out older turns, then cut results of this run that are too long."""
        free = target - self._overhead - self._prompt - self._answers
        own = sum(result.size for result in self._results)
        past = max(free - own, min(PAST_SHARE * free, tokens.of_messages(self._past)))
        summary = self._past[:1] if self._past and self._past[0].get("role") == COMPACTION else []
        rest = past - tokens.of_messages(summary)
        kept = self._past[recent_start(self._past, rest) :] if rest > 0 else []
        self._past = [*summary, *kept] if past > tokens.of_messages(summary) else []
        room = free - tokens.of_messages(self._past)
        if own > room:
            self._cut_own_results(shared_bound((result.size for result in self._results), max(int(room), 0)))

    def _cut_own_results(self, most: int | None) -> None:
        """Cut each result of this run to at most so many tokens; None restores all of it."""
        for number, result in enumerate(self._results):
            fits = most is None or result.size <= most
            chars = None if most is None or fits else max(tokens.chars(most), LEAST_RESULT)
            if chars != result.max_chars:
                result.max_chars = chars
                last = number == len(self._results) - 1
                blocks = result.blocks if chars is None else cut_blocks(result.blocks, chars, pictures=last)
                self._models.replace_result(result.call, blocks, ok=result.ok)

    # -- summing up ------------------------------------------------------------------------------------------------

    def _may_sum_up(self, split: int) -> bool:
        if self._summed_up or self._spec.compaction is None or learned.summary_failed_lately(self._name):
            return False
        return split < len(self._ids) and any(each.get("role") != COMPACTION for each in self._history[:split])

    async def _sum_up(
        self, model: Model, split: int, before: int, *, forced: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """Replace the messages before `split` by a summary. A failure is raised if `forced`, else only told."""
        self._summed_up = True
        log.info("the conversation %s takes about %d tokens: it is summed up", self._spec.session, before)
        yield Waiting(0, Failure("context", "Older messages are summed up, to make_source room.", retryable=True))
        seconds = None if forced else SUMMARY_SHARE * self._spec.bounds.timeout_ms / 1000
        try:
            async with asyncio.timeout(seconds):
                text = await self._summarizer.write(self._history[:split], model, self._measure.limit(model))
        except (Failed, TimeoutError) as error:
            if forced:
                raise
            learned.record_failed_summary(self._name)
            reason = error.failure.message if isinstance(error, Failed) else f"it took longer than {seconds:g} s."
            why = f"Older messages could not be summed up, and are left out for now: {reason}"
            log.warning("%s: %s", self._spec.session, why)
            yield Waiting(0, Failure("context", why))
            return
        entry: Message = {
            "role": COMPACTION,
            "summary": text,
            "firstKeptEntryId": self._ids[split] if split < len(self._ids) else None,
            "tokensBefore": before,
            "timestamp": now_ms(),
        }
        self._history, self._ids = [entry, *self._history[split:]], ["", *self._ids[split:]]
        self._measure.forget_scales()  # the measured requests contained messages that are gone now
        after = self._size(self._history, model)
        entry["tokensAfter"] = after
        if (writer := self._summarizer.model) is not None:
            entry |= {"api": writer.api, "provider": writer.provider, "model": writer.id}
            entry["usage"] = spell_usage(self._summarizer.usage, writer.cost)
        log.info("the conversation %s is summed up: about %d tokens of %d", self._spec.session, after, before)
        yield Said(entry)
        if self._compaction.notify and not forced:
            yield Said(spoken(f"🧹 Auto-compaction complete ({before} → {after} tokens).", entry["timestamp"]))

    # -- how large everything is -----------------------------------------------------------------------------------

    def _size(self, past: Sequence[Message], model: Model) -> int:
        """Tokens of the whole request."""
        return int(self._estimate(past) * self._scale(model))

    def _estimate(self, past: Sequence[Message]) -> int:
        own = sum(
            result.size if result.max_chars is None else min(result.size, tokens.of_text("x" * result.max_chars))
            for result in self._results
        )
        return self._overhead + tokens.of_messages(past) + self._prompt + self._answers + own

    def _free(self, limit: int, model: Model) -> float:
        """Estimated tokens of a window that are free for the past."""
        fixed = self._overhead + self._prompt + self._answers
        return max((limit - reserve(limit)) / self._scale(model) - fixed, 0)

    def _scale(self, model: Model) -> float:
        return self._measure.scale(model, self._history, self._overhead)

    # -- refusals --------------------------------------------------------------------------------------------------

    def _learn_refusal(self, model: Model, asked: int, said: str) -> bool:
        """Lower the limit after a refusal; False if nothing is left to leave out."""
        if not self._past and all(
            each.max_chars is not None and each.max_chars <= LEAST_RESULT for each in self._results
        ):
            return False
        self._measure.record_refusal(model, asked, said)
        return True

    def _switch_form(self, form: Form, model: Model, failure: Failure) -> Waiting:
        self._form = form
        why = f"{model.provider} refuses this conversation: it is asked again without {OMITTED[form]}"
        log.warning("%s: %s. %s", self._spec.session, why, failure.message)
        return Waiting(0, Failure("provider", f"{why}. {failure.message}", retryable=True, status=failure.status))

    def _too_large(self, model: Model, failure: Failure) -> Failure:
        name = f"{model.provider}/{model.id}"
        if self._past or self._results:
            return failure
        size = self._overhead + self._prompt
        sentence = (
            f"Your message and the system prompt alone, about {size} tokens, are more than {name} takes: "
            "shorten the message, or the files of the workspace, or choose a model with a larger window. "
        )
        return Failure("context", sentence + failure.message, False, failure.status)
