"""Every method that this gateway answers. Adding one is: write it in a module here, and name it in the list."""

from gateway.rpc.methods.agents import agent_identity_get, agents_list, models_list, skills_status
from gateway.rpc.methods.approvals import exec_approval_list, exec_approvals_get
from gateway.rpc.methods.channels import channels_status
from gateway.rpc.methods.chat import chat_history, chat_metadata, chat_startup
from gateway.rpc.methods.config import config_get
from gateway.rpc.methods.config_schema import config_schema, config_schema_lookup
from gateway.rpc.methods.config_write import config_apply, config_patch, config_set
from gateway.rpc.methods.cron import cron_list, cron_status
from gateway.rpc.methods.devices import (
    device_pair_approve,
    device_pair_list,
    device_pair_reject,
    device_pair_remove,
    device_token_revoke,
    device_token_rotate,
)
from gateway.rpc.methods.health import health, status
from gateway.rpc.methods.lifecycle import gateway_reload, gateway_restart_preflight, gateway_restart_request
from gateway.rpc.methods.logs import logs_tail
from gateway.rpc.methods.nodes import node_list, node_pair_list
from gateway.rpc.methods.sessions import (
    sessions_describe,
    sessions_list,
    sessions_messages_subscribe,
    sessions_messages_unsubscribe,
    sessions_preview,
    sessions_subscribe,
)
from gateway.rpc.methods.system import last_heartbeat, set_heartbeats, system_event, system_presence, wake
from gateway.rpc.methods.update import system_info, update_status, users_self
from gateway.rpc.methods.usage import usage_cost, usage_status

METHODS = (
    health,
    status,
    config_get,
    config_set,
    config_apply,
    config_patch,
    config_schema,
    config_schema_lookup,
    system_presence,
    last_heartbeat,
    system_event,
    set_heartbeats,
    wake,
    agents_list,
    agent_identity_get,
    models_list,
    skills_status,
    channels_status,
    node_list,
    node_pair_list,
    device_pair_list,
    device_pair_approve,
    device_pair_reject,
    device_pair_remove,
    device_token_rotate,
    device_token_revoke,
    sessions_list,
    sessions_preview,
    sessions_subscribe,
    sessions_messages_subscribe,
    sessions_messages_unsubscribe,
    sessions_describe,
    chat_history,
    chat_startup,
    chat_metadata,
    cron_status,
    cron_list,
    usage_status,
    usage_cost,
    exec_approvals_get,
    exec_approval_list,
    update_status,
    system_info,
    users_self,
    gateway_reload,
    gateway_restart_preflight,
    gateway_restart_request,
    logs_tail,
)
