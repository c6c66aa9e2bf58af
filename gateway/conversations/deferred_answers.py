"""The outcome of a run, as `agent` answers it: at once when the run is over, otherwise as a second answer."""

from typing import Any

from msgspec import Struct

from gateway.hub.hub import Hub
from gateway.protocol.frames import WireError, encode_error, encode_response
from gateway.runs.active import ActiveRun
from gateway.runs.audience import RunListener
from gateway.sessions.records import Run


class RunOutcome(Struct, rename="camel"):
    run_id: str
    status: str
    summary: str
    result: dict[str, Any]


def outcome(run: Run) -> RunOutcome | WireError:
    """The outcome of a run that is over."""
    if run.state in ("failed", "interrupted"):
        message = run.failure.message if run.failure else "the run was interrupted"
        retryable = run.failure is not None and run.failure.retryable
        details = {"runId": run.id, "status": "error", "summary": message}
        return WireError("UNAVAILABLE", message, details, retryable=retryable)
    used, started = run.usage, run.started or run.accepted
    usage = {"input": used.input, "output": used.output, "cacheRead": used.cache_read, "cacheWrite": used.cache_write}
    result = {
        "payloads": [{"text": run.answer, "mediaUrl": None}] if run.answer else [],
        "meta": {
            "durationMs": (run.ended or started) - started,
            "agentMeta": {
                "sessionId": run.transcript or run.session,
                "provider": run.provider,
                "model": run.model,
                "usage": {**usage, "total": used.total},
            },
            "aborted": run.state == "aborted",
        },
    }
    return RunOutcome(run.id, "ok", "aborted" if run.state == "aborted" else "completed", result)


class DeferredReplies(RunListener):
    """Sends the second answer to requests whose first answer said that their run is accepted."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def ended(self, run: Run, live: ActiveRun | None) -> None:
        what = outcome(run)
        for connection, id in run.waiting:
            text = encode_error(id, what) if isinstance(what, WireError) else encode_response(id, what)
            self._hub.answer(connection, id, text)
