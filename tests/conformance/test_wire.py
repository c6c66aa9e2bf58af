"""How what came of one step is compared: without what differs from run to run."""

from typing import Any

from conformance.wire import order, shape


def event(name: str, **payload: Any) -> dict[str, Any]:
    return {"type": "event", "event": name, "payload": payload, "seq": 1}


def test_fields_with_their_types_and_the_values_that_matter() -> None:
    frames = [
        {"type": "res", "id": "1", "ok": True, "payload": {"runId": "a", "status": "started", "items": [], "ok": True}},
        {"type": "res", "id": "2", "ok": False, "error": {"code": "X", "details": {"n": 1.5}}},
        event("chat", state="delta", message={"content": [{"text": "a"}, {"text": "b"}]}),
        event("agent", stream="lifecycle", data={"phase": "end", "endedAt": 5, "error": None}),
        event("health", ok=True),
    ]
    assert shape(frames) == [
        "agent lifecycle end .data.endedAt: int",
        "agent lifecycle end .data.error: NoneType",
        "agent lifecycle end .data.phase = 'end'",
        "agent lifecycle end .stream = 'lifecycle'",
        "answer .items[] empty",
        "answer .ok = True",
        "answer .runId: str",
        "answer .status = 'started'",
        "chat delta .message.content[].text: str",
        "chat delta .state = 'delta'",
        "refusal .code: str",
        "refusal .details.n: float",
    ]


def test_the_order_of_kinds() -> None:
    answer = {"type": "res", "id": "1", "ok": True, "payload": {}}
    deltas = [event("chat", state="delta"), event("tick"), event("chat", state="delta")]
    assert order([answer, *deltas, event("chat", state="final")]) == ["answer", "chat delta", "chat final"]
