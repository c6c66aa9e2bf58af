from hypothesis import given
from hypothesis import strategies as st

from gateway.lifecycle.phases import (
    RESTART_BURST,
    RESTART_REFILL_S,
    TRANSITIONS,
    Allowance,
    Budgets,
    Phase,
    PhaseEvent,
    State,
    Way,
    step,
)

events = st.lists(st.sampled_from(list(PhaseEvent)), max_size=30)
ORDER = [Phase.STARTING, Phase.RUNNING, Phase.DEFERRED, Phase.LEAVING, Phase.GONE]


def play(sequence: list[PhaseEvent]) -> list[State]:
    states = [State()]
    for event in sequence:
        states.append(step(states[-1], event))
    return states


@given(events)
def test_once_leaving_there_is_no_way_back(sequence: list[PhaseEvent]) -> None:
    phases = [state.phase for state in play(sequence)]
    if Phase.LEAVING in phases:
        tail = phases[phases.index(Phase.LEAVING) :]
        assert set(tail) <= {Phase.LEAVING, Phase.GONE}


@given(events)
def test_a_stop_always_wins(sequence: list[PhaseEvent]) -> None:
    """After a stop the process ends as a stop, whatever else is asked, unless it had gone before."""
    states = play(sequence)
    for before, event, after in zip(states, sequence, states[1:], strict=False):
        if event is PhaseEvent.STOP and before.phase is not Phase.GONE:
            assert after == State(Phase.LEAVING, Way.STOP)
    if PhaseEvent.STOP in sequence and Phase.GONE not in [
        s.phase for s in states[: sequence.index(PhaseEvent.STOP) + 1]
    ]:
        assert states[-1].way is Way.STOP


@given(events)
def test_every_state_can_still_end(sequence: list[PhaseEvent]) -> None:
    state = step(step(play(sequence)[-1], PhaseEvent.STOP), PhaseEvent.LEFT)
    assert state.phase is Phase.GONE


@given(events)
def test_phases_only_go_forward_but_for_an_unfit_program(sequence: list[PhaseEvent]) -> None:
    states = play(sequence)
    for before, event, after in zip(states, sequence, states[1:], strict=False):
        if event is not PhaseEvent.UNFIT:
            assert ORDER.index(after.phase) >= ORDER.index(before.phase)


def test_a_restart_goes_through_every_phase() -> None:
    walked = play([PhaseEvent.READY, PhaseEvent.RESTART, PhaseEvent.IDLE, PhaseEvent.LEFT])
    assert [state.phase for state in walked] == ORDER
    assert walked[-1].way is Way.REEXEC


def test_a_restart_wanted_before_ready_happens_after_it() -> None:
    state = step(step(State(), PhaseEvent.RESTART), PhaseEvent.READY)
    assert state == State(Phase.DEFERRED, Way.REEXEC)


def test_an_unfit_program_leaves_us_running() -> None:
    assert step(State(Phase.DEFERRED, Way.REEXEC), PhaseEvent.UNFIT) == State(Phase.RUNNING)


def test_a_stop_turns_a_restart_that_is_leaving_into_a_stop() -> None:
    assert step(State(Phase.LEAVING, Way.REEXEC), PhaseEvent.STOP) == State(Phase.LEAVING, Way.STOP)


def test_the_table_names_only_reachable_states() -> None:
    reachable = {State()} | set(TRANSITIONS.values())
    assert {state for state, _ in TRANSITIONS} <= reachable


def test_the_time_in_which_newcomers_wait_is_short() -> None:
    budgets = Budgets()
    assert budgets.accept_grace + budgets.finish + budgets.close < 2.0


def test_a_burst_of_restarts_is_allowed_and_the_next_one_waits() -> None:
    allowance = Allowance(at=100.0)
    for _ in range(RESTART_BURST):
        assert allowance.wait(100.0) == 0.0
        allowance = allowance.spend(100.0)
    assert allowance.wait(100.0) == RESTART_REFILL_S
    assert allowance.wait(100.0 + RESTART_REFILL_S) == 0.0


@given(st.lists(st.floats(0, 60), min_size=1, max_size=60))
def test_restarts_never_exceed_the_bucket(gaps: list[float]) -> None:
    now, allowance, done = 0.0, Allowance(), []
    for gap in gaps:
        now += gap
        now += allowance.wait(now) + 1e-6
        allowance = allowance.spend(now)
        done.append(now)
    for i, begin in enumerate(done):
        within = [t for t in done[i:] if t - begin < RESTART_REFILL_S]
        assert len(within) <= RESTART_BURST + 1


def test_a_clock_that_went_back_gives_no_tokens() -> None:
    spent = Allowance(0.0, 1000.0)
    assert spent.wait(10.0) == RESTART_REFILL_S
