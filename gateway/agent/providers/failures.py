"""Errors of pydantic-ai as failures of the link: their kind, whether another try may help, and what the user can do.

pydantic-ai has classes for the errors of the providers, but no sentence for the user of an assistant.
"""

import json
import re

import httpx2
from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelOverloadedError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
    UnexpectedModelBehavior,
    UserError,
)

from gateway.agent.providers import overflow
from gateway.agent.providers.transport import NotAnAnswer
from gateway.agent.turn.failed import Failed, Secrets, quote
from gateway.link.messages import Failure, FailureKind
from gateway.link.spec import Model

RETRYABLE_STATUSES = (408, 409, 425)
"""Statuses without a class in pydantic-ai after which another try may help."""
REFUSED_STATUSES = (400, 415, 422)
"""Statuses of a refused request. The provider seldom says which part it refuses, and the past never changes by itself.
So it is asked again with a plainer form of the past."""
TOO_LARGE_STATUS = 413
MAX_JUDGED = 8192
"""Characters of an error's body that are searched for what it means."""
NO_MODEL = (
    "not a valid model",
    "model not found",
    "model_not_found",
    "unknown model",
    "invalid model",
    "no such model",
)
"""Words of providers that answer a missing model with another status than 404, in lower case."""
_TAG = re.compile(r"<[^<>]*>")


def explain(error: Exception, model: Model, secrets: Secrets, silence_s: float) -> Failed:
    """The failure of a try, for every exception that a request to a provider can raise.

    `silence_s` is the time-out of the request, in seconds.
    """
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    retry_after = error.retry_after if isinstance(error, ModelAPIError) else None
    kind, sentence, retryable = _judge(error, model, silence_s)
    if status is not None:
        sentence += f" (HTTP {status})"
    if retry_after:
        sentence += f", for {retry_after:g} s"
    said = secrets.hide(quote(_said(error)))
    message = f"{sentence}: {said}" if said else f"{sentence}."
    return Failed(Failure(kind, message, retryable, status), retry_after)


def _judge(error: Exception, model: Model, silence_s: float) -> tuple[FailureKind, str, bool]:
    """The kind, the sentence without its full stop, and whether another try may help."""
    name, config = model.provider, f"models.providers.{model.provider}"
    status, said = _answered(error)
    too_long: tuple[FailureKind, str, bool]
    too_long = "context", f"the conversation is too long for {name}/{model.id}; /new begins another one", False
    match error:
        case ModelAPIError() if overflow.is_overflow(said, status):
            return too_long
        case ModelHTTPError() if status == 413:
            return too_long
        case ModelHTTPError() if status in (400, 422) and any(each in said.lower() for each in NO_MODEL):
            return "config", f"{name} has no model {model.id}; see {config}.models and {config}.baseUrl", False
        case ModelAuthenticationError():
            return "auth", f"{name} refuses the API key; set {config}.apiKey in openclaw.json", False
        case ModelQuotaExceededError():
            return "billing", f"the account at {name} has no credit left, or is at its limit", False
        case ModelContextWindowExceededError():
            return too_long
        case ModelNotFoundError():
            return "config", f"{name} has no model {model.id}; see {config}.models and {config}.baseUrl", False
        case ModelRateLimitError():
            return "rate_limit", f"{name} takes no more requests for now", True
        case ModelOverloadedError() | ModelUnavailableError():
            return "overloaded", f"{name} is overloaded", True
        case ModelServerError():
            return "provider", f"{name} has an error of its own", True
        case ModelRequestRejectedError():
            return "provider", f"{name} does not take the request", False
        case ModelHTTPError():
            return "provider", f"{name} answers with an error", error.status_code in RETRYABLE_STATUSES
        case ModelTimeoutError() if error.phase != "connect":
            return "timeout", f"{name} has sent nothing for {silence_s:g} s", True
        case ModelConnectionError() if error.phase == "connect":
            return "network", f"{name} cannot be reached{_at(model)}; see {config}.baseUrl", True
        case _ if isinstance(_root(error), NotAnAnswer):
            return "provider", f"{name} answers what is not an answer{_at(model)}; see {config}.baseUrl", True
        case ModelConnectionError() | httpx2.TransportError():
            return "network", f"the connection to {name} broke off", True
        case httpx2.InvalidURL():
            return "config", f"{config}.baseUrl is not a URL that can be used", False
        case ModelAPIError() if status is None and said:
            return "provider", f"{name} has an error of its own", True
        case ModelAPIError() | UnexpectedModelBehavior():
            return "provider", f"{name} answers what is not an answer{_at(model)}; see {config}.baseUrl", True
        case UserError():
            return "config", f"{name}/{model.id} cannot be asked this", False
    return "internal", f"asking {name}/{model.id} broke on {type(error).__name__}", False


def _answered(error: Exception) -> tuple[int | None, str]:
    """The status and the body of an error that a provider has answered; None and no text if nothing was answered."""
    if not isinstance(error, ModelAPIError):
        return None, ""
    body = getattr(error, "body", None)
    status = error.status_code if isinstance(error, ModelHTTPError) else None
    return status, "" if body is None else json.dumps(body, default=str)[:MAX_JUDGED]


def _at(model: Model) -> str:
    return f" at {_without_password(model.base_url)}" if model.base_url else ""


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])


def _said(error: Exception) -> str:
    """The message of the provider, or of the network."""
    if isinstance(error, ModelTimeoutError):
        return ""
    if isinstance(error, ModelConnectionError | httpx2.TransportError):
        return str(_root(error))
    if isinstance(error, ModelHTTPError) or (isinstance(error, ModelAPIError) and error.body is not None):
        return _of_body(error.body)
    return _TAG.sub(" ", str(error))


def _root(error: BaseException) -> BaseException:
    """The first error of a chain: the original cause."""
    while (before := error.__cause__ or (None if error.__suppress_context__ else error.__context__)) is not None:
        error = before
    return error


def _of_body(body: object) -> str:
    """The message in an error's body of any shape. A web page loses its tags."""
    while isinstance(body, dict):
        body = body.get("message") or body.get("error") or body.get("detail") or ""
    return _TAG.sub(" ", body) if isinstance(body, str) else ""


def may_refuse_past(error: Failed) -> bool:
    """Whether the provider, or its library, may have refused the form of what was said before."""
    failure = error.failure
    if failure.kind == "internal" or isinstance(error.__cause__, UserError) or failure.status == TOO_LARGE_STATUS:
        return True
    return failure.kind == "provider" and failure.status in REFUSED_STATUSES
