from typing import Any

import pytest
from msgspec.structs import replace

from gateway.conversations.deferred_answers import DeferredReplies, RunOutcome, outcome
from gateway.hub.connection import Connection
from gateway.hub.hub import Hub
from gateway.link.messages import Failure, Usage
from gateway.protocol.frames import WireError
from gateway.protocol.scopes import ADMIN
from gateway.sessions.records import Run, RunRequest
from tests.carrier import FakeCarrier, drained
from tests.rpc.calls import make_peer

RUN = Run("r1", "agent:main:main", "main", "done", RunRequest({}), 10, started=20, ended=50, answer="Yes.")


def test_what_came_of_a_good_run() -> None:
    found = outcome(replace(RUN, provider="p", model="m", usage=Usage(1, 2, 3, 4)))
    assert isinstance(found, RunOutcome)
    assert (found.run_id, found.status, found.summary) == ("r1", "ok", "completed")
    assert found.result["payloads"] == [{"text": "Yes.", "mediaUrl": None}]
    meta = found.result["meta"]
    assert (meta["durationMs"], meta["aborted"], meta["agentMeta"]["model"]) == (30, False, "m")
    assert meta["agentMeta"]["usage"] == {"input": 1, "output": 2, "cacheRead": 3, "cacheWrite": 4, "total": 10}


def test_an_aborted_one_is_no_error() -> None:
    found = outcome(replace(RUN, state="aborted", answer="", started=None))
    assert isinstance(found, RunOutcome)
    assert (found.summary, found.result["payloads"], found.result["meta"]["aborted"]) == ("aborted", [], True)
    assert found.result["meta"]["durationMs"] == 40


@pytest.mark.parametrize("state", ["failed", "interrupted"])
def test_what_went_wrong(state: Any) -> None:
    found = outcome(replace(RUN, state=state, failure=Failure("network", "gone", retryable=True)))
    assert isinstance(found, WireError)
    assert (found.code, found.message, found.retryable) == ("UNAVAILABLE", "gone", True)
    assert found.details == {"runId": "r1", "status": "error", "summary": "gone"}
    found = outcome(replace(RUN, state=state))
    assert isinstance(found, WireError) and found.message == "the run was interrupted" and not found.retryable


def test_whoever_was_promised_an_answer_gets_it() -> None:
    hub, here = Hub(), Connection("here", "r", FakeCarrier())
    with hub.registered(here):
        hub.greet(here, make_peer(4, ADMIN), 0)
        waiting = [("here", "1"), ("gone", "2"), ("here", "3")]
        DeferredReplies(hub).ended(replace(RUN, waiting=waiting), None)
        DeferredReplies(hub).ended(replace(RUN, id="r2", state="failed", waiting=[("here", "4")]), None)
        answers = [(each["id"], each["ok"]) for each in drained(here)[0] if each["type"] == "res"]
    assert answers == [("1", True), ("3", True), ("4", False)]
