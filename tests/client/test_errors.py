import pytest

from gateway.client.errors import CallFailed, ConnectRefused, Disconnected


def test_a_failure_has_what_the_wire_says() -> None:
    error = {"code": "UNAVAILABLE", "message": "later", "details": {"a": 1}, "retryable": True, "retryAfterMs": 500}
    failed = CallFailed(error)
    assert str(failed) == "later (UNAVAILABLE)"
    assert (failed.code, failed.details, failed.retryable, failed.retry_after_s) == (
        *("UNAVAILABLE", {"a": 1}, True),
        0.5,
    )


def test_a_failure_without_anything_is_one_all_the_same() -> None:
    failed = CallFailed({})
    assert (failed.code, failed.message, failed.retryable, failed.retry_after_s) == ("UNKNOWN", "", False, None)


def test_a_refusal_ends_with_the_way_out() -> None:
    refused = ConnectRefused({"code": "UNAUTHORIZED", "message": "unauthorized: gateway token missing"})
    assert str(refused) == (
        "unauthorized: gateway token missing (UNAUTHORIZED); set OPENCLAW_GATEWAY_TOKEN to the gateway's secret"
    )


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (1012, "service restart", "the gateway closed the connection: 1012 service restart"),
        (1006, "", "the gateway closed the connection: 1006"),
        (None, "", "the gateway broke the connection off"),
    ],
)
def test_an_end_says_who_ended_it(code: int | None, reason: str, text: str) -> None:
    assert str(Disconnected(code, reason)) == text
