"""The origin of a request and the terms of its admission, for HTTP and WebSocket alike."""

from starlette.types import Scope

from gateway.machine.interfaces import is_own
from gateway.protocol.admission.admission import Terms
from gateway.protocol.admission.origin import RequestOrigin, request_origin
from gateway.protocol.admission.proxy import ATTRIBUTION, TRUSTED_PROXY, ProxyUser, identify
from gateway.rpc.core import Core


def origin_and_user(core: Core, scope: Scope) -> tuple[RequestOrigin, ProxyUser | str]:
    """Where the request comes from, and in mode `trusted-proxy` the user that the proxy names, or why no user is
    believed. In other modes the second value means nothing."""
    client, headers = scope.get("client"), scope["headers"]
    who = request_origin(client[0] if client else None, headers, core.config.gateway.trusted_proxies)
    if core.auth.mode != TRUSTED_PROXY:
        return who, ATTRIBUTION
    return who, identify(core.auth.proxy, who, headers, own=is_own(who.address))


def terms(core: Core) -> Terms:
    """The terms of admission in the active config."""
    ui = core.config.gateway.control_ui
    return Terms(
        core.auth,
        allowed_origins=ui.allowed_origins,
        allow_insecure_ui=ui.allow_insecure_auth,
        ignore_ui_device=ui.dangerously_disable_device_auth,
    )
