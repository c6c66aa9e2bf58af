"""Answers of a model: what the gateway adds to the first token, how fast the rest goes, processor time and memory.

Beside it LiteLLM's proxy, which speaks the same HTTP API, and OpenClaw's own gateway, with the same fake model.
"""

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median, quantiles

from bench import answerers
from bench.answerers import WEBSOCKET, Answerer
from bench.asking import LONG, PACE_MS, SESSIONS, SESSIONS_CLIENTS, TALK, TALK_PACE_MS, Asking, Sizes
from bench.launcher import on_processor
from bench.programs import Installation
from bench.report import Goal, Section, milliseconds

ROUNDS, QUICK_ROUNDS = 3, 1
QUESTIONS, QUICK_QUESTIONS = 60, 20
"""Questions of a round. The first token of each is timed."""
STARTS, QUICK_STARTS = 5, 1
"""Starts of the agent that are timed."""
WARM_UP = 5
LISTENERS = 50
MOST_OVERHEAD_MS, MOST_MB, MOST_COST_MS = 5.0, 60.0, 120.0
WAYS = ("WebSocket", "HTTP")
NOTHING = "–"


@dataclass
class Found:
    """The values of one answerer; by the way of asking where there are several."""

    late: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds by which first tokens came later than the provider's own."""
    rates: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    """Tokens per second, by the number of clients that hear them."""
    costs: list[list[float]] = field(default_factory=list)
    """Processor seconds for 1,000 tokens, of each process."""
    talks: list[list[float]] = field(default_factory=list)
    """The same for tokens that come one after the other."""
    rest: list[Sizes] = field(default_factory=list)
    busy: list[Sizes] = field(default_factory=list)


def measure(installation: Installation, quick: bool) -> Section:
    rounds, questions, starts = (QUICK_ROUNDS, QUICK_QUESTIONS, QUICK_STARTS) if quick else (ROUNDS, QUESTIONS, STARTS)
    processors = sorted(os.sched_getaffinity(0))
    server_cpu, client_cpu = (processors[0], processors[1]) if len(processors) > 1 else (None, None)
    asking = Asking(installation)
    own: list[float] = []
    own_rates: list[float] = []
    awakened: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as running, on_processor(client_cpu):
        model = running.enter_context(answerers.provider())
        there = (
            running.enter_context(answerers.gateway(installation, model, server_cpu)),
            running.enter_context(answerers.litellm(model, server_cpu)),
            running.enter_context(answerers.real(model, server_cpu)),
        )
        everybody = [(each, Found()) for each in there if isinstance(each, Answerer)]
        notes = [each for each in there if isinstance(each, str)]
        for answerer in (model, *(answerer for answerer, _ in everybody)):
            for way in answerer.ways:
                asking.first(answerer, way, WARM_UP)
        for _ in range(rounds):
            times = asking.first(model, model.ways[0], questions)
            own += times
            own_rates.append(asking.rate(model, model.ways[0]))
            for answerer, found in everybody:
                _round(asking, answerer, found, questions, median(times))
        for answerer, found in everybody:
            found.rest = asking.rest(answerer)
            found.busy, begun = asking.busy(answerer, answerer.ways[0])
            if begun < SESSIONS:
                notes.append(f"{answerer.name}: {begun} of {SESSIONS} sessions had begun to stream after a minute")
    with ExitStack() as running, on_processor(client_cpu):
        model = running.enter_context(answerers.provider())
        echo = running.enter_context(answerers.gateway(installation, None, server_cpu))
        gateway = running.enter_context(answerers.gateway(installation, model, server_cpu))
        for _ in range(starts):
            awakened["the built-in echo"].append(asking.awaken(echo, "--echo"))
            awakened["a provider's model, with its libraries"].append(asking.awaken(gateway))
    notes.append(f"the provider itself: first token after {_late(own)}, {median(own_rates):.0f} tokens/s")
    columns = [_cells(found) for _, found in everybody]
    rows = [(what, *(cells[what] for cells in columns)) for what in columns[0]]
    for what, times in awakened.items():
        rows.append((f"first run after idle: {what}", milliseconds(times), *[NOTHING] * (len(columns) - 1)))
    names = [answerer.name for answerer, _ in everybody]
    return Section("Answers", _how(rounds, questions), ("what", *names), rows, _goals(everybody[0][1]), notes)


def _round(asking: Asking, answerer: Answerer, found: Found, questions: int, own: float) -> None:
    for way in answerer.ways:
        times = asking.first(answerer, way, max(round(questions * answerer.share), 1))
        found.late[way.name] += [seconds - own for seconds in times]
        for clients in (1, LISTENERS) if way is WEBSOCKET else (1,):
            found.rates[way.name, clients].append(asking.rate(answerer, way, clients))
    found.costs.append(asking.cost(answerer, answerer.ways[0]))
    found.talks.append(asking.cost(answerer, answerer.ways[0], TALK, TALK_PACE_MS))


def _how(rounds: int, questions: int) -> str:
    return (
        f"{rounds} rounds, everybody in turns; who answers is on one processor, the fake provider and the client on"
        " another where there are two. First token: how much later it comes than the provider's own when that is asked"
        f" directly; median and 95th percentile of {questions} questions a round (OpenClaw fewer), one after the other,"
        f" each in a new session over a connection that is there. Tokens/s: an answer of {LONG} words as fast as the"
        " provider can, from the question until the last client has its end. Processor time is that of such an answer,"
        f" or of {TALK} words of which one comes every {TALK_PACE_MS} ms. It and memory, RSS (PSS), are"
        " of each process; the gateway's second one is the agent. Memory is that after the rounds;"
        f" {SESSIONS} sessions with {1000 / PACE_MS:g} tokens/s each are asked for by {SESSIONS_CLIENTS} WebSocket"
        f" clients who all hear them all, or by {SESSIONS} HTTP requests. First run after idle: from the question, with"
        " the agent's process not there."
    )


def _cells(found: Found) -> dict[str, str]:
    """One column, by what the rows are."""
    cells = {f"first token over {way}, added": _late(found.late[way]) for way in WAYS}
    for way, clients in ((WAYS[0], 1), (WAYS[0], LISTENERS), (WAYS[1], 1)):
        rates = found.rates[way, clients]
        whom = f"{clients} client{'s' * (clients > 1)}"
        cells[f"tokens/s over {way}, {whom}"] = f"{median(rates):.0f}" if rates else NOTHING
    cells["processor time for 1,000 tokens"] = f"{_sum(_cost(found.costs))} ms"
    cells[f"processor time for 1,000 tokens, one every {TALK_PACE_MS} ms"] = f"{_sum(_cost(found.talks))} ms"
    cells["memory at rest"] = _memory(found.rest)
    cells[f"memory, {SESSIONS} sessions streaming"] = _memory(found.busy)
    return cells


def _cost(rounds: Sequence[Sequence[float]]) -> list[float]:
    """Milliseconds of each process."""
    return [1000 * median(each) for each in zip(*rounds, strict=True)]


def _late(seconds: Sequence[float]) -> str:
    if not seconds:
        return NOTHING
    return f"{1000 * median(seconds):.1f} ms (p95 {1000 * quantiles(seconds, n=20)[-1]:.1f})"


def _memory(sizes: Sequence[Sizes]) -> str:
    return f"{_sum([each['RSS'] for each in sizes])} MB ({_sum([each['PSS'] for each in sizes])})"


def _sum(values: Sequence[float]) -> str:
    return " + ".join(f"{value:.0f}" for value in values)


def _goals(gateway: Found) -> list[Goal]:
    goals = []
    for way, late in gateway.late.items():
        promise = f"first token over {way}: under {MOST_OVERHEAD_MS:g} ms later than the provider's (median)"
        goals.append(Goal(promise, f"{1000 * median(late):.1f} ms", 1000 * median(late) < MOST_OVERHEAD_MS))
    cost = sum(_cost(gateway.costs))
    promise = f"gateway and agent together: under {MOST_COST_MS:g} ms of processor time for 1,000 tokens"
    goals.append(Goal(promise, f"{cost:.0f} ms", cost < MOST_COST_MS))
    size = gateway.busy[0]["RSS"]
    promise = f"RSS of the gateway under {MOST_MB:g} MB with {SESSIONS} sessions streaming"
    return [*goals, Goal(promise, f"{size:.1f} MB", size < MOST_MB)]
