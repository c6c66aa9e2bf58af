"""Every method that this gateway answers. Adding one is: write it in a module here, and name it in the list."""

from gateway.rpc.methods.config import config_get
from gateway.rpc.methods.health import health, status
from gateway.rpc.methods.lifecycle import gateway_reload, gateway_restart_preflight, gateway_restart_request
from gateway.rpc.methods.logs import logs_tail
from gateway.rpc.methods.system import last_heartbeat, system_presence

METHODS = (
    health,
    status,
    config_get,
    system_presence,
    last_heartbeat,
    gateway_reload,
    gateway_restart_preflight,
    gateway_restart_request,
    logs_tail,
)
