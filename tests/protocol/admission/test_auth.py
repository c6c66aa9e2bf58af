import pytest

from gateway.protocol.admission.auth import (
    ATTRIBUTION_REQUIRED,
    AuthPolicy,
    Claim,
    Credentials,
    check,
    not_by_proxy,
)
from gateway.protocol.admission.origin import RequestOrigin
from gateway.protocol.admission.proxy import ATTRIBUTION

HERE = RequestOrigin("127.0.0.1", "127.0.0.1:18789", None, False, True, "127.0.0.1")
TOKEN = AuthPolicy("token", token="right")
PASSWORD = AuthPolicy("password", password="right")


def claim(
    protocol: int,
    token: str | None = None,
    password: str | None = None,
    *,
    device: bool = False,
    client: tuple[str, str] = ("gateway-client", "backend"),
) -> Claim:
    return Claim(
        "websocket",
        HERE,
        Credentials(token, password),
        protocol=protocol,
        client_id=client[0],
        client_mode=client[1],
        device="d" if device else None,
    )


@pytest.mark.parametrize(
    ("policy", "who", "message"),
    [
        (TOKEN, claim(3, token="right"), None),
        (TOKEN, claim(4, token="right"), None),
        (TOKEN, claim(4, password="right"), None),
        (TOKEN, claim(4, token="wrong", password="right"), None),
        (PASSWORD, claim(3, password="right"), None),
        (PASSWORD, claim(4, token="right"), None),
        (AuthPolicy("none"), claim(3), None),
        (AuthPolicy("none"), claim(4, token="whatever"), None),
        (TOKEN, claim(3), "device identity required"),
        (TOKEN, claim(3, token=""), "device identity required"),
        (TOKEN, claim(3, password="right"), "device identity required"),
        (PASSWORD, claim(3), "device identity required"),
        (TOKEN, claim(3, token="wrong"), "unauthorized: gateway token mismatch (provide gateway auth token)"),
        (
            TOKEN,
            claim(3, token="wrong", client=("cli", "cli")),
            "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)",
        ),
        (
            TOKEN,
            claim(3, device=True, client=("openclaw-control-ui", "webchat")),
            "unauthorized: gateway token missing "
            "(open a tokenized dashboard URL or paste token in Control UI settings)",
        ),
        (
            PASSWORD,
            claim(3, password="wrong", client=("cli", "cli")),
            "unauthorized: gateway password mismatch (set gateway.remote.password to match gateway.auth.password)",
        ),
        (
            PASSWORD,
            claim(3, device=True, client=("webchat-ui", "webchat")),
            "unauthorized: gateway password missing (enter the password in Control UI settings)",
        ),
        (PASSWORD, claim(3, token="right"), "unauthorized: gateway password missing (provide gateway auth password)"),
        (
            AuthPolicy("token"),
            claim(3, token="x"),
            "unauthorized: gateway token not configured on gateway (set gateway.auth.token)",
        ),
        (
            AuthPolicy("token", token=""),
            claim(4, token="x"),
            "unauthorized: gateway token not configured on gateway (set gateway.auth.token)",
        ),
        (
            AuthPolicy("trusted-proxy", password="x"),
            claim(4, token="x", device=True),
            "unauthorized: gateway password missing (provide gateway auth password)",
        ),
        (AuthPolicy("trusted-proxy", password="x"), claim(4, password="x"), None),
    ],
)
def test_the_matrix(policy: AuthPolicy, who: Claim, message: str | None) -> None:
    error = check(policy, who)
    assert (error.message if error else None) == message


@pytest.mark.parametrize(
    ("policy", "who", "details"),
    [
        (TOKEN, claim(3, token="wrong"), None),
        (TOKEN, claim(3), None),
        (TOKEN, claim(4), {"code": "DEVICE_IDENTITY_REQUIRED"}),
        (
            TOKEN,
            claim(4, token="wrong"),
            {
                "code": "AUTH_TOKEN_MISMATCH",
                "authReason": "token_mismatch",
                "canRetryWithDeviceToken": False,
                "recommendedNextStep": "update_auth_credentials",
            },
        ),
        (
            PASSWORD,
            claim(4, device=True),
            {
                "code": "AUTH_PASSWORD_MISSING",
                "authReason": "password_missing",
                "canRetryWithDeviceToken": False,
                "recommendedNextStep": "update_auth_configuration",
            },
        ),
        (
            AuthPolicy("token"),
            claim(4, token="x"),
            {
                "code": "AUTH_TOKEN_NOT_CONFIGURED",
                "authReason": "token_missing_config",
                "canRetryWithDeviceToken": False,
                "recommendedNextStep": "update_auth_configuration",
            },
        ),
    ],
)
def test_protocol_4_gets_details(policy: AuthPolicy, who: Claim, details: dict[str, object] | None) -> None:
    error = check(policy, who)
    assert error is not None
    assert error.details == details
    assert error.code == ("NOT_PAIRED" if "device identity" in error.message else "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("reason", "code", "message"),
    [
        ("trusted_proxy_untrusted_source", "AUTH_UNAUTHORIZED", "unauthorized"),
        ("trusted_proxy_missing_header_x-a", "AUTH_IDENTITY_HEADER_REQUIRED", "unauthorized"),
        (ATTRIBUTION, "AUTH_UNAUTHORIZED", ATTRIBUTION_REQUIRED),
    ],
)
def test_why_a_proxy_is_not_believed(reason: str, code: str, message: str) -> None:
    error = not_by_proxy(claim(4), reason)
    assert (error.code, error.message) == ("INVALID_REQUEST", message)
    assert error.details == {
        "code": code,
        "authReason": reason,
        "canRetryWithDeviceToken": False,
        "recommendedNextStep": "review_auth_configuration",
    }
    assert not_by_proxy(claim(3), reason).details is None


def test_a_secret_does_not_show() -> None:
    assert "right" not in repr(TOKEN) + repr(claim(4, token="right", password="right"))
