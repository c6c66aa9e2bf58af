"""The sentences; that each kind of error comes from the providers as it is expected is in test_models."""

import httpx2
import pytest
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelTimeoutError,
    UnexpectedModelBehavior,
    UserError,
)

from gateway.agent.providers.failures import RETRYABLE_STATUSES, explain, may_refuse_past
from gateway.agent.turn.failed import Failed, Secrets
from gateway.link.messages import Failure, FailureKind
from gateway.link.spec import Model
from tests.agent.peer import spec

MODEL = Model("mock", "m1", "openai-completions", "http://user:password@h:1/v1?key=x", "sk-secret-key")
SECRETS = Secrets(spec("x", MODEL))


def explained(error: Exception) -> Failed:
    return explain(error, MODEL, SECRETS, 120.0)


def http(status: int, body: object, category: type | None = None) -> ModelHTTPError:
    return ModelHTTPError.for_category(category, status_code=status, model_name="m1", body=body)


def test_a_refused_key_is_said_with_the_key_of_the_config_and_without_the_secret() -> None:
    body = {"error": {"message": "Incorrect API key provided:\n sk-secret-key. See https://x"}}
    failed = explained(http(401, body, ModelAuthenticationError))
    assert str(failed) == (
        "mock refuses the API key; set models.providers.mock.apiKey in openclaw.json (HTTP 401): "
        "Incorrect API key provided: ***. See https://x"
    )


@pytest.mark.parametrize("status", [*RETRYABLE_STATUSES, 418])
def test_some_statuses_are_worth_another_try(status: int) -> None:
    failure = explained(http(status, None)).failure
    assert failure.retryable is (status != 418) and failure.message == f"mock answers with an error (HTTP {status})."


def test_an_empty_account_is_not_waited_for() -> None:
    failure = explained(http(429, {"message": "pay"}, ModelQuotaExceededError)).failure
    assert (failure.kind, failure.retryable) == ("billing", False)


def test_an_address_is_named_without_its_password() -> None:
    failed = explained(ModelConnectionError("m1", "Connection error.", phase="connect"))
    assert "at http://h:1/v1; see models.providers.mock.baseUrl" in str(failed)
    assert "password" not in str(failed) and "key=x" not in str(failed)


def test_a_time_out_while_connecting_is_no_silence() -> None:
    assert explained(ModelTimeoutError("m1", "timed out", phase="connect")).failure.kind == "network"
    assert explained(ModelTimeoutError("m1", "timed out", phase="read")).failure.kind == "timeout"


def test_the_network_is_quoted_with_what_has_happened_first() -> None:
    error = ModelConnectionError("m1", "Connection error.", phase="connect")
    error.__cause__ = OSError(111, "Connection refused")
    assert str(explained(error)).endswith(": [Errno 111] Connection refused")


def test_a_web_page_loses_its_tags() -> None:
    assert str(explained(http(502, "<html><body><h1>Bad   Gateway</h1></body></html>"))).endswith(": Bad Gateway")


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (httpx2.ReadError("x"), "network", True),
        (httpx2.InvalidURL("x"), "config", False),
        (ModelAPIError("m1", "x"), "provider", True),
        (UnexpectedModelBehavior("x"), "provider", True),
        (UserError("x"), "config", False),
    ],
)
def test_everything_else_is_of_a_kind_too(error: Exception, kind: str, retryable: bool) -> None:
    failure = explained(error).failure
    assert (failure.kind, failure.retryable) == (kind, retryable)


def test_what_nobody_has_thought_of_is_ours() -> None:
    failed = explained(ZeroDivisionError("with sk-secret-key in it"))
    assert failed.failure.kind == "internal" and not failed.failure.retryable
    assert str(failed) == "asking mock/m1 broke on ZeroDivisionError: with *** in it"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            400,
            {
                "error": {
                    "message": "litellm.ContextWindowExceededError: …",
                    "type": "invalid_request_error",
                    "code": "400",
                }
            },
        ),
        (
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 8192 tokens.",
                    "code": "context_length_exceeded",
                }
            },
        ),
        (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8 maximum"},
            },
        ),
        (400, {"error": {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}),
        (
            400,
            {
                "error": {
                    "message": "the request exceeds the available context size",
                    "type": "exceed_context_size_error",
                }
            },
        ),
        (500, {"error": {"message": "the request exceeds the available context size, try increasing it"}}),
        (
            400,
            {
                "object": "error",
                "message": "The decoder prompt (length 9) is longer than the maximum model length of 8.",
            },
        ),
        (400, {"error": "the input length exceeds the context length"}),
        (422, {"error": "`inputs` tokens + `max_new_tokens` must be <= 8"}),
        (413, {"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}),
        (413, None),
        (400, "<html>CONTEXT_LENGTH_EXCEEDED</html>"),
    ],
)
def test_a_conversation_that_is_too_long_is_that_in_everybodys_words(status: int, body: object) -> None:
    failure = explained(http(status, body)).failure
    assert (failure.kind, failure.retryable, failure.status) == ("context", False, status)


def test_inside_a_stream_too() -> None:
    error = ModelAPIError("m1", "x")
    error.body = {"message": "Prompt is too long"}  # type: ignore[attr-defined]
    assert explained(error).failure.kind == "context"


@pytest.mark.parametrize(
    ("status", "said", "kind", "retryable"),
    [
        (400, "openai/gpt-9 is not a valid model ID", "config", False),
        (400, "Invalid value for temperature", "provider", False),
        (404, "no such page", "provider", False),
        (418, "no", "provider", False),
        (409, "wait", "provider", True),
    ],
)
def test_what_cannot_succeed_is_not_tried_again(status: int, said: str, kind: str, retryable: bool) -> None:
    failure = explained(http(status, {"error": {"message": said}})).failure
    assert (failure.kind, failure.retryable) == (kind, retryable)


@pytest.mark.parametrize(
    ("kind", "status", "may"),
    [
        ("provider", 400, True),
        ("provider", 415, True),
        ("provider", 422, True),
        ("provider", 404, False),
        ("provider", None, False),
        ("auth", 400, False),
        ("context", 413, True),
        ("internal", None, True),
    ],
)
def test_what_may_be_a_refusal_of_the_past(kind: FailureKind, status: int | None, may: bool) -> None:
    assert may_refuse_past(Failed(Failure(kind, "x", status=status))) is may


def test_what_the_library_itself_refuses_may_be_the_past() -> None:
    failed = Failed(Failure("provider", "x"))
    failed.__cause__ = UserError("x")
    assert may_refuse_past(failed)
