"""Who asks, as far as the connection and the head of the request say it, and on which terms: for both faces alike."""

from starlette.types import Scope

from gateway.machine.interfaces import is_own
from gateway.protocol.admission.admission import Terms
from gateway.protocol.admission.origin import RequestOrigin, request_origin
from gateway.protocol.admission.proxy import ATTRIBUTION, TRUSTED_PROXY, ProxyUser, identify
from gateway.rpc.core import Core


def visit(core: Core, scope: Scope) -> tuple[RequestOrigin, ProxyUser | str]:
    """In mode `trusted-proxy` also whom a proxy names, or why nobody is believed; in another mode that says nothing."""
    client, headers = scope.get("client"), scope["headers"]
    who = request_origin(client[0] if client else None, headers, core.config.gateway.trusted_proxies)
    if core.auth.mode != TRUSTED_PROXY:
        return who, ATTRIBUTION
    return who, identify(core.auth.proxy, who, headers, own=is_own(who.address))


def terms(core: Core) -> Terms:
    ui = core.config.gateway.control_ui
    return Terms(
        core.auth,
        allowed_origins=ui.allowed_origins,
        allow_insecure_ui=ui.allow_insecure_auth,
        ignore_ui_device=ui.dangerously_disable_device_auth,
    )
