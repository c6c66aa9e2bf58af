"""The policy of `protocol/admission/auth` that a config means."""

from pathlib import Path

from gateway.access.token import generated_token
from gateway.config.schema import DeviceAutoApprove, Gateway
from gateway.protocol.admission.auth import AuthPolicy
from gateway.protocol.admission.proxy import APPROVABLE, Rules


def policy(gateway: Gateway, generation: int, state: Path, *, reachable: bool) -> AuthPolicy:
    """The policy of a config. Without a configured secret one is generated and kept in `state`, unless `reachable`:
    other machines can connect.
    """
    auth, proxy = gateway.auth, gateway.auth.trusted_proxy
    mode, token = auth.effective_mode, auth.token
    if mode == "token" and token is None and not reachable:
        token = generated_token(state)
    rules = Rules(
        user_header=proxy.user_header or "",
        required_headers=proxy.required_headers,
        allow_users=proxy.allow_users,
        allow_loopback=proxy.allow_loopback,
        proxies=gateway.trusted_proxies,
        identity_scopes=auth.identity_scopes or {},
        auto_approve=_auto_approve(proxy.device_auto_approve),
    )
    return AuthPolicy(mode, token=token, password=auth.password, proxy=rules, generation=generation)


def _auto_approve(asked: DeviceAutoApprove) -> tuple[str, ...] | None:
    if not asked.enabled:
        return None
    return APPROVABLE if asked.scopes is None else asked.scopes
