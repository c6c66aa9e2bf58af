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

from gateway.agent.failed import Failed, Secrets
from gateway.agent.failures import RETRYABLE_STATUSES, explain
from gateway.link.messages import Model
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
